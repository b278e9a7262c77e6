"""Benchmark of the engines: seconds and memory for one picture.

The engines take turns, so that a slow minute of the machine affects all of them.
"""

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
"""(width, height) of the timed pictures."""
EXIT_TIMEOUT_S = 2
"""Seconds before a process is terminated."""


def bench_restore(
    model: str = DEFAULT,
    *,
    engines: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    repeats: int = 3,
) -> Table:
    """Restore noise of each size, (width, height), with every engine and precision.

    Each engine runs in its own process. The table has the median of `repeats` runs, after one that
    warms up, and the peak memory of the process, including smaller sizes. If an engine uses another
    precision than the requested one, the row shows both. Raises EngineError for an unknown engine
    or one that fails.
    """
    shapes = sorted(((height, width) for width, height in sizes or SIZES), key=math.prod)
    names = list(engines or [name for name, backend in ENGINES.items() if backend.version()])
    if unknown := [name for name in names if name not in ENGINES]:
        raise EngineError(f"unknown engine {unknown[0]!r}; choose from {', '.join(ENGINES)}")
    runners = [
        _Runner(model, name, precision)
        for name in names
        for precision in precisions or ENGINES[name].precisions
    ]
    cells: dict[_Runner, list[str]] = {}
    try:
        for runner in runners:
            cells[runner] = [runner.engine, runner.describe_precision()]
        for shape in shapes:
            seconds: dict[_Runner, list[float]] = {runner: [] for runner in runners}
            for _ in range(repeats + 1):
                for runner in runners:
                    seconds[runner].append(runner.restore(shape))
            for runner in runners:
                median = statistics.median(seconds[runner][1:])
                cells[runner] += [f"{median:.2f}", _format_mib(runner.peak_mib())]
    finally:
        for runner in runners:
            runner.close()
    table = Table()
    for name in ("engine", "precision", *(_headers(shapes))):
        table.add_column(name, no_wrap=True, overflow="fold")
    for row in cells.values():
        table.add_row(*row)
    return table


def _headers(shapes: Sequence[tuple[int, int]]) -> list[str]:
    return [header for height, width in shapes for header in (f"{width}x{height} s", "MiB")]


class _Runner:
    """A process with one engine."""

    def __init__(self, model: str, engine: str, precision: str) -> None:
        self.engine = engine
        self.precision = precision
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(remote, model, engine, precision), daemon=True
        )
        self._process.start()
        remote.close()

    def actual_precision(self) -> str:
        """Return the precision that the engine uses."""
        return str(self._request("precision"))

    def describe_precision(self) -> str:
        """Return the actual precision, and the requested one if it differs."""
        actual = self.actual_precision()
        return actual if actual == self.precision else f"{actual} (not {self.precision})"

    def restore(self, shape: tuple[int, int]) -> float:
        """Return the seconds for one picture of (height, width)."""
        return float(self._request(shape))

    def peak_mib(self) -> float:
        """Return the peak resident memory of the process."""
        return float(self._request("peak"))

    def close(self) -> None:
        """End the process. It removes its temporary files, unless it is terminated."""
        self._connection.close()
        self._process.join(EXIT_TIMEOUT_S)
        self._process.terminate()
        self._process.join()

    def _request(self, request: tuple[int, int] | str) -> float | str:
        try:
            self._connection.send(request)
            response = self._connection.recv()
        except (EOFError, OSError):
            raise EngineError(
                f"{self.engine}, {self.precision}: the process died; it may have run out of memory"
            ) from None
        if isinstance(response, EngineError):
            raise response
        return cast("float | str", response)


def _format_mib(mib: float) -> str:
    return "-" if math.isnan(mib) else f"{mib:.0f}"


def _peak_mib() -> float:
    """Return the peak memory of this process in MiB; nan on Windows, which does not report it."""
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _serve(connection: Connection, model: str, engine: str, precision: str) -> None:
    """Answer each request with a number or a word, until one fails with an EngineError."""
    try:
        restorer = Restorer(model, engine=engine, precision=precision)
    except DerainError as error:
        connection.recv()
        connection.send(EngineError(str(error)))
        return
    rng = np.random.default_rng(0)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        if isinstance(request, str):
            is_precision = request == "precision"
            connection.send(restorer.engine.precision if is_precision else _peak_mib())
            continue
        try:
            rainy = rng.integers(0, 256, (*request, 3), dtype=np.uint8)
        except (MemoryError, ValueError):  # numpy raises ValueError for sizes beyond its range
            connection.send(
                EngineError("not enough memory for a picture of this size; use a smaller --size")
            )
            return
        start = time.perf_counter()
        try:
            restorer(rainy)
        except DerainError as error:
            connection.send(EngineError(str(error)))
            return
        connection.send(time.perf_counter() - start)
