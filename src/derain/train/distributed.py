"""Keeps several processes in step: shares of a batch, signals, one clock, shared errors."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed

from derain.errors import DerainError

T = TypeVar("T")
PR_SET_PDEATHSIG = 1
"""From prctl(2)."""
LAST_TENSORS_S = 0.5
"""Seconds in which the threads of a group release the tensors of its last operations."""
PARENT_ENDS_S = 10.0
"""Seconds in which the first process of a machine ends, once its run has failed."""


def die_with_parent(parent: int) -> None:
    """On Linux, receive SIGTERM when `parent`, which started this process, ends.

    Otherwise this process would wait half an hour for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has already ended
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def leaving_group() -> Iterator[None]:
    """Leave the group of processes that was joined in a `with` block, however the block ends.

    Otherwise the group's threads run on while Python ends, which can abort the process. An error
    of the block is raised, not one that leaving the group adds to it. The first process of a
    machine reports it before the others end, since Fabric kills it once one of them has failed.
    """
    is_first = not int(os.environ.get("LOCAL_RANK", 0))
    parent = os.getppid()
    try:
        yield
    except BaseException:
        with suppress(RuntimeError):
            leave_group(is_first=is_first)
        end = time.monotonic() + PARENT_ENDS_S
        while not is_first and os.getppid() == parent and time.monotonic() < end:
            time.sleep(0.05)
        raise
    leave_group(is_first=is_first)


def leave_group(*, is_first: bool) -> None:
    """Leave the group of processes, if this process has joined one.

    A process that is not the first one of its machine ignores the end of the first one (see
    `die_with_parent`) from now on, since it is ending, too. PyTorch waits for the group's threads
    with the interpreter's lock held, which they need to release a tensor; so they get time to
    release all of them before that.
    """
    if distributed.is_available() and distributed.is_initialized():
        if not is_first:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(LAST_TENSORS_S)
        distributed.destroy_process_group()


def ignore_sigterm(_: int) -> None:
    """Ignore SIGTERM in a process that prepares crops.

    A signal to the whole process group is answered by the parent, which ends this process.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class BatchSampler:
    """Lists of crop indices for one process, from `first_step` on.

    Step s uses the indices s * batch to (s + 1) * batch, shared among `world_size` processes.
    """

    def __init__(self, *, batch: int, rank: int, world_size: int, first_step: int) -> None:
        self.batch, self.rank, self.world_size = batch, rank, world_size
        self.first_step = first_step

    def indices(self, step: int) -> list[int]:
        """Return the indices of one step."""
        share = self.batch // self.world_size
        first = step * self.batch + self.rank * share
        return list(range(first, first + share))

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first_step
        while True:
            yield self.indices(step)
            step += 1


class StopSignal:
    """Remembers Ctrl-C, SIGTERM and SIGHUP inside a `with` block until the step is over.

    SIGHUP is left to `nohup` if that ignores it. A second signal acts at once.
    """

    def __init__(self) -> None:
        self.received = False
        names = {"SIGINT", "SIGTERM", "SIGHUP"} & set(signal.Signals.__members__)
        signals = [signal.Signals[name] for name in names]
        self._previous = {
            number: signal.getsignal(number)
            for number in signals
            if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN
        }

    def __enter__(self) -> StopSignal:
        for number in self._previous:
            signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = True
        signal.signal(number, self._previous[signal.Signals(number)])

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def synchronise(
    fabric: Fabric, *, stopping: bool, failed: bool, hours: float
) -> tuple[bool, bool, float]:
    """Return whether any process is stopping or has failed, and the hours of the first one."""
    if fabric.world_size == 1:
        return stopping, failed, hours
    first_hours = hours if fabric.is_global_zero else 0.0
    values = torch.tensor([float(stopping), float(failed), first_hours], dtype=torch.float64)
    sums = cast(Tensor, fabric.all_reduce(values, reduce_op="sum"))
    return bool(sums[0] > 0), bool(sums[1] > 0), float(sums[2])


def on_rank_zero(fabric: Fabric, write: Callable[[], object]) -> None:
    """Call `write` in the first process, while the others wait for it.

    If it raises a DerainError or an OSError, all processes raise it.
    """
    failure: Exception | None = None
    if fabric.is_global_zero:
        try:
            write()
        except (DerainError, OSError) as error:
            if fabric.world_size == 1:
                raise
            failure = error
    if failure := fabric.broadcast(failure):
        raise failure


def on_all_ranks(fabric: Fabric, compute: Callable[[], T]) -> T:
    """Return the result of `compute` in each process.

    If one of them raises a DerainError or an OSError, all raise it, so that none waits for it.
    """
    if fabric.world_size == 1:
        return compute()
    result, failure = None, None
    try:
        result = compute()
    except (DerainError, OSError) as error:
        failure = error
    failures = cast(
        Tensor, fabric.all_reduce(torch.tensor(float(failure is not None)), reduce_op="sum")
    )
    if failures > 0:
        for rank in range(fabric.world_size):
            if rank_failure := fabric.broadcast(failure, src=rank):
                raise rank_failure
    return cast(T, result)
