"""`ClipRestorer`: frames with their neighbours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import derain
from derain.errors import WeightsError
from derain.inference.clip_restorer import ClipRestorer
from derain.weights import CLIP_DEFAULT


@pytest.fixture(scope="module")
def averaging(networks) -> ClipRestorer:
    """A restorer that averages three frames."""
    return ClipRestorer(networks / "averaging.onnx", precision="float32")


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (5, 3, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_for_clips_sees_three_frames(averaging, shape, dtype):
    before, frame, after = (np.full(shape, level, dtype) for level in (30, 60, 120))
    restored = averaging.restore_frame(frame, before, after)
    assert restored.shape == shape and restored.dtype == dtype
    assert (restored == 70).all()


def test_tiles_of_neighbours_are_cut_at_the_same_place(networks, rng):
    tiled = ClipRestorer(networks / "averaging.onnx", precision="float32", tile_px=168)
    frames = rng.integers(0, 256, (3, 300, 400, 3), np.uint8)
    restored = tiled.restore_frame(frames[1], frames[0], frames[2])
    np.testing.assert_allclose(restored, frames.mean(axis=0), atol=0.51)


def test_a_network_for_pictures_restores_each_frame(networks, rng):
    blurring = ClipRestorer(networks / "blurring.onnx", precision="float32")
    before, frame, after = rng.integers(0, 256, (3, 20, 30, 3), np.uint8)
    assert np.array_equal(blurring.restore_frame(frame, before, after), blurring(frame))


def test_a_network_for_clips_restores_no_pictures(networks):
    with pytest.raises(WeightsError, match=r"averaging\.onnx: restores clips, .* 3 frames; choose"):
        derain.Restorer(networks / "averaging.onnx")


def test_more_than_three_frames_are_rejected(make_network):
    path = make_network("five", configuration='{"channels": [16], "frames": 5}')
    with pytest.raises(WeightsError, match="needs 5 frames, but this version"):
        ClipRestorer(path)


def test_default_model_is_the_one_for_clips(monkeypatch):
    monkeypatch.setattr("derain.inference.restorer.open_engine", lambda *_, **__: SimpleNamespace())
    assert ClipRestorer().model.name == CLIP_DEFAULT


def test_views_of_a_window_are_averaged(networks):
    before, frame, after = (np.full((40, 50, 3), level, np.uint8) for level in (30, 60, 120))
    restorer = ClipRestorer(networks / "averaging.onnx", precision="float32", ensemble=4)
    assert (restorer.restore_frame(frame, before, after) == 70).all()


def test_a_network_for_clips_rejects_a_frame_without_neighbours(averaging):
    with pytest.raises(WeightsError, match="restores clips, since it needs 3 frames"):
        averaging(np.zeros((40, 50, 3), np.uint8))
