"""Docstrings under `python -OO`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from derain.cli.docstrings import restore_docstrings

SOURCE = '''
def verb():
    """Do something.

    Parameters
    ----------
    """

class Options:
    """Options of the verb."""

def undocumented():
    pass
'''


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """A module as `python -OO` compiles it."""
    path = tmp_path / "verb.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("verb", path)
    module = importlib.util.module_from_spec(spec)
    exec(compile(SOURCE, str(path), "exec", optimize=2), vars(module))
    return module


def test_docstrings_are_restored(module):
    assert module.verb.__doc__ is None
    restore_docstrings(module)
    assert module.verb.__doc__ == "Do something.\n\n    Parameters\n    ----------\n    "
    assert module.Options.__doc__ == "Options of the verb."
    assert module.undocumented.__doc__ is None


def test_module_without_source_stays_unchanged(module):
    Path(module.__file__).unlink()
    restore_docstrings(module)
    assert module.verb.__doc__ is None
