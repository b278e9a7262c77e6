"""The environment line that is printed with every figure."""

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from derain import __version__, environment
from derain.environment import (
    UNKNOWN_VERSION,
    Environment,
    environment_line,
    installed_version,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """`project(name)`: a repository of one commit, with `name` as the module environment.py."""

    def make(name, *, folder="project"):
        top = tmp_path / folder
        path = top / name
        path.parent.mkdir(parents=True)
        path.write_text("")
        git(top, "init", "-q")
        git(top, "add", ".")
        git(top, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
        monkeypatch.setattr(environment, "__file__", str(path))
        return top

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


@pytest.fixture
def without_metadata(monkeypatch):
    """Packages are installed without their .dist-info, as in a frozen application."""

    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(environment, "version", version)


def test_version_of_an_imported_module_without_metadata(without_metadata):
    assert installed_version("numpy") == np.__version__


def test_version_of_another_module_without_metadata(without_metadata, monkeypatch):
    monkeypatch.delitem(sys.modules, "PIL", raising=False)
    assert installed_version("pillow") == UNKNOWN_VERSION


def test_missing_package_has_no_version(without_metadata):
    assert installed_version("no-such-package") is None


def test_checkout_has_a_commit(project):
    folder = project("src/derain/environment.py")
    assert environment_line().endswith(f", commit {git(folder, 'rev-parse', '--short', 'HEAD')}")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems reject such names")
def test_checkout_may_be_in_a_folder_that_is_not_text(project):
    """As UTF-8 is not text in the encoding of a Windows console: it has no byte 81 of A acute."""
    project("src/derain/environment.py", folder=os.fsdecode(b"caf\xe9"))
    assert ", commit " in environment_line()


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
