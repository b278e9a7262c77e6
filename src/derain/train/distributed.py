"""What keeps several processes in step: shares of a batch, signals, and one clock."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from derain.errors import DerainError

Made = TypeVar("Made")
PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def die_with_parent(parent: int) -> None:
    """On Linux, let SIGTERM come when `parent`, which started this process, ends: or this one waits half an hour for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has ended already
            signal.raise_signal(signal.SIGTERM)


def ignore_sigterm(_: int) -> None:
    """Let a process that prepares crops ignore SIGTERM: to a whole group it is the parent's to answer, which ends this one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class BatchSampler:
    """Index lists for one process of `world`, from `first_step` on: step s takes the indices s * batch to (s + 1) * batch."""

    def __init__(self, *, batch: int, rank: int, world: int, first_step: int) -> None:
        self.batch, self.rank, self.world, self.first_step = batch, rank, world, first_step

    def of(self, step: int) -> list[int]:
        """The indices of one step."""
        share = self.batch // self.world
        first = step * self.batch + self.rank * share
        return list(range(first, first + share))

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first_step
        while True:
            yield self.of(step)
            step += 1


class StopSignal:
    """Remembers Ctrl-C, SIGTERM and the end of the terminal until the step is over; `nohup` keeps the last of them away."""

    def __init__(self) -> None:
        self.received = False
        known = [
            signal.Signals[name]
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
            if name in signal.Signals.__members__
        ]
        caught = [
            one for one in known if one.name != "SIGHUP" or signal.getsignal(one) != signal.SIG_IGN
        ]
        self.before = {one: signal.signal(one, self._receive) for one in caught}

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = True
        signal.signal(number, self.before[signal.Signals(number)])  # a second one acts at once

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


def synchronise(fabric: Fabric, stopping: bool, hours: float) -> tuple[bool, float]:
    """Let all processes stop together, and go by the clock of the first."""
    if fabric.world_size == 1:
        return stopping, hours
    facts = torch.tensor(
        [float(stopping), hours if fabric.is_global_zero else 0.0], dtype=torch.float64
    )
    sums = cast(Tensor, fabric.all_reduce(facts, reduce_op="sum"))
    return bool(sums[0] > 0), float(sums[1])


def is_due(fabric: Fabric, seconds: float, minutes: float) -> bool:
    """Whether `minutes` have gone by on the clock of the first process."""
    return (
        bool(fabric.broadcast(seconds >= 60 * minutes))
        if fabric.world_size > 1
        else seconds >= 60 * minutes
    )


def on_rank_zero(fabric: Fabric, write: Callable[[], object]) -> None:
    """Let the first process write, while the others wait for it. What it raises of disks and data, all of them raise."""
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


def on_all_ranks(fabric: Fabric, make: Callable[[], Made]) -> Made:
    """What each process makes by itself. What one of them raises of disks and data, all of them raise: none waits for it."""
    if fabric.world_size == 1:
        return make()
    made, failure = None, None
    try:
        made = make()
    except (DerainError, OSError) as error:
        failure = error
    failed = cast(
        Tensor, fabric.all_reduce(torch.tensor(float(failure is not None)), reduce_op="sum")
    )
    for rank in range(fabric.world_size) if failed > 0 else ():
        if other := fabric.broadcast(failure, src=rank):
            raise other
    return cast(Made, made)
