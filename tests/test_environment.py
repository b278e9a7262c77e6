"""The environment line that is printed with every figure."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from derain import __version__, environment
from derain.environment import Environment, environment_line

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """project("src/derain/environment.py"): a repository of one commit whose environment.py is that file."""

    def make(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("")
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
        monkeypatch.setattr(environment, "__file__", str(path))
        return tmp_path

    return make


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "fact", [f"derain {__version__}", f"numpy {np.__version__}", " threads, ", "UTC, "]
)
def test_line_has_every_fact(fact):
    assert fact in environment_line()


def test_installed_packages_are_listed_once():
    assert [*Environment.now("pillow", "numpy", "no-such-package").versions][:3] == [
        "derain",
        "pillow",
        "numpy",
    ]


def test_checkout_has_a_commit(project):
    folder = project("src/derain/environment.py")
    assert environment_line().endswith(f", commit {git(folder, 'rev-parse', '--short', 'HEAD')}")


def test_changed_checkout_is_dirty(project):
    (project("src/derain/environment.py") / "src/derain/environment.py").write_text("changed")
    assert environment_line().endswith("-dirty")


def test_commit_of_a_surrounding_project_is_ignored(project):
    project(".venv/lib/site-packages/derain/environment.py")
    assert "commit" not in environment_line()


def test_citation_has_the_package_version():
    assert (
        re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
        == __version__
    )
