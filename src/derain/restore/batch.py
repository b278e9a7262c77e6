"""Restore many files: some threads, one network, and no file that stops the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from derain import picture as pictures
from derain.errors import DerainError
from derain.picture import Picture
from derain.picture.picture import as_colour
from derain.restore.errands import Errand
from derain.restore.restorer import Restorer


@dataclass
class Outcome:
    """What became of a batch."""

    restored: int = 0
    megapixels: float = 0.0
    problems: list[tuple[Path, str]] = field(default_factory=list)
    seconds: float = 0.0
    was_interrupted: bool = False


class Batch:
    """Restores files with `jobs` threads, which share one engine: while one computes, another reads or writes.

    `on_progress(share)` is told, from any thread, by which share of one picture the batch has come forward; `on_problem(text)`
    which picture failed and why.
    """

    def __init__(
        self,
        restorer: Restorer,
        *,
        jobs: int = 2,
        compare: bool = False,
        on_progress: Callable[[float], None] = lambda share: None,
        on_problem: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.restorer = restorer
        self.jobs = jobs
        self.compare = compare
        self.on_progress = on_progress
        self.on_problem = on_problem
        self._stop = threading.Event()
        self._outcome = Outcome()
        self._counting = threading.Lock()

    def run(self, errands: Sequence[Errand]) -> Outcome:
        """Do all errands. Ctrl-C ends it within the time of one tile for each thread, without a partial file."""
        start = time.perf_counter()
        with ThreadPoolExecutor(max_workers=self.jobs, thread_name_prefix="derain") as pool:
            try:
                for future in [pool.submit(self._do, errand) for errand in errands]:
                    future.result()
            except KeyboardInterrupt:
                self._outcome.was_interrupted = True
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        self._outcome.seconds = time.perf_counter() - start
        return self._outcome

    def _do(self, errand: Errand) -> None:
        shown = 0.0

        def on_tile(done: int, total: int) -> None:
            nonlocal shown
            if self._stop.is_set():
                raise _StoppedError
            self.on_progress(1 / total)
            shown += 1 / total

        try:
            megapixels = self._restore(errand, on_tile)
        except _StoppedError:
            return
        except DerainError as error:
            self._note(errand, str(error))
        except Exception as error:  # a fault of ours must not cost the user the other 9,999 pictures
            self._note(errand, f"{errand.source}: {type(error).__name__}: {error}; this is a bug in derain, please report it")
        else:
            with self._counting:
                self._outcome.restored += 1
                self._outcome.megapixels += megapixels
        self.on_progress(1 - shown)

    def _restore(self, errand: Errand, on_tile: Callable[[int, int], None]) -> float:
        if self._stop.is_set():
            raise _StoppedError
        rainy = pictures.read(errand.source)
        restored = self.restorer.restore_picture(rainy, on_tile=on_tile)
        if self.compare:
            restored = side_by_side(rainy, restored)
        megapixels = float(rainy.pixels[..., 0].size) / 1e6
        del rainy  # of 100 megapixels it would be 300 MB that the writer needs
        try:
            errand.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DerainError(
                f"{errand.target.parent}: cannot be created ({error.strerror}); write to another folder with -o"
            ) from error
        pictures.write(restored, errand.target)
        return megapixels

    def _note(self, errand: Errand, text: str) -> None:
        with self._counting:
            self._outcome.problems.append((errand.source, text))
        self.on_problem(text)


class _StoppedError(Exception):
    """Ctrl-C reached a thread between two tiles."""


def side_by_side(rainy: Picture, restored: Picture) -> Picture:
    """Rainy on the left, restored on the right, (H, 2 W)."""
    samples = np.concatenate([rainy.samples, restored.samples], axis=1)
    alpha = None if rainy.alpha is None else np.concatenate([rainy.alpha, rainy.alpha], axis=1)
    return replace(restored, pixels=as_colour(samples), alpha=alpha)
