"""The shipped weights restore the example pictures, as the README's first command does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derain
from derain.cli.main import main
from derain.evaluate.metrics import psnr, ssim

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.name for path in (EXAMPLES / "rainy").glob("*.jpg"))


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def restored(tmp_path_factory) -> Path:
    """The restored example pictures."""
    out = tmp_path_factory.mktemp("restored")
    assert main([str(EXAMPLES / "rainy"), "-o", str(out), "--quiet"]) == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("name", NAMES)
def test_restored_example_is_closer_to_clean(metric, name, restored):
    clean, rainy, output = (
        read(folder / name) / 255 for folder in (EXAMPLES / "clean", EXAMPLES / "rainy", restored)
    )
    assert metric(output, clean) > metric(rainy, clean)


def test_fast_model_restores_a_crop():
    rainy, clean = (read(EXAMPLES / side / NAMES[0])[:112, :112] for side in ("rainy", "clean"))
    restored = derain.restore(rainy, model="fast")
    assert restored.shape == rainy.shape
    assert restored.dtype == rainy.dtype
    assert psnr(restored / 255, clean / 255) > psnr(rainy / 255, clean / 255)
