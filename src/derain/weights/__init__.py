"""The models that ship with derain, and those of the user."""

from derain.weights.library import DEFAULT, FORMAT, MODEL_SUFFIXES, Model, find, models

__all__ = ["DEFAULT", "FORMAT", "MODEL_SUFFIXES", "Model", "find", "models"]
