"""What every figure is printed with."""

import subprocess

import numpy as np
import pytest

from derain import __version__, about
from derain.about import Machine, machine


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
        monkeypatch.setattr(about, "__file__", str(path))
        return tmp_path

    return make


def git(folder, *arguments):
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("fact", [f"derain {__version__}", f"numpy {np.__version__}", " threads, ", "UTC, "])
def test_the_line_has_every_fact(fact):
    assert fact in machine()


def test_packages_are_named_once_and_only_those_that_are_installed():
    assert [*Machine.now("pillow", "numpy", "no-such-package").versions][:3] == ["derain", "pillow", "numpy"]


def test_a_checkout_of_derain_has_its_commit(project):
    folder = project("src/derain/about.py")
    assert machine().endswith(f", commit {git(folder, 'rev-parse', '--short', 'HEAD')}")


def test_a_changed_checkout_is_marked(project):
    (project("src/derain/about.py") / "src/derain/about.py").write_text("changed")
    assert machine().endswith("-dirty")


def test_the_commit_of_a_project_that_derain_is_installed_in_is_not_its_own(project):
    project(".venv/lib/site-packages/derain/about.py")
    assert "commit" not in machine()
