"""The SSIM of the training loss and the SSIM of the evaluation have one definition."""

import numpy as np
import pytest

from derain.evaluate.metrics import ssim

torch = pytest.importorskip("torch")
losses = pytest.importorskip("derain.train.losses")


@pytest.mark.parametrize("border", ["zero", "valid"])
@pytest.mark.parametrize("size", [(11, 11), (23, 57), (112, 112)])
def test_ssim_metric_equals_the_loss(border, size):
    rng = np.random.default_rng(3)
    clean = rng.random((2, *size, 3))
    restored = np.clip(clean + rng.normal(0, 0.1, clean.shape), 0, 1)
    x, y = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()) for images in (restored, clean))
    by_metric = np.mean([ssim(a, b, border=border) for a, b in zip(restored, clean, strict=True)])
    assert losses.ssim(x, y, border=border).item() == pytest.approx(by_metric, abs=1e-6)
