"""`derain bench`: measure the speed of this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from derain.cli.options import Positive, parse_size
from derain.weights import DEFAULT

Count = Annotated[int, Parameter(validator=Positive)]
Threads = Annotated[int, Parameter(validator=validators.Number(gte=0))]

bench = App(name="bench", help="Measure the speed of this machine.")


@bench.command
def train(
    preset: str = "small",
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
    """Time whole training steps, in crops (patches) per second. Run it on an otherwise idle machine.

    Parameters
    ----------
    preset
        The network: small, best or paper.
    processes
        How many to run at once.
    threads
        Of each process; 0 divides the cores.
    batch
        Crops in a step of each process.
    crop
        Side of a crop in pixels.
    steps
        Steps to time, after two that warm up.
    precision
        auto measures whether bfloat16 products are faster here.
    kernels
        auto takes the C++ kernels where they compile, vector too, but no matrix unit (AMX), eager PyTorch's operations alone.
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
        f"{speed.preset}, {speed.precision}, {speed.kernels}, {speed.processes} x {speed.threads} threads, "
        f"batch {speed.batch} each, {speed.crop_px} px: "
        f"{speed.patches_per_s:.2f} patches/s (spread {speed.spread:.0%}), {speed.share:.0%} of the matrix-product rate, "
        f"{speed.product_gflops:.0f} GFLOP/s"
    )


@bench.command
def mcddl(
    preset: str = "small",
    /,
    *,
    threads: Threads = 0,
    batch: Count = 4,
    crop: Count = 112,
    cycles: Count = 2,
    kernels: Literal["auto", "vector", "eager"] = "auto",
) -> None:
    """Time steps of Algorithm 1, with and without the discriminator. Run it on an otherwise idle machine.

    Parameters
    ----------
    preset
        The network: small, best or paper.
    threads
        0 takes all cores.
    batch
        Crops in a step.
    crop
        Side of a crop in pixels.
    cycles
        Of five steps each, after one that warms up.
    kernels
        auto takes the C++ kernels where they compile, vector too, but no matrix unit (AMX), eager PyTorch's operations alone.
    """
    from derain.environment import environment_line
    from derain.train.benchmark.mcddl import bench_mcddl

    speed = bench_mcddl(
        preset, threads=threads, batch=batch, crop_px=crop, cycles=cycles, choice=kernels
    )
    print(environment_line("torch"))
    print(
        f"{speed.preset}, {speed.precision}, {speed.kernels}, {speed.threads} threads, batch {speed.batch}, {speed.crop_px} px: "
        f"{speed.alone_s:.2f} s a step without discriminator, {speed.adversarial_s:.2f} with the adversarial term, "
        f"{speed.both_s:.2f} with the discriminator's update too; {speed.mean_s:.2f} on average at r = {speed.every}, "
        f"of which the discriminator's share is {speed.share:.0%}"
    )


@bench.command
def restore(
    *,
    model: str = DEFAULT,
    engine: list[str] | None = None,
    precision: list[str] | None = None,
    size: list[str] | None = None,
    repeats: Count = 3,
) -> None:
    """Time the restoring of one picture with each engine, in seconds and MiB. Run it on an otherwise idle machine.

    Parameters
    ----------
    model
        The model's name or file.
    engine
        Engines to measure; default all that are installed.
    precision
        float32 and bfloat16 by default.
    size
        WIDTHxHEIGHT; default 481x321, 1920x1080 and 4000x3000.
    repeats
        Restorations of each, of which the median counts, after one that warms up; interleaved among engines.
    """
    from derain.cli.console import plain_console
    from derain.environment import environment_line
    from derain.inference.benchmark import bench_restore

    sizes = [parse_size(text, option="--size") for text in size or ()]
    table = bench_restore(
        model, engines=engine, precisions=precision, sizes=sizes or None, repeats=repeats
    )
    console = plain_console()
    console.print(environment_line())
    console.print(table)
