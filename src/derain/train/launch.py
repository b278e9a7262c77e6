"""What surrounds a run: its processes, the lock of its folder, errors of disk and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from derain.errors import RecipeError, TrainingError
from derain.files.atomic import remove_stale_temporaries
from derain.train.distributed import die_with_parent, on_rank_zero
from derain.train.precision import fastest_precision
from derain.train.recipe import Machine, Precision

PRECISION = "DERAIN_PRECISION"
PARENT = "DERAIN_PARENT"
"""Environment variables that pass the chosen precision and the number of the first process of a
machine to the others."""


def launch(machine: Machine) -> tuple[Fabric, Precision]:
    """Start the processes of the run in one precision, and return it.

    Raises RecipeError for missing devices, and if `auto` selects different precisions in
    different processes.
    """
    precision = machine.precision
    if precision == "auto":
        precision = cast(Precision, os.environ.get(PRECISION)) or fastest_precision(
            machine.accelerator
        )
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=machine.processes,
            num_nodes=machine.nodes,
            strategy="ddp" if machine.processes * machine.nodes > 1 else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise RecipeError(
            f"machine: {error}; change machine.processes or machine.accelerator"
        ) from error
    if PARENT in os.environ:
        die_with_parent(int(os.environ[PARENT]))
    os.environ |= {PRECISION: precision, PARENT: str(os.getpid())}
    try:
        with named_main_module():
            fabric.launch()
    finally:
        del os.environ[PRECISION], os.environ[PARENT]
    is_bfloat16 = torch.tensor(float(precision == "bf16-mixed"))
    count = cast(Tensor, fabric.all_reduce(is_bfloat16, reduce_op="sum"))
    if count not in (0, fabric.world_size):
        raise RecipeError(
            "machine.precision = 'auto' selects bfloat16 in some processes and float32 in "
            "others; set one of them"
        )
    return fabric, precision


@contextmanager
def named_main_module() -> Iterator[None]:
    """Give this program a name in the block, by which Fabric starts the other processes.

    `derain.exe` on Windows is an archive, whose main module has none.
    """
    main = sys.modules["__main__"]
    own = main.__spec__
    if own is not None and own.name == "__main__":
        main.__spec__ = find_spec("derain.__main__")
    try:
        yield
    finally:
        main.__spec__ = own


@contextmanager
def run_lock(fabric: Fabric, folder: Path) -> Iterator[None]:
    """Keep other runs out of `folder`.

    Raises TrainingError, in every process, if another run is training there.
    """
    with ExitStack() as locks:

        def enter() -> None:
            try:
                locks.enter_context(FileLock(folder / ".lock", timeout=0))
            except Timeout as error:
                raise TrainingError(
                    f"{folder}: another run is training in this folder; "
                    f"wait until it ends, or change record.folder"
                ) from error
            remove_stale_temporaries(folder)

        on_rank_zero(fabric, enter)
        yield


@contextmanager
def training_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk and the memory into a TrainingError with a remedy."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{error.filename or folder}: {error.strerror or error}; what was saved before is "
            f"kept, free some space or change record.folder"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if "DataLoader worker" in str(error):
            raise TrainingError(
                f"{folder}: a process that prepares crops was killed, as by a full memory; what "
                f"was saved before is kept, continue with --resume and a lower machine.workers"
            ) from error
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{folder}: the memory is full; what was saved before is kept, reduce "
            f"optimiser.batch, data.crop_px, network.channels or machine.cache_mib"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """True for a full memory, reported by numpy, a GPU or PyTorch's allocator of CPU memory.

    The latter has no exception of its own.
    """
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "DefaultCPUAllocator" in str(error)
    )
