"""Ensembles of 4 and 8 views."""

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
    # the ramps of the eight views cancel out
    np.testing.assert_allclose(Ensemble(Engine())(rainy), rainy, atol=1e-6)


@pytest.mark.parametrize("views", [4, 8])
def test_number_of_views(views, rng):
    views_seen = []

    class RecordingEngine(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            views_seen.append(rainy.tobytes())
            return rainy

    Ensemble(RecordingEngine(), views=views)(rng.random((1, 3, 4, 4), dtype=np.float32))
    assert len(set(views_seen)) == views


def test_four_views_have_no_quarter_turns():
    """Falling rain stays upright, for networks that have not learned other rain."""
    sizes = set()

    class RecordingEngine(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            sizes.add(rainy.shape)
            return rainy

    Ensemble(RecordingEngine(), views=4)(np.zeros((1, 3, 4, 6), np.float32))
    assert sizes == {(1, 3, 4, 6)}


def test_views_of_one_size_are_together():
    """Otherwise it would compile more than twice for each tile."""
    calls = []

    class RecordingEngine(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            calls.append((rainy.shape[2:], one_size))
            return rainy

    Ensemble(RecordingEngine())(np.zeros((1, 3, 4, 6), np.float32), one_size=True)
    assert calls == [((4, 6), True)] * 4 + [((6, 4), True)] * 4


def test_network_for_clips_sees_all_frames_in_each_view(rng):
    class CentreFrame(Engine):
        def __call__(self, rainy: np.ndarray, *, one_size: bool = False) -> np.ndarray:
            return rainy[:, 3:6]

    frames = rng.random((2, 9, 5, 8), dtype=np.float32)
    np.testing.assert_allclose(Ensemble(CentreFrame())(frames), frames[:, 3:6], rtol=1e-6)


def test_other_number_of_views_is_rejected():
    with pytest.raises(EngineError, match="unknown ensemble of 5 views; choose 4 or 8"):
        Ensemble(Engine(), views=5)


def test_device_mentions_the_views(networks):
    assert Restorer(networks / "copying.onnx", ensemble=8).engine.device.endswith("mean of 8 views")


def test_ensemble_of_a_symmetric_network_changes_nothing(networks, rng):
    rainy = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    single, ensemble = (
        Restorer(networks / "blurring.onnx", precision="float32", ensemble=views)(rainy)
        for views in (1, 8)
    )
    assert np.abs(single.astype(int) - ensemble).max() <= 1
