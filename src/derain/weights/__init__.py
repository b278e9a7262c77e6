"""The models that ship with derain, and those of the user."""

from derain.weights.library import (
    CLIP_DEFAULT,
    DEFAULT,
    FORMAT,
    MODEL_SUFFIXES,
    Model,
    find,
    models,
    picture_models,
)

__all__ = [
    "CLIP_DEFAULT",
    "DEFAULT",
    "FORMAT",
    "MODEL_SUFFIXES",
    "Model",
    "find",
    "models",
    "picture_models",
]
