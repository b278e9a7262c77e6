"""A sample of the campaign: `--strength 0` returns the picture that it read."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("av")
pytest.importorskip("pillow_heif")

from campaigns.picture_identity import LAYOUTS, all_cases, run_case

from derain import Restorer

CASES_PER_FORMAT = 25


@pytest.mark.slow
@pytest.mark.parametrize("suffix", LAYOUTS)
def test_strength_0_loses_nothing_silently(suffix, networks, tmp_path):
    restorer = Restorer(networks / "darkening.onnx", precision="float32")
    cases = [case for case in all_cases() if case.suffix == suffix]
    random.Random(7).shuffle(cases)
    outcomes = [run_case(case, restorer, tmp_path) for case in cases[:CASES_PER_FORMAT]]
    assert [o for o in outcomes if o.status in {"lost", "crashed"}] == []
    assert any(outcome.status == "restored" for outcome in outcomes)
