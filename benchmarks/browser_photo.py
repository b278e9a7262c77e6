"""Time and memory of one photo in the static page, in headless Chromium.

    derain web page --model small --runtime web/node_modules/onnxruntime-web/dist
    python benchmarks/browser_photo.py page --size 4000x3000

Prints the threads that the page uses, the seconds from adding the photo to its result, and the
memory of all processes of the browser (PSS) before and at the peak. Needs Chromium and the
package playwright.
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

from PIL import Image
from playwright.sync_api import sync_playwright

from derain.cli.options import parse_size
from derain.environment import environment_line

EXAMPLE = Path(__file__).parents[1] / "examples/rainy/chelsea.jpg"
RESTORED = "() => document.querySelector('#queue .state')?.textContent === 'restored'"


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


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("page", type=Path, help="folder that `derain web` wrote")
    parser.add_argument("--size", default="4000x3000", help="WIDTHxHEIGHT of the photo")
    options = parser.parse_args()
    size = parse_size(options.size, option="--size")
    handler = functools.partial(Handler, directory=str(options.page))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        photo = Path(folder, "photo.jpg")
        with Image.open(EXAMPLE) as image:
            image.convert("RGB").resize(size).save(photo, quality=92)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(accept_downloads=True)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_timeout(3000)  # it reloads once, to use several threads
        threads = page.evaluate("crossOriginIsolated ? navigator.hardwareConcurrency : 1")
        before, peak, start = browser_bytes(), 0, time.monotonic()
        page.set_input_files("#files", str(photo))
        while not page.evaluate(RESTORED):
            peak = max(peak, browser_bytes())
            page.wait_for_timeout(250)
        seconds = time.monotonic() - start
        with page.expect_download() as download:
            page.click("#download")
        with Image.open(download.value.path()) as restored:
            assert restored.size == size
            restored.load()
        print(environment_line())
        print(f"Chromium {browser.version}, {threads} threads, {size[0]} x {size[1]}")
        print(
            f"{seconds:.0f} s, {before / 2**20:.0f} MiB before, {peak / 2**20:.0f} MiB at the peak"
        )
        browser.close()


if __name__ == "__main__":
    main()
