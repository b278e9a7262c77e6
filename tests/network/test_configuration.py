import json

import pytest

from derain.errors import WeightsError
from derain.network import SMALL, PLNLINConfiguration, preset


def test_json_round_trip():
    assert PLNLINConfiguration.from_json(SMALL.to_json()) == SMALL


def test_weights_without_unshuffle_have_none():
    values = json.loads(SMALL.to_json())
    del values["unshuffle"]
    assert PLNLINConfiguration.from_mapping(values) == SMALL


def test_early_runs_did_not_normalise_the_content():
    values = json.loads(SMALL.to_json())
    del values["normalised_content"]
    assert not PLNLINConfiguration.from_saved(values).normalised_content


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_multiple_is_whole_windows_of_unshuffled_squares(unshuffle):
    assert PLNLINConfiguration(unshuffle=unshuffle).multiple_px == 56 * unshuffle


@pytest.mark.parametrize(
    ("values", "fact"),
    [
        ({"channels": (16, 32)}, "channels"),
        ({"stages": (0, 1, 1, 1)}, "stages"),
        ({"discriminator_channels": (4,)}, "discriminator_channels"),
        ({"head_stages": 0}, "head_stages = 0 is out of range"),
        ({"unshuffle": 0}, "unshuffle = 0 cannot be exported; choose 1, 2 or 4"),
        ({"unshuffle": 3}, "unshuffle = 3 cannot be exported; choose 1, 2 or 4"),
        ({"unshuffle": 8}, "unshuffle = 8 cannot be exported; choose 1, 2 or 4"),
        ({"frames": 2}, "frames = 2 has no centre frame"),
        ({"frames": 0}, "frames = 0 has no centre frame"),
        ({"shift_px": 7}, "shift_px = 7 is out of range"),
        ({"attention_heads": 5}, "not all divisible by attention_heads = 5"),
        ({"attention_heads": 2, "discriminator_channels": (5, 5, 7, 8)}, "not all divisible"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_invalid_configuration_is_rejected(values, fact):
    with pytest.raises(WeightsError, match=fact):
        PLNLINConfiguration.from_mapping(values)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(WeightsError, match="paper, small"):
        preset("huge")
