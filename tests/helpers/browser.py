"""A headless Chromium for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def find_chromium() -> str:
    """Return the path of an installed Chromium. Skips the test without one, fails it in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI needs Chromium; install the package `chromium`")
    if found is None:
        pytest.skip("needs Chromium")
    return found


@contextmanager
def open_browser(*arguments: str) -> Iterator[Any]:
    """Yield a Playwright browser, started with further `arguments`."""
    executable = find_chromium()
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root, as which containers run tests
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", *arguments]
        )
        yield browser
        browser.close()
