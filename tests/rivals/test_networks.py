"""The rivals give the outputs of their official code, for any size of picture."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.seeded_weights import seeded_picture, seeded_weights

from derain.errors import WeightsError
from derain.rivals import NETWORKS, build
from derain.rivals.checkpoint import Checkpoint, load_into

FIXTURES = json.loads(Path(__file__).with_name("fixtures.json").read_text())
"""Made from the official code by `make_fixtures.py`; never from this one."""
PLACES = [(0, 0, 0), (1, 0, 31), (2, 31, 0), (0, 31, 31), (1, 10, 10), (2, 16, 5), (0, 5, 27)]
"""Places of the stored values, as in `make_fixtures.py`."""
FIXTURE_OF = {"ddn": "sirr"}
"""The same graph made both checkpoints."""


LARGE = {"dcsfn", "mspfn", "mspfn_m17n1", "rcdnet", "ssid-kd", "swinir", "wang"}
"""Networks that take seconds."""


def by_cost(names):
    """Return parameters for `pytest.mark.parametrize`, of which the large networks are slow."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in names]


@cache
def seeded(name: str):
    """Return a rival with the random weights of its fixture, not to be changed."""
    gain = FIXTURES[FIXTURE_OF.get(name, name)]["gain"]
    network = build(name)
    shapes = {network.official_name(n): tuple(t.shape) for n, t in network.state_dict().items()}
    arrays = seeded_weights(shapes, gain=gain)
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    load_into(network, Checkpoint(tensors, []), path="seeded")
    return network.eval()


@pytest.mark.parametrize("name", by_cost(NETWORKS))
def test_outputs_are_those_of_the_official_code(name):
    fixture = FIXTURES[FIXTURE_OF.get(name, name)]
    with torch.inference_mode():
        restored = seeded(name)(torch.from_numpy(seeded_picture()))[0].numpy()
    values = [restored[place] for place in PLACES]
    tolerance = 1e-4 * fixture["deviation"]
    np.testing.assert_allclose(values, fixture["values"], rtol=0, atol=tolerance)
    assert restored.mean() == pytest.approx(fixture["mean"], abs=tolerance)
    assert restored.std() == pytest.approx(fixture["deviation"], abs=tolerance)


@pytest.mark.parametrize("name", by_cost(sorted(NETWORKS)))
@pytest.mark.parametrize("size", [(1, 1), (17, 30)])
def test_any_size_is_restored(name, size):
    with torch.inference_mode():
        restored = build(name).eval()(torch.rand(1, 3, *size))
    assert restored.shape == (1, 3, *size)
    assert torch.isfinite(restored).all()


@pytest.mark.parametrize("name", by_cost(sorted(NETWORKS)))
def test_pictures_of_a_batch_do_not_mix(name):
    # random weights can amplify the rounding of float32
    network = copy.deepcopy(seeded(name)).double()
    picture = torch.from_numpy(seeded_picture(16, 16)).double()
    batch = torch.cat([picture, 1 - picture.flip(3)])
    with torch.inference_mode():
        both, second = network(batch), network(batch[1:])
    torch.testing.assert_close(both[1:], second, rtol=0, atol=1e-9)


def test_unknown_network_is_rejected():
    with pytest.raises(WeightsError, match="unknown rival network; choose from prenet"):
        build("prenet2")
