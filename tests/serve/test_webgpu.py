"""The static page with WebGPU, which Chromium emulates on the main processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.browser import open_browser
from helpers.pictures_in_memory import encode
from helpers.static_page import restore_in, serving
from PIL import Image

from derain import Restorer
from derain.evaluate.metrics import psnr
from derain.serve.static_page import WEBGPU_FILES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
"""Arguments of Chromium for an adapter that needs no graphics processor."""


@pytest.fixture(scope="module")
def browser():
    """A browser whose WebGPU is emulated on the main processor."""
    with open_browser(*SOFTWARE_WEBGPU) as browser:
        yield browser


def test_webgpu_equals_python(browser, static_page, tmp_path):
    """A part of an example, since the emulation is slow; 45 dB and more to the float32 result."""
    with Image.open(ROOT / "examples/rainy/chelsea.jpg") as image:
        rainy = np.asarray(image.convert("RGB"))[100:156, 100:212]
    path = tmp_path / "photo.png"
    path.write_bytes(encode(rainy, "PNG"))
    page = browser.new_page(accept_downloads=True)
    page.goto(f"{static_page}?webgpu=1")
    page.wait_for_timeout(1500)
    restored = restore_in(page, path)
    words = page.text_content("#processor")
    page.close()
    assert words == "The graphics processor restores them (WebGPU)."
    expected = Restorer("fast", precision="float32")(rainy)
    assert psnr(restored.astype(float), expected.astype(float), peak=255) > 45


def test_emulated_webgpu_is_not_used_unasked(browser, copying_page, tmp_path):
    """It is slower than WebAssembly."""
    path = tmp_path / "photo.png"
    path.write_bytes(encode(np.full((40, 50, 3), 128, np.uint8), "PNG"))
    page = browser.new_page(accept_downloads=True)
    page.goto(copying_page)
    page.wait_for_timeout(1500)
    restore_in(page, path)
    words = page.text_content("#processor")
    page.close()
    assert "The main processor restores them" in words


FAULTY_RUNTIME = """
export const env = { wasm: {} };
export class Tensor {
  constructor(type, data) { this.data = data; }
  async getData() { return this.data; }
  dispose() {}
}
let runs = 0;
export const InferenceSession = {
  create: async (model, { executionProviders: [processor] }) => ({
    run: async ({ rainy }) => {
      if (processor === "webgpu") { FAULT }
      return { restored: rainy };
    },
    release: async () => {},
  }),
};
"""
"""A runtime whose networks copy, apart from a fault in WebGPU."""


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        ("throw new Error('no driver');", "no driver"),
        (FAULTY_RUNTIME.replace("FAULT", "rainy.data[0] = NaN;"), "its results are wrong"),
        (FAULTY_RUNTIME.replace("FAULT", "if (runs++) throw new Error('lost');"), "lost"),
    ],
    ids=["does not load", "computes wrongly", "fails at the first tile"],
)
def test_webassembly_restores_where_webgpu(browser, tmp_path, networks, runtime, reason):
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    path.write_bytes(encode(image, "PNG"))
    with serving(tmp_path / "page", str(networks / "copying.onnx")) as address:
        (tmp_path / "page/runtime" / WEBGPU_FILES[0]).write_text(runtime)
        page = browser.new_page(accept_downloads=True)
        page.goto(f"{address}?webgpu=1")
        page.wait_for_timeout(1500)
        restored = restore_in(page, path)
        words = page.text_content("#processor")
        page.close()
    assert words.startswith("The main processor restores them (WebAssembly, ")
    assert words.endswith(f"WebGPU failed: {reason}")
    np.testing.assert_array_equal(restored, image)


def test_webgpu_works_offline_once_it_was_used(browser, tmp_path, networks):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(np.full((40, 50, 3), 128, np.uint8), "PNG"))
    with serving(tmp_path / "page", str(networks / "copying.onnx")) as address:
        runtime = FAULTY_RUNTIME.replace("FAULT", "")
        (tmp_path / "page/runtime" / WEBGPU_FILES[0]).write_text(runtime)
        context = browser.new_context(accept_downloads=True)
        page = context.new_page()
        page.goto(f"{address}?webgpu=1")
        page.wait_for_timeout(1500)
        restore_in(page, path)
        context.set_offline(True)
        page.reload()
        restore_in(page, path)
        words = page.text_content("#processor")
        context.close()
    assert words == "The graphics processor restores them (WebGPU)."
