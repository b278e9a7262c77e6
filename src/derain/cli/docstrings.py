"""Docstrings under `python -OO`, which drops them: they are the help of verbs and options."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType


def restore_docstrings(module: ModuleType) -> None:
    """Give the functions and classes of a module the docstrings in its source.

    Do nothing if there is no source, as in some frozen applications.
    """
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:
        return
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            vars(module)[node.name].__doc__ = ast.get_docstring(node, clean=False)
