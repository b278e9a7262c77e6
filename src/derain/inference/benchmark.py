"""Benchmark of the engines: seconds, multiplications per second and memory for one picture.

The engines take turns, so that a slow minute of the machine affects all of them.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import numpy as np
from rich.table import Table

from derain.errors import DerainError, EngineError
from derain.inference.engines.engine import ENGINES, PRECISIONS
from derain.inference.engines.rival import find_rival
from derain.inference.restorer import Restorer
from derain.inference.work import macs_per_px, product_rate
from derain.weights import DEFAULT

SIZES = ((481, 321), (1920, 1080), (4000, 3000))
"""(width, height) of the timed pictures."""
HEADERS = ("model", "engine", "precision", "size", "s", "GMAC/s", "share", "MiB")
UNKNOWN = "-"
EXIT_TIMEOUT_S = 2
"""Seconds before a process is terminated."""


def bench_restore(
    model: str = DEFAULT,
    *,
    against: Sequence[str] = (),
    engines: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    repeats: int = 3,
) -> Table:
    """Restore noise of each size, (width, height), with every model, engine and precision.

    `against` are other models, of other papers too; those have an engine and a precision of their
    own. Each of these runs in its own process, in turn. A row is one size, with the median
    of `repeats` runs, after one that warms up, the multiplications per second (`work.macs_per_px`)
    and their share of the rate of a large matrix product, and the peak memory of the process,
    including smaller sizes. If an engine uses another precision than the requested one, it shows
    both.
    Raises EngineError for an unknown engine or one that fails.
    """
    shapes = sorted(((height, width) for width, height in sizes or SIZES), key=math.prod)
    names = list(engines or [name for name, backend in ENGINES.items() if backend.version()])
    if unknown := [name for name in names if name not in ENGINES]:
        raise EngineError(f"unknown engine {unknown[0]!r}; choose from {', '.join(ENGINES)}")
    runners: list[_Runner] = []
    for each in (model, *against):
        if find_rival(each) is not None:
            runners.append(_Runner(each, "torch", "float32"))
            continue
        runners += [
            _Runner(each, name, precision)
            for name in names
            for precision in precisions or ENGINES[name].precisions
        ]
    times: dict[_Runner, list[tuple[float, float]]] = {runner: [] for runner in runners}
    try:
        for shape in shapes:
            seconds: dict[_Runner, list[float]] = {runner: [] for runner in runners}
            for _ in range(repeats + 1):
                for runner in runners:
                    seconds[runner].append(runner.restore(shape))
            for runner in runners:
                median = statistics.median(seconds[runner][1:])
                times[runner].append((median, runner.peak_mib()))
        rows = [row for runner in runners for row in _rows(runner, times[runner], shapes)]
    finally:
        for runner in runners:
            runner.close()
    table = Table()
    for index, name in enumerate(HEADERS):
        table.add_column(name, min_width=max((len(row[index]) for row in rows), default=1))
    for row in rows:
        table.add_row(*row)
    return table


def _rows(
    runner: _Runner, times: Sequence[tuple[float, float]], shapes: Sequence[tuple[int, int]]
) -> list[list[str]]:
    """Return a row for each size."""
    macs, rate, precision = runner.macs_per_px(), runner.product_rate(), runner.describe_precision()
    rows = []
    for (seconds, mib), (height, width) in zip(times, shapes, strict=True):
        achieved = macs * height * width / seconds
        rates = [f"{achieved / 1e9:.0f}", f"{achieved / rate:.0%}"]
        rows.append(
            [
                Path(runner.model).name,
                runner.engine,
                precision,
                f"{width}x{height}",
                f"{seconds:.2f}",
                *([UNKNOWN, UNKNOWN] if math.isnan(achieved) else rates),
                _format_mib(mib),
            ]
        )
    return rows


class _Runner:
    """A process with one engine."""

    def __init__(self, model: str, engine: str, precision: str) -> None:
        self.model = model
        self.engine = engine
        self.precision = precision
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(
            target=_run_process, args=(remote, model, engine, precision), daemon=True
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

    def macs_per_px(self) -> float:
        """Return the multiplications for each pixel; nan if they are not known."""
        return float(self._request("macs"))

    def product_rate(self) -> float:
        """Return how many multiplications per second a matrix product reaches."""
        return float(self._request("product"))

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
    return UNKNOWN if math.isnan(mib) else f"{mib:.0f}"


def peak_mib() -> float:
    """Return the peak memory of this process in MiB; nan on Windows, which does not report it."""
    try:
        # on Linux, ru_maxrss includes the memory of the process that started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return float(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _run_process(connection: Connection, model: str, engine: str, precision: str) -> None:
    """Serve until the benchmark ends, also by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(connection, model, engine, precision)


def _serve(connection: Connection, model: str, engine: str, precision: str) -> None:
    """Answer each request with a number or a word, until one fails with an EngineError."""
    with suppress(EOFError, OSError):  # another process failed, and the benchmark ended
        _answer_requests(connection, model, engine=engine, precision=precision)


def _answer_requests(connection: Connection, model: str, *, engine: str, precision: str) -> None:
    """Answer like `_serve`. Raises EOFError and OSError if the other end is closed."""
    try:
        restorer = Restorer(model, engine=engine, precision=precision)
    except DerainError as error:
        connection.recv()
        connection.send(EngineError(str(error)))
        return
    rng = np.random.default_rng(0)
    while True:
        request = connection.recv()
        if isinstance(request, str):
            connection.send(_answer(request, restorer))
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


def _answer(request: str, restorer: Restorer) -> float | str:
    if request == "precision":
        return restorer.engine.precision
    if request == "macs":
        macs = macs_per_px(restorer.model)
        return math.nan if macs is None else macs
    if request == "product":
        precision = restorer.engine.precision
        return product_rate(precision if precision in PRECISIONS else "float32")
    return peak_mib()
