"""Failures that a user can act on. The text of each is one sentence or two: the file, the fact, the remedy."""


class DerainError(Exception):
    """The base of every error that derain raises on purpose; the command line prints its text and exits with 1."""


class PictureError(DerainError):
    """A picture that cannot be read or written."""


class VideoError(DerainError):
    """A clip that cannot be read or written."""


class WeightsError(DerainError):
    """A model that is not known, or a weights file that cannot be used."""


class EngineError(DerainError):
    """An inference engine or a device that is not there or refuses the network."""


class DataError(DerainError):
    """A folder of training or test pictures that cannot be used as it is."""


class RecipeError(DerainError):
    """A training recipe with an unknown key or a value out of range."""


class TrainingError(DerainError):
    """A training run that cannot go on."""


class MissingExtraError(DerainError):
    """A feature whose optional dependencies are not installed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra `{extra}`: install it with `pip install 'derain[{extra}]'`"
        )
