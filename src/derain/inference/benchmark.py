"""Seconds and memory for one picture, engine by engine, interleaved so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import cast

import numpy as np
from rich.table import Table

from derain.errors import DerainError, EngineError
from derain.inference.engines.engine import ENGINES
from derain.inference.restorer import Restorer
from derain.weights import DEFAULT

SIZES = ((481, 321), (1920, 1080), (4000, 3000))
"""(width, height) of the pictures that are timed."""


def bench_restore(
    model: str = DEFAULT,
    *,
    engines: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    repeats: int = 3,
) -> Table:
    """Restore noise of each size with every engine and precision, each in a process of its own, and tabulate the medians.

    The first restoration of a size warms up and is not counted. Peak memory is that of the whole process, which has seen the
    smaller sizes before. Where an engine computes in another precision than it was asked for, the row says both. Raises
    EngineError for an engine that is not installed, DerainError for a size that is not WIDTHxHEIGHT.
    """
    shapes = sorted(((height, width) for width, height in sizes or SIZES), key=math.prod)
    names = list(engines or [name for name, kind in ENGINES.items() if kind.version()])
    if unknown := [name for name in names if name not in ENGINES]:
        raise EngineError(
            f"there is no engine {unknown[0]!r}; the engines are {', '.join(ENGINES)}"
        )
    runners = [
        _Runner(model, name, precision)
        for name in names
        for precision in precisions or ENGINES[name].precisions
    ]
    table = Table()
    for name in (
        "engine",
        "precision",
        *(f"{w}x{h} s" if unit else "MiB" for h, w in shapes for unit in (1, 0)),
    ):
        table.add_column(name, no_wrap=True, overflow="fold")
    cells: dict[_Runner, list[str]] = {}
    try:
        for runner in runners:
            taken = runner.taken_precision()
            told = (
                runner.precision
                if taken == runner.precision
                else f"{taken} (not {runner.precision})"
            )
            cells[runner] = [runner.engine, told]
        for shape in shapes:
            seconds: dict[_Runner, list[float]] = {runner: [] for runner in runners}
            for _ in range(repeats + 1):
                for runner in runners:
                    seconds[runner].append(runner.restore(shape))
            for runner in runners:
                cells[runner] += [
                    f"{statistics.median(seconds[runner][1:]):.2f}",
                    _number(runner.peak_mib()),
                ]
    finally:
        for runner in runners:
            runner.close()
    for row in cells.values():
        table.add_row(*row)
    return table


class _Runner:
    """A process that holds one engine."""

    def __init__(self, model: str, engine: str, precision: str) -> None:
        self.engine, self.precision = engine, precision
        context = multiprocessing.get_context("spawn")
        self.here, there = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(there, model, engine, precision), daemon=True
        )
        self.process.start()
        there.close()

    def taken_precision(self) -> str:
        """What the engine really computes in."""
        return str(self._ask("precision"))

    def restore(self, shape: tuple[int, int]) -> float:
        """Seconds for one picture of (height, width)."""
        return float(self._ask(shape))

    def peak_mib(self) -> float:
        """Greatest resident memory of the process so far."""
        return float(self._ask("peak"))

    def close(self) -> None:
        self.process.terminate()
        self.process.join()

    def _ask(self, question: tuple[int, int] | str) -> float | str:
        try:
            self.here.send(question)
            answer = self.here.recv()
        except (EOFError, OSError):
            raise EngineError(
                f"{self.engine}, {self.precision}: the process died, perhaps for want of memory"
            ) from None
        if isinstance(answer, EngineError):
            raise answer
        return cast("float | str", answer)


def _number(mib: float) -> str:
    return "-" if math.isnan(mib) else f"{mib:.0f}"


def _peak_mib() -> float:
    """The most memory that this process has held, in MiB; nan on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _serve(pipe: Connection, model: str, engine: str, precision: str) -> None:
    """Answer each question by a number or a word, or by an EngineError, which is the last answer."""
    try:
        restorer = Restorer(model, engine=engine, precision=precision)
    except DerainError as error:
        pipe.recv()
        pipe.send(EngineError(str(error)))
        return
    rng = np.random.default_rng(0)
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        if isinstance(question, str):
            pipe.send(restorer.engine.precision if question == "precision" else _peak_mib())
            continue
        try:
            rainy = rng.integers(0, 256, (*question, 3), dtype=np.uint8)
        except (
            MemoryError,
            ValueError,
        ):  # numpy says the latter of a size beyond what it can count
            pipe.send(
                EngineError(
                    "there is not enough memory for a picture of this size; give a smaller --size"
                )
            )
            return
        began = time.perf_counter()
        try:
            restorer(rainy)
        except DerainError as error:
            pipe.send(EngineError(str(error)))
            return
        pipe.send(time.perf_counter() - began)
