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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import numpy as np

from derain.errors import DerainError, EngineError
from derain.inference.engines.engine import ENGINES, PRECISIONS
from derain.inference.engines.rival import find_rival
from derain.inference.restorer import Restorer
from derain.inference.work import macs_per_px, product_rate
from derain.weights import DEFAULT

SIZES = ((481, 321), (1920, 1080), (4000, 3000))
"""(width, height) of the timed pictures."""
EXIT_TIMEOUT_S = 2
"""Seconds before a process is terminated."""


@dataclass(frozen=True)
class EngineSpeed:
    """One model in one engine, on a picture of one size."""

    model: str
    engine: str
    precision: str
    """The actual precision, and the requested one if it differs."""
    width: int
    height: int
    seconds: float
    """Median over the runs."""
    macs_per_s: float
    """Multiplications per second (`work.macs_per_px`); nan if they are not known."""
    share: float
    """`macs_per_s` as a share of the rate of a large matrix product in the same precision."""
    peak_mib: float
    """Peak memory of the process, including smaller sizes; nan if the system does not report it."""


def bench_restore(
    model: str = DEFAULT,
    *,
    against: Sequence[str] = (),
    engines: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    repeats: int = 3,
) -> list[EngineSpeed]:
    """Restore noise of each size, (width, height), with every model, engine and precision.

    `against` are other models, of other papers too; those have an engine and a precision of their
    own. Each of these runs in its own process, in turn: `repeats` times, after one run that warms
    up. The smallest size comes first. Raises EngineError for an unknown engine or one that fails.
    """
    shapes = sorted(((height, width) for width, height in sizes or SIZES), key=math.prod)
    names = list(engines or [name for name, backend in ENGINES.items() if backend.version()])
    if unknown := [name for name in names if name not in ENGINES]:
        raise EngineError(f"unknown engine {unknown[0]!r}; choose from {', '.join(ENGINES)}")
    settings: list[tuple[str, str, str]] = []
    for each in (model, *against):
        if find_rival(each) is not None:
            settings.append((each, "torch", "float32"))
            continue
        settings += [
            (each, name, precision)
            for name in names
            for precision in precisions or ENGINES[name].precisions
        ]
    with ExitStack() as stack:
        runners = [stack.enter_context(closing(_Runner(*setting))) for setting in settings]
        times: list[list[tuple[float, float]]] = [[] for _ in runners]
        for shape in shapes:
            rounds = [[runner.restore(shape) for runner in runners] for _ in range(repeats + 1)]
            for runner, own_times, seconds in zip(
                runners, times, zip(*rounds[1:], strict=True), strict=True
            ):
                own_times.append((statistics.median(seconds), runner.peak_mib()))
        return [
            speed
            for runner, own_times in zip(runners, times, strict=True)
            for speed in _speeds(runner, own_times, shapes)
        ]


def _speeds(
    runner: _Runner, times: Sequence[tuple[float, float]], shapes: Sequence[tuple[int, int]]
) -> Iterator[EngineSpeed]:
    """Yield the speed at each size, from (seconds, peak in MiB)."""
    macs, rate, precision = runner.macs_per_px(), runner.product_rate(), runner.describe_precision()
    for (seconds, mib), (height, width) in zip(times, shapes, strict=True):
        achieved = macs * height * width / seconds
        yield EngineSpeed(
            Path(runner.model).name,
            runner.engine,
            precision,
            width,
            height,
            seconds=seconds,
            macs_per_s=achieved,
            share=achieved / rate,
            peak_mib=mib,
        )


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


def peak_mib() -> float:
    """Return the peak memory of this process in MiB; nan on Windows, which does not report it."""
    try:
        # on Linux, ru_maxrss includes the memory of the process that started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return float(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return math.nan
    import resource

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
