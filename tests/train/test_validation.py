"""Whole pictures, restored and scored during a run."""

import numpy as np
import pytest
import torch
from PIL import Image

from derain.data.pairs.pair import Pair
from derain.evaluate.protocols import PROTOCOLS, score
from derain.network import PLNLIN, PLNLINConfiguration
from derain.train.validation import distinct_suffixes, mean_scores, validate

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PLNLIN(
        PLNLINConfiguration(
            preset="tiny", channels=(4, 4, 4, 4), stages=(1, 1, 1, 1), head_stages=1
        )
    )


@pytest.fixture
def pairs(tmp_path, rng):
    """Three pairs in two folders, with sizes that are not multiples of a window."""
    found = []
    for i, (folder, size_px) in enumerate(
        [("light", (60, 70)), ("light", (90, 61)), ("heavy", (57, 113))]
    ):
        paths = [tmp_path / f"{i}_{side}.png" for side in ("rainy", "clean")]
        for path in paths:
            Image.fromarray(rng.integers(0, 256, (*size_px[::-1], 3), dtype=np.uint8)).save(path)
        found.append((folder, Pair(str(i), *paths, size_px)))
    return found


@torch.no_grad()
def restored_whole(network, rainy):
    x = torch.from_numpy(rainy).permute(2, 0, 1)[None].float() / 255
    return network.eval()(x)[0].permute(1, 2, 0).numpy()


def test_scores_are_those_of_the_protocol(network, pairs):
    scores = validate(network, pairs, device=CPU)
    for found, (_, pair) in zip(scores, pairs, strict=True):
        rainy, clean = pair.load()
        expected = score(PROTOCOLS["paper"], restored_whole(network, rainy), clean)
        assert found.tolist() == pytest.approx([expected.psnr, expected.ssim], abs=1e-3)


def test_processes_share_the_pictures(network, pairs):
    shares = [validate(network, pairs, device=CPU, rank=rank, world_size=2) for rank in (0, 1)]
    assert [int((share != 0).any(dim=1).sum()) for share in shares] == [2, 1]
    torch.testing.assert_close(sum(shares), validate(network, pairs, device=CPU))


def test_large_picture_is_restored_in_tiles(network, rng, tmp_path, monkeypatch):
    monkeypatch.setattr("derain.train.validation.TILE_PX", 224)
    Image.fromarray(rng.integers(0, 256, (112, 560, 3), dtype=np.uint8)).save(tmp_path / "wide.png")
    sides = []
    network.register_forward_hook(lambda _, inputs, output: sides.append(max(inputs[0].shape[2:])))
    validate(
        network,
        [("wide", Pair("wide", tmp_path / "wide.png", tmp_path / "wide.png", (560, 112)))],
        device=CPU,
    )
    assert len(sides) > 2 and max(sides) <= 224


def test_mean_is_over_folders(pairs):
    found = mean_scores(
        pairs, torch.tensor([[30.0, 0.8], [32.0, 0.9], [20.0, 0.5]], dtype=torch.float64)
    )
    assert found == {"light": [31.0, 0.85], "heavy": [20.0, 0.5], "mean": [25.5, 0.675]}


def test_network_returns_to_training_mode(network, pairs):
    validate(network.train(), pairs[:1], device=CPU)
    assert network.training


def test_folders_are_named_by_their_distinct_suffixes():
    assert distinct_suffixes(["/data/rain100L", "/data/rain100H"]) == ["rain100L", "rain100H"]
    assert distinct_suffixes(["/data/Rain200H/test", "/data/Rain200L/test"]) == [
        "Rain200H/test",
        "Rain200L/test",
    ]
    assert distinct_suffixes(["/data/a/test", "/data/a/test"]) == ["test", "test"]
    assert distinct_suffixes([]) == []
    assert distinct_suffixes(["/data/mean", "/data/other"]) == [
        "data/mean",
        "data/other",
    ]  # `mean` is the mean over folders
