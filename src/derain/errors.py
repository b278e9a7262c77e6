"""Exceptions that derain raises on purpose.

    DerainError
    ├── PictureError        a picture cannot be read or written
    ├── VideoError          a clip cannot be read or written
    ├── WeightsError        a model is unknown, or a weights file is unusable
    ├── EngineError         an inference engine or device is missing or rejects the network
    │   └── UnsupportedNetworkError   other engines may run the network
    ├── DataError           a folder of training or test pictures is unusable
    ├── RecipeError         a training recipe has an unknown key or a value out of range
    ├── TrainingError       a training run cannot continue
    └── MissingExtraError   a feature needs optional dependencies that are not installed

Each text names the file, the fact and the remedy in one or two sentences:

    try:
        clean = derain.restore("rainy.jpg")
    except derain.DerainError as error:
        print(error)  # rainy.jpg: there is no such file; check the spelling
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path


class DerainError(Exception):
    """Base of every error below. The command line prints its text and exits with 1."""


class PictureError(DerainError):
    """A picture that cannot be read or written."""


class VideoError(DerainError):
    """A clip that cannot be read or written."""


class WeightsError(DerainError):
    """An unknown model, or a weights file that cannot be used."""


class EngineError(DerainError):
    """An inference engine or a device that is missing or rejects the network."""


class UnsupportedNetworkError(EngineError):
    """A network that an inference engine does not support, while others may."""


class DataError(DerainError):
    """A folder of training or test pictures that cannot be used."""


class RecipeError(DerainError):
    """A training recipe with an unknown key or a value out of range."""


class TrainingError(DerainError):
    """A training run that cannot continue."""


class MissingExtraError(DerainError):
    """A feature whose optional dependencies are not installed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra `{extra}`: install it with `pip install 'derain[{extra}]'`"
        )
        self.feature, self.extra = feature, extra

    def __reduce__(self) -> tuple[Callable[..., MissingExtraError], tuple[str]]:
        # exceptions are pickled without keywords, and a process pool would lose this one
        return partial(MissingExtraError, extra=self.extra), (self.feature,)


def explain_failure(source: str | Path, error: Exception) -> str:
    """Return why a picture or a clip has no result. Any other exception than these is a bug."""
    if isinstance(error, DerainError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{source}: not enough memory to restore it; use a smaller --limit-mib"
    return f"{source}: {type(error).__name__}: {error}; this is a bug in derain, please report it"
