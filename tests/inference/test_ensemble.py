"""Eight views of one picture."""

from __future__ import annotations

import numpy as np
import pytest

from derain import Restorer
from derain.errors import EngineError
from derain.inference.engines.ensemble import Ensemble


class Engine:
    """A network that is the same for no two views: it adds a ramp from left to right."""

    name, device, precision, bytes_px = "toy", "cpu", "float32", 7

    def __call__(self, rainy: np.ndarray) -> np.ndarray:
        return rainy + np.linspace(-1, 1, rainy.shape[3], dtype=np.float32)


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (2, 6)])
def test_views_are_turned_back(size, rng):
    rainy = rng.random((2, 3, *size), dtype=np.float32)
    np.testing.assert_allclose(
        Ensemble(Engine())(rainy), rainy, atol=1e-6
    )  # the ramps of eight views cancel


@pytest.mark.parametrize("views", [4, 8])
def test_as_many_views_are_seen(views, rng):
    seen = []

    class Noting(Engine):
        def __call__(self, rainy: np.ndarray) -> np.ndarray:
            seen.append(rainy.tobytes())
            return rainy

    Ensemble(Noting(), views=views)(rng.random((1, 3, 4, 4), dtype=np.float32))
    assert len(set(seen)) == views


def test_four_views_leave_down_and_across_alone():
    """Rain that falls stays upright: a network that was shown no other rain is asked about no other."""
    sizes = set()

    class Noting(Engine):
        def __call__(self, rainy: np.ndarray) -> np.ndarray:
            sizes.add(rainy.shape)
            return rainy

    Ensemble(Noting(), views=4)(np.zeros((1, 3, 4, 6), np.float32))
    assert sizes == {(1, 3, 4, 6)}


def test_another_number_of_views_is_refused():
    with pytest.raises(EngineError, match="an ensemble of 5 views is not known; take 4 or 8"):
        Ensemble(Engine(), views=5)


def test_the_device_says_so(networks):
    assert Restorer(networks / "copying.onnx", ensemble=8).engine.device.endswith("mean of 8 views")


def test_a_picture_goes_through_as_with_one_view(networks, rng):
    rainy = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one, eight = (
        Restorer(networks / "blurring.onnx", precision="float32", ensemble=views)
        for views in (1, 8)
    )
    assert (
        np.abs(one(rainy).astype(int) - eight(rainy)).max() <= 1
    )  # a symmetric blur looks alike from all sides
