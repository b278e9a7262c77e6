"""The models that ship with derain, and those that a user brings."""

from derain.weights.library import FORMAT, Model, find, models

__all__ = ["FORMAT", "Model", "find", "models"]
