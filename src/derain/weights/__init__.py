"""The models that ship with derain, and those that a user brings."""

from derain.weights.library import DEFAULT, FORMAT, Model, find, models

__all__ = ["DEFAULT", "FORMAT", "Model", "find", "models"]
