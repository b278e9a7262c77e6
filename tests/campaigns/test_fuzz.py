"""The targets of the fuzzing campaign, with seeded changes of their examples."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("av")

from campaigns.fuzz import TARGETS, seeds
from campaigns.mutations import RANDOM, TEXT

CASES = 150


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_parser_raises_what_its_callers_expect(name):
    rng = random.Random(f"fuzz {name}")
    for example in seeds()[name]:
        TARGETS[name](example)
        for _ in range(CASES):
            change = rng.choice(RANDOM + TEXT)
            TARGETS[name](change(example, rng))
