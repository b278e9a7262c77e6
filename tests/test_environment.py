"""What every figure is printed with."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from derain import __version__, environment
from derain.environment import Environment, environment_line

ROOT = Path(__file__).parents[2]
WING = ("picture", "restore", "video", "evaluate", "weights", "cli", "rain", "data")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """project("src/derain/about.py"): a repository of one commit in which derain's about.py is that file -> its folder."""

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
def test_the_line_has_every_fact(fact):
    assert fact in environment_line()


def test_packages_are_named_once_and_only_those_that_are_installed():
    assert [*Environment.now("pillow", "numpy", "no-such-package").versions][:3] == [
        "derain",
        "pillow",
        "numpy",
    ]


def test_a_checkout_of_derain_has_its_commit(project):
    folder = project("src/derain/about.py")
    assert environment_line().endswith(f", commit {git(folder, 'rev-parse', '--short', 'HEAD')}")


def test_a_changed_checkout_is_marked(project):
    (project("src/derain/about.py") / "src/derain/about.py").write_text("changed")
    assert environment_line().endswith("-dirty")


def test_the_commit_of_a_project_that_derain_is_installed_in_is_not_its_own(project):
    project(".venv/lib/site-packages/derain/about.py")
    assert "commit" not in environment_line()


@pytest.mark.parametrize("room", WING)
def test_no_module_of_the_restoring_wing_imports_torch(room):
    modules = [
        f"derain.{room}.{path.stem}"
        for path in (ROOT / "src" / "derain" / room).glob("*.py")
        if path.stem != "__init__"
    ]
    script = (
        f"import sys, derain.environment, {', '.join(modules)}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_citation_has_the_version_of_the_package():
    assert (
        re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1]
        == __version__
    )
