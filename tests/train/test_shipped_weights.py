"""The shipped weights on pictures with extreme colours and contrast."""

from pathlib import Path

import numpy as np
import pytest
import torch

from derain import pictures
from derain.network.weights_file import load_network
from derain.weights import models

RAINY = sorted((Path(__file__).parents[2] / "examples/rainy").glob("*.jpg"))


@pytest.mark.slow
@pytest.mark.parametrize("model", models())
@pytest.mark.parametrize(("saturation", "contrast"), [(1, 1), (2, 1.7), (4, 4)])
def test_features_stay_bounded(model, saturation, contrast):
    """Each stage may double its input. Overgrown weights turned such crops into 1e8."""
    network, _ = load_network(model)
    features = []
    for level in network.decoder:
        level.register_forward_hook(
            lambda _, __, output: features.append(output.abs().max().item())
        )
    for path in RAINY:
        rgb = pictures.read(path).pixels[:336, :336].astype(np.float32) / 255
        grey = rgb.mean(axis=2, keepdims=True)
        hard = np.clip((grey + saturation * (rgb - grey) - 0.5) * contrast + 0.5, 0, 1)
        frames = network.configuration.frames
        rainy = torch.from_numpy(np.tile(hard.transpose(2, 0, 1), (frames, 1, 1))[None])
        with torch.no_grad():
            network(rainy)
    assert max(features) < 100
