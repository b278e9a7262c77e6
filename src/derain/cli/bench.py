"""`derain bench`: measure the speed of this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from derain.cli.options import Positive, parse_size
from derain.weights import DEFAULT

if TYPE_CHECKING:
    from rich.table import Table

    from derain.inference.benchmark import EngineSpeed

SPEED_COLUMNS = ("model", "engine", "precision", "size", "s", "GMAC/s", "share", "MiB")
Count = Annotated[int, Parameter(validator=Positive)]
Texts = Annotated[list[str] | None, Parameter(negative="")]
Threads = Annotated[int, Parameter(validator=validators.Number(gte=0))]

bench = App(name="bench", help="Measure the speed of this machine.")


@bench.command
def train(
    preset: str = "fast",
    /,
    *,
    processes: Count = 1,
    threads: Threads = 0,
    batch: Count = 4,
    crop: Count = 112,
    steps: Count = 5,
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto",
    kernels: Literal["auto", "vector", "eager"] = "auto",
) -> None:
    """Time training steps, in crops (patches) per second. Use an otherwise idle machine.

    Parameters
    ----------
    preset
        Network: small, best, fast, clip or paper.
    processes
        Number of concurrent processes.
    threads
        Threads per process; 0 divides the cores among them.
    batch
        Crops per step and process.
    crop
        Side of a crop in pixels.
    steps
        Steps to time, after two that warm up.
    precision
        auto measures whether bfloat16 is faster on this machine.
    kernels
        auto uses the C++ kernels if they compile, vector the same without the matrix unit (AMX),
        eager only the operations of PyTorch.
    """
    from derain.environment import environment_line
    from derain.train.benchmark.step import bench_train

    speed = bench_train(
        preset,
        processes=processes,
        threads=threads,
        batch=batch,
        crop_px=crop,
        steps=steps,
        precision=precision,
        choice=kernels,
    )
    print(environment_line("torch"))
    print(
        f"{speed.preset}, {speed.precision}, {speed.kernels}, "
        f"{speed.processes} x {speed.threads} threads, "
        f"batch {speed.batch} each, {speed.crop_px} px: "
        f"{speed.patches_per_s:.2f} patches/s (spread {speed.spread:.0%}), "
        f"{speed.share:.0%} of the matrix-product rate, {speed.product_gflops:.0f} GFLOP/s"
    )


@bench.command
def mcddl(
    preset: str = "fast",
    /,
    *,
    threads: Threads = 0,
    batch: Count = 4,
    crop: Count = 112,
    cycles: Count = 2,
    kernels: Literal["auto", "vector", "eager"] = "auto",
) -> None:
    """Time Algorithm 1 with and without the discriminator. Use an otherwise idle machine.

    Parameters
    ----------
    preset
        Network: small, best, fast or paper.
    threads
        Number of threads; 0 means all cores.
    batch
        Crops per step.
    crop
        Side of a crop in pixels.
    cycles
        Cycles of five steps to time, after one that warms up.
    kernels
        auto uses the C++ kernels if they compile, vector the same without the matrix unit (AMX),
        eager only the operations of PyTorch.
    """
    from derain.environment import environment_line
    from derain.train.benchmark.mcddl import bench_mcddl

    speed = bench_mcddl(
        preset, threads=threads, batch=batch, crop_px=crop, cycles=cycles, choice=kernels
    )
    print(environment_line("torch"))
    print(
        f"{speed.preset}, {speed.precision}, {speed.kernels}, {speed.threads} threads, "
        f"batch {speed.batch}, {speed.crop_px} px: "
        f"{speed.alone_s:.2f} s per step without discriminator, "
        f"{speed.adversarial_s:.2f} s with the adversarial term, "
        f"{speed.both_s:.2f} s with the update of the discriminator; "
        f"{speed.mean_s:.2f} s on average at r = {speed.every}, "
        f"{speed.share:.0%} of it for the discriminator"
    )


@bench.command
def restore(
    *,
    model: str = DEFAULT,
    against: Texts = None,
    engine: Texts = None,
    precision: Texts = None,
    size: Texts = None,
    repeats: Count = 3,
) -> None:
    """Time the engines on one picture. Use an otherwise idle machine.

    Prints seconds, 10^9 multiplications per second, their share of the rate of a large matrix
    product in the same precision, and peak memory in MiB.

    Parameters
    ----------
    model
        Name of the model, path of a weights file, or NAME:PATH for a network of another paper.
    against
        Other models to time in turn.
    engine
        Engines to time. Default: all that are installed.
    precision
        Precisions to time. Default: float32 and bfloat16.
    size
        Sizes, WIDTHxHEIGHT. Default: 481x321, 1920x1080 and 4000x3000.
    repeats
        Runs per size, after one that warms up; the engines take turns, and the table has medians.
    """
    from derain.cli.console import plain_console, print_table
    from derain.environment import environment_line
    from derain.inference.benchmark import bench_restore

    sizes = [parse_size(text, option="--size") for text in size or ()]
    speeds = bench_restore(
        model,
        against=against or (),
        engines=engine,
        precisions=precision,
        sizes=sizes or None,
        repeats=repeats,
    )
    console = plain_console()
    console.print(environment_line())
    print_table(_speed_table(speeds), console)


def _speed_table(speeds: Sequence[EngineSpeed]) -> Table:
    """Return one row for each engine and size. Columns are as wide as their cells need."""
    from rich.table import Table

    def cell(value: float, form: str) -> str:
        return "-" if math.isnan(value) else format(value, form)

    rows = [
        [
            speed.model,
            speed.engine,
            speed.precision,
            f"{speed.width}x{speed.height}",
            cell(speed.seconds, ".2f"),
            cell(speed.macs_per_s / 1e9, ".0f"),
            cell(speed.share, ".0%"),
            cell(speed.peak_mib, ".0f"),
        ]
        for speed in speeds
    ]
    table = Table()
    for index, name in enumerate(SPEED_COLUMNS):
        table.add_column(name, min_width=max((len(row[index]) for row in rows), default=1))
    for row in rows:
        table.add_row(*row)
    return table
