"""Take the rain out of pictures: tiles, engines, the restorer, folders.

The package can be called: `derain.restore(photo)`, see `derain.restore.restorer.restore`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any

from derain.restore.engine import Engine, open_engine
from derain.restore.restorer import Restorer, restore

__all__ = ["Engine", "Restorer", "open_engine", "restore"]


class _Callable(ModuleType):
    # Python sets `derain.restore` to this package as soon as anything in it is imported, over the function of that name
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return restore(*arguments, **options)

    def __reduce__(self) -> tuple[Any, ...]:  # so that other processes may be told to call it
        return import_module, (__name__,)


sys.modules[__name__].__class__ = _Callable
__signature__ = signature(restore)
