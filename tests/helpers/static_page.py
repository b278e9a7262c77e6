"""The static page behind a plain web server, and a photo that passes through it."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derain.serve.static_page import build_static_page
from helpers.pictures_in_memory import decode

RUNTIME = Path(__file__).parents[2] / "web/node_modules/onnxruntime-web/dist"


class Handler(http.server.SimpleHTTPRequestHandler):
    """A plain web server."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path, model: str) -> Iterator[str]:
    """Yield the address of a static page."""
    if not RUNTIME.exists():
        if os.environ.get("CI"):
            pytest.fail("CI needs onnxruntime-web; run `npm install` in web/")
        pytest.skip("needs `npm install` in web/")
    build_static_page(folder, model=model, runtime=RUNTIME)
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def restore_in(page: Any, path: Path) -> np.ndarray:
    """Return the photo `path` as the page's user downloads it."""
    page.set_input_files("#files", str(path))
    page.wait_for_selector(
        "#queue .state:not(:text('waiting'), :text('restoring'))", timeout=900_000
    )
    assert page.text_content("#queue .state") == "restored"
    with page.expect_download() as expected:
        page.click("#download")
    return decode(Path(expected.value.path()).read_bytes())[..., :3]  # a canvas has an alpha
