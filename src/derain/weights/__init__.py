"""The models that ship with derain, and those that a user brings."""

from derain.weights.library import DEFAULT, FORMAT, SUFFIXES, Model, find, models

__all__ = ["DEFAULT", "FORMAT", "SUFFIXES", "Model", "find", "models"]
