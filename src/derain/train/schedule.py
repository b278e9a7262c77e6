"""The learning rate as a function of progress.

It has no state of its own, so nothing has to be saved with the run.
"""

from __future__ import annotations

import math

from derain.train.recipe import Length, Schedule


def rate_factor(schedule: Schedule, length: Length, *, step: int, hours: float) -> float:
    """Return the factor of the learning rate after `step` updates and `hours` of training."""
    warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    if schedule.kind == "steps":
        passed = sum(step >= milestone for milestone in schedule.milestones)
        return warmup * schedule.factor**passed
    progress = min(1.0, hours / length.hours if schedule.by == "hours" else step / length.steps)
    if schedule.kind == "cosine":
        height = 0.5 * (1 + math.cos(math.pi * progress))
    else:
        height = min(1.0, (1 - progress) / schedule.fall)
    return warmup * (schedule.last + (1 - schedule.last) * height)
