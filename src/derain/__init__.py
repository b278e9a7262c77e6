"""Remove rain from photos and video.

Start with `derain.restore(image_or_path)` or `derain.Restorer`. Importing derain imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derain.errors import DerainError

if TYPE_CHECKING:
    from derain.inference.restorer import Restorer, restore

__version__ = "0.1.0"
__all__ = ["DerainError", "Restorer", "__version__", "restore"]


def __getattr__(name: str) -> Any:
    # the engine takes a second to import, and `derain --version` does not need it
    if name in {"Restorer", "restore"}:
        from derain.inference import restorer

        return getattr(restorer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # completion in notebooks lists what is not imported yet
