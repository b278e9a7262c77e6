"""The main job with the shipped weights: the example pictures, as the README's first line restores them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derain
from derain.cli.main import main
from derain.evaluate.metrics import psnr, ssim

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.name for path in (EXAMPLES / "rainy").glob("*.jpg"))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")) / 255


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    out = tmp_path_factory.mktemp("restored")
    assert main([str(EXAMPLES / "rainy"), "-o", str(out), "--quiet"]) == 0
    return out


@pytest.mark.parametrize("name", NAMES)
def test_example_comes_out_closer_to_its_clean_side(restored, name):
    clean, rainy, dry = (
        pixels(folder / name) for folder in (EXAMPLES / "clean", EXAMPLES / "rainy", restored)
    )
    assert ssim(dry, clean) > ssim(rainy, clean)
    assert psnr(dry, clean) > psnr(rainy, clean)


def test_restoring_imports_no_torch(tmp_path):
    code = (
        "import numpy, sys, derain\n"
        "derain.restore(numpy.zeros((60, 60, 3), numpy.uint8))\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_restored_array_has_the_shape_and_dtype_of_the_rainy_one():
    rainy = np.asarray(Image.open(EXAMPLES / "rainy" / NAMES[0]).convert("RGB"))[:70, :90]
    out = derain.restore(rainy)
    assert (out.shape, out.dtype) == (rainy.shape, rainy.dtype)
