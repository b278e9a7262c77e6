"""Training of networks that see three frames."""

import pytest
import torch
from helpers.networks import TINY
from helpers.train_commands import events, run

from derain.data.pairs.folder import PairFolder
from derain.errors import RecipeError, WeightsError
from derain.network import PLNLIN
from derain.network.weights_file import load_weights
from derain.train.recipe import Validation
from derain.train.validation import (
    clip_names,
    load_neighbours,
    neighbour_places,
    validate,
    validation_pairs,
)

THREE_FRAMES = [
    "network.frames=3",
    'data.pairs=[{folder="pairs", clip=true, only=["0", "1", "2", "3"]}]',
    'validation.pairs=[{folder="pairs", clip=true, only=["4", "5"]}]',
    "data.mix.recombined=0.5",
    "data.mix.rendered=0.5",
]


def test_a_network_for_clips_trains_from_weights_for_pictures(finished):
    other = f"record.folder={finished / 'other'}"
    weights = finished / "run/weights.safetensors"
    run(finished, *THREE_FRAMES, other, "length.steps=1", weights=weights)
    configuration, tensors, card = load_weights(finished / "other/weights.safetensors")
    assert configuration.frames == 3
    assert tensors["enter.weight"][:, :3].abs().sum() > 0
    assert set(card["validation"]) == {"pairs", "mean"}


def test_a_run_can_be_resumed(project):
    run(project, *THREE_FRAMES, "length.steps=1", "validation.pairs=[]")
    run(project, *THREE_FRAMES, "length.steps=2", "validation.pairs=[]", resume=True)
    assert [event["step"] for event in events(project)] == [1, 2]


def test_weights_for_clips_start_no_run_for_pictures(project):
    run(project, *THREE_FRAMES, "length.steps=1", "validation.pairs=[]")
    other = [f"record.folder={project / 'other'}", "length.steps=1", "validation.pairs=[]"]
    with pytest.raises(WeightsError, match=r"network\.frames = 3, but the recipe has 1"):
        run(project, *other, weights=project / "run/weights.safetensors")


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("loss.beta=1", "the discriminator compares single pictures"),
        ("network.frames=5", "crops have at most 3 frames"),
    ],
)
def test_what_cannot_be_trained_is_rejected(project, override, fact):
    with pytest.raises(RecipeError, match=fact):
        run(project, *THREE_FRAMES, override)


@pytest.fixture
def clip(shared_data):
    folder = PairFolder(str(shared_data / "pairs"), clip=True)
    return Validation((folder,))


def test_neighbours_of_validation_are_frames_of_the_same_clip(clip):
    pairs, _ = validation_pairs(clip)
    first = pairs[0][1].load()[0]
    places = neighbour_places(pairs, {name for name, _ in pairs})
    before, after = load_neighbours(pairs, 0, places[0], is_aligned=False)
    assert (before == first).all()
    assert (after == pairs[1][1].load()[0]).all()


def test_neighbours_change_the_score_of_clips_only(clip):
    torch.manual_seed(0)
    network = PLNLIN(TINY.__class__(**{**vars(TINY), "frames": 3}))
    pairs, _ = validation_pairs(clip)
    device = torch.device("cpu")
    still = validate(network, pairs[:2], device=device)
    seen = validate(network, pairs[:2], device=device, clips=clip_names(clip), is_aligned=False)
    assert not torch.allclose(seen, still)
