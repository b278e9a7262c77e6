"""derain takes the rain out of photographs.

`derain.restore(image_or_path)` and `derain.Restorer` are the way in; nothing here imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derain.errors import DerainError

if TYPE_CHECKING:
    from derain.inference.restorer import Restorer, restore

__version__ = "0.1.0"
__all__ = ["DerainError", "Restorer", "__version__", "restore"]


def __getattr__(name: str) -> Any:
    # `derain --version` and `import derain` stay fast: the engine is imported when it is first asked for
    if name in {"Restorer", "restore"}:
        from derain.inference import restorer

        return getattr(restorer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
