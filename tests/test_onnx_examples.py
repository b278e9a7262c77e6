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
from derain.weights import find, models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/onnx.md").read_text(encoding="utf-8")


def example(language):
    """Return the code block of a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return code


@pytest.fixture
def rainy(tmp_path, monkeypatch):
    """A picture as rainy.png beside fast.onnx, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast.onnx").symlink_to(find("fast").onnx_path)
    image = np.asarray(Image.open(ROOT / "examples/rainy/rocket.jpg"))[100:180, 200:310]
    Image.fromarray(image).save("rainy.png")
    return image


def assert_equal(restored, rainy):
    expected = Restorer("fast", engine="onnxruntime", precision="float32")(rainy)
    np.testing.assert_allclose(restored.astype(int), expected.astype(int), atol=1)


def test_python_example(rainy):
    exec(compile(example("python"), "docs/onnx.md", "exec"), {})
    assert_equal(np.asarray(Image.open("restored.png")), rainy)


@pytest.mark.parametrize("name", models())
def test_documented_opset_is_that_of_the_file(name):
    onnx = pytest.importorskip("onnx")
    (opset,) = onnx.load(find(name).onnx_path).opset_import
    assert f"| opset | {opset.version}," in PAGE


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
        "const result = await derain(readFileSync('fast.onnx'), readFileSync('pixels'), "
        f"{width}, {height});\n"
        "writeFileSync('result', result);\n"
        "process.exit(0);\n"
    )
    subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True, timeout=300)
    result = np.fromfile(tmp_path / "result", np.uint8).reshape(height, width, 4)
    assert_equal(result[..., :3], rainy)


HEADERS = Path(os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime"))
MAIN = """
#include "example.hpp"
#include <fstream>
#include <string>
int main(int, char** argument) {
  const int64_t h = std::stoll(argument[1]), w = std::stoll(argument[2]);
  std::vector<float> planes(3 * h * w);
  const auto size = static_cast<std::streamsize>(planes.size() * sizeof(float));
  std::ifstream("planes", std::ios::binary).read(reinterpret_cast<char*>(planes.data()), size);
  const auto restored = derain("fast.onnx", planes, h, w);
  std::ofstream("result", std::ios::binary)
      .write(reinterpret_cast<const char*>(restored.data()), size);
}
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None or not (HEADERS / "onnxruntime_cxx_api.h").exists(),
    reason="needs g++, and ONNXRUNTIME_INCLUDE: the folder of onnxruntime_cxx_api.h",
)
def test_cpp_example(rainy, tmp_path):
    capi = Path(pytest.importorskip("onnxruntime").__file__).parent / "capi"
    libraries = sorted(capi.glob("libonnxruntime.so.1.*"))
    if not libraries:
        pytest.skip("this build of onnxruntime has no shared library of its own")
    (tmp_path / "libonnxruntime.so.1").symlink_to(libraries[-1])  # its SONAME
    (tmp_path / "example.hpp").write_text(example("cpp"))
    (tmp_path / "main.cpp").write_text(MAIN)
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-isystem", HEADERS]
    library = ["libonnxruntime.so.1", "-Wl,-rpath,$ORIGIN"]
    command = ["g++", *options, "main.cpp", *library, "-o", "example"]
    subprocess.run(command, cwd=tmp_path, check=True)
    height, width = rainy.shape[:2]
    planes = np.ascontiguousarray(rainy.transpose(2, 0, 1), dtype=np.float32) / 255
    planes.tofile(tmp_path / "planes")
    subprocess.run(["./example", str(height), str(width)], cwd=tmp_path, check=True)
    result = np.fromfile(tmp_path / "result", np.float32).reshape(3, height, width)
    assert_equal((result.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8), rainy)


def test_contract_names_the_tensors():
    assert "`rainy`" in PAGE
    assert "`restored`" in PAGE
