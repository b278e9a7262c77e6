"""The batches of a run, of which each is prepared one step before it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from derain.errors import DataError

Sides = tuple[Tensor, Tensor]
"""Rainy and clean crops."""


class Batches:
    """Iterates over a loader, one batch ahead.

    If a picture of the next batch cannot be decoded, iteration ends after the batch before it, so
    that all processes can end together and save the run; `check` then raises the error.
    """

    def __init__(self, loader: Iterable[Sides]) -> None:
        self._loader = loader
        self._iterator: Iterator[Sides] = iter(())
        self._next: Sides | None = None
        self._error: DataError | None = None

    @property
    def failed(self) -> bool:
        """True if the next batch could not be prepared."""
        return self._error is not None

    def close(self) -> None:
        """End the workers: Python waits for them as long as their iterator exists."""
        self._iterator = iter(())

    def begin(self) -> None:
        """Prepare the first batch. Raises DataError."""
        self._iterator = iter(self._loader)
        self._prepare()
        if self._error:
            raise self._error

    def check(self) -> None:
        """Raise DataError if a batch could not be prepared."""
        if self._error:
            raise DataError(
                f"{self._error}; the run is saved, continue it with --resume"
            ) from self._error

    def __iter__(self) -> Iterator[Sides]:
        while self._next is not None:
            batch = self._next
            self._prepare()
            yield batch

    def _prepare(self) -> None:
        self._next = None
        try:
            self._next = next(self._iterator)
        except DataError as error:
            # the text of an error in a worker is the traceback there, which ends with its own text
            text = str(error).rsplit(f"{DataError.__name__}: ", 1)[-1].strip()
            self._error = DataError(text)
            error.__traceback__ = None  # it refers to the iterator, and to itself
        except StopIteration:
            return
