"""Time, memory and exactness of photos in the static page, in headless Chromium.

    derain web page --model fast --runtime web/node_modules/onnxruntime-web/dist
    python benchmarks/browser_photo.py page --size 4000x3000
    python benchmarks/browser_photo.py page --photos examples/rainy/*.jpg

Prints what restores, the seconds from adding the photo to its result, the memory of all processes
of the browser (PSS) before and at the peak, and the PSNR to Python's float32 result. Without
`--photos`, the photo is an enlarged example, and the PSNR is left out, since Python would take as
long. Needs Chromium and the package playwright.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import re
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from derain import Restorer
from derain.cli.options import parse_size
from derain.environment import environment_line
from derain.evaluate.metrics import psnr

EXAMPLE = Path(__file__).parents[1] / "examples/rainy/chelsea.jpg"
STATE = "document.querySelector('#queue .state')?.textContent"
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page with the media types that browsers ask for."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def browser_bytes() -> int:
    """Return the memory of all processes of Chromium, counting what they share once (Linux)."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().startswith("chrom"):
                rollup = (folder / "smaps_rollup").read_text()
                total += int(re.search(r"^Pss: +([0-9]+)", rollup, re.MULTILINE)[1]) * 1024
    return total


def restore(page: Any, photo: Path) -> np.ndarray:
    """Restore a photo in the page, print time and memory, and return it as downloaded."""
    before, peak, start = browser_bytes(), 0, time.monotonic()
    page.set_input_files("#files", str(photo))
    while (state := page.evaluate(STATE)) in {None, "waiting", "restoring"}:
        peak = max(peak, browser_bytes())
        page.wait_for_timeout(250)
    seconds = time.monotonic() - start
    if state != "restored":
        raise SystemExit(f"{photo}: {state}")
    with page.expect_download() as download:
        page.click("#download")
    with Image.open(download.value.path()) as image:
        restored = np.asarray(image.convert("RGB"))
    memory = f"{before / 2**20:.0f} MiB before, {peak / 2**20:.0f} MiB at the peak"
    print(f"{photo.stem}, {restored.shape[1]} x {restored.shape[0]}: {seconds:.0f} s, {memory}")
    return restored


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("page", type=Path, help="folder that `derain web` wrote")
    parser.add_argument("--size", default="4000x3000", help="WIDTHxHEIGHT of the enlarged example")
    parser.add_argument("--photos", type=Path, nargs="+", help="restore and compare these instead")
    parser.add_argument("--webgpu", action="store_true", help="with WebGPU, emulated in software")
    options = parser.parse_args()
    handler = functools.partial(Handler, directory=str(options.page))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/{'?webgpu=1' if options.webgpu else ''}"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", *(SOFTWARE_WEBGPU if options.webgpu else ())],
        )
        print(environment_line())
        print(f"Chromium {browser.version}")
        for path in options.photos or [EXAMPLE]:
            with Image.open(path) as image:
                rainy = image.convert("RGB")
            if not options.photos:
                rainy = rainy.resize(parse_size(options.size, option="--size"))
            # without loss where pixels are compared
            photo = Path(folder, f"{path.stem}.{'png' if options.photos else 'jpg'}")
            rainy.save(photo, quality=92)
            page = browser.new_page(accept_downloads=True)
            page.goto(address)
            page.wait_for_timeout(3000)  # it reloads once, to use several threads
            restored = restore(page, photo)
            print(page.text_content("#processor"))
            page.close()
            if options.photos:
                (network,) = (options.page / "models").glob("*.onnx")
                expected = Restorer(network, precision="float32")(np.asarray(rainy))
                print(f"{psnr(restored.astype(float), expected.astype(float), peak=255):.1f} dB")
        browser.close()


if __name__ == "__main__":
    main()
