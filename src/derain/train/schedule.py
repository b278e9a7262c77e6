"""The learning rate as a function of progress, without a state of its own: nothing to save, nothing to go out of step."""

from __future__ import annotations

import math

from derain.train.recipe import Length, Schedule


def rate_factor(schedule: Schedule, length: Length, *, step: int, hours: float) -> float:
    """The factor of the learning rate for the update after `step` updates and `hours` of training."""
    warm = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    if schedule.kind == "steps":
        return warm * schedule.factor ** sum(step >= milestone for milestone in schedule.milestones)
    done = min(1.0, hours / length.hours if schedule.by == "hours" else step / length.steps)
    height = (
        0.5 * (1 + math.cos(math.pi * done))
        if schedule.kind == "cosine"
        else min(1.0, (1 - done) / schedule.fall)
    )
    return warm * (schedule.last + (1 - schedule.last) * height)
