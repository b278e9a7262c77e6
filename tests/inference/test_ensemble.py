"""The ensemble of four flips."""

from __future__ import annotations

import numpy as np
import pytest

from derain import Restorer
from derain.errors import EngineError
from derain.inference.engines.ensemble import Ensemble


class Engine:
    """Adds a ramp from left to right, so that the result differs between views."""

    name = "toy"
    device = "cpu"
    precision = "float32"
    bytes_per_px = one_size_bytes_per_px = 7

    def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
        return rainy + np.linspace(-1, 1, rainy.shape[3], dtype=np.float32)


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (2, 6)])
def test_views_are_transformed_back(size, rng):
    rainy = rng.random((2, 3, *size), dtype=np.float32)
    # the ramps of the views cancel out
    np.testing.assert_allclose(Ensemble(Engine())(rainy), rainy, atol=1e-6)


def test_number_of_views(rng):
    views_seen = []

    class RecordingEngine(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            views_seen.append(rainy.tobytes())
            return rainy

    Ensemble(RecordingEngine())(rng.random((1, 3, 4, 4), dtype=np.float32))
    assert len(set(views_seen)) == 4


def test_views_have_one_size():
    """Falling rain stays upright, since networks have not learned other rain."""
    calls = []

    class RecordingEngine(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            calls.append((rainy.shape[2:], one_size))
            return rainy

    Ensemble(RecordingEngine())(np.zeros((1, 3, 4, 6), np.float32), one_size=True)
    assert calls == [((4, 6), True)] * 4


def test_network_for_clips_sees_all_frames_in_each_view(rng):
    class CentreFrame(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            return rainy[:, 3:6]

    frames = rng.random((2, 9, 5, 8), dtype=np.float32)
    np.testing.assert_allclose(Ensemble(CentreFrame())(frames), frames[:, 3:6], rtol=1e-6)


def test_other_number_of_views_is_rejected():
    with pytest.raises(EngineError, match="unknown ensemble of 8 views; choose 1 or 4"):
        Ensemble(Engine(), views=8)


def test_device_mentions_the_views(networks):
    assert Restorer(networks / "copying.onnx", ensemble=4).engine.device.endswith("mean of 4 views")


def test_ensemble_of_a_symmetric_network_changes_nothing(networks, rng):
    rainy = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    single, ensemble = (
        Restorer(networks / "blurring.onnx", precision="float32", ensemble=views)(rainy)
        for views in (1, 4)
    )
    assert np.abs(single.astype(int) - ensemble).max() <= 1
