"""The examples of docs/onnx.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import Restorer
from derain.weights import find

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")


def example(language):
    """Return the code block of a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return code


@pytest.fixture
def rainy(tmp_path, monkeypatch):
    """A picture as rainy.png beside small.onnx, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.onnx").symlink_to(find("small").onnx_path)
    image = np.asarray(Image.open(ROOT / "examples/rainy/rocket.jpg"))[100:180, 200:310]
    Image.fromarray(image).save("rainy.png")
    return image


def assert_equal(restored, rainy):
    expected = Restorer("small", engine="onnxruntime", precision="float32")(rainy)
    np.testing.assert_allclose(restored.astype(int), expected.astype(int), atol=1)


def test_python_example(rainy):
    exec(compile(example("python"), "docs/onnx.md", "exec"), {})
    assert_equal(np.asarray(Image.open("restored.png")), rainy)


@pytest.mark.slow
def test_javascript_example(rainy, tmp_path):
    modules = ROOT / "web/node_modules"
    if shutil.which("node") is None or not (modules / "onnxruntime-web").exists():
        if os.environ.get("CI"):
            pytest.fail("CI needs Node and onnxruntime-web; run `npm install` in web/")
        pytest.skip("needs Node and `npm install` in web/")
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "example.mjs").write_text(example("js"))
    alpha = np.full((*rainy.shape[:2], 1), 255, np.uint8)
    (tmp_path / "pixels").write_bytes(np.concatenate([rainy, alpha], 2).tobytes())
    height, width = rainy.shape[:2]
    (tmp_path / "run.mjs").write_text(
        "import { readFileSync, writeFileSync } from 'node:fs';\n"
        "import { derain } from './example.mjs';\n"
        "const result = await derain(readFileSync('small.onnx'), readFileSync('pixels'), "
        f"{width}, {height});\n"
        "writeFileSync('result', result);\n"
        "process.exit(0);\n"
    )
    subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True, timeout=300)
    result = np.fromfile(tmp_path / "result", np.uint8).reshape(height, width, 4)
    assert_equal(result[..., :3], rainy)


def test_contract_names_the_tensors():
    assert "`rainy`" in PAGE
    assert "`restored`" in PAGE
