"""A server with a network that subtracts 0.25, and photos to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pictures_in_memory import encode
from helpers.static_page import serving

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from derain.serve.app import create_app
from derain.serve.settings import Settings


@pytest.fixture(scope="session")
def make_client(networks: Path) -> Callable[..., TestClient]:
    """`with make_client(queue=0) as client`: a client of a server of its own."""

    def make(**settings: Any) -> TestClient:
        settings.setdefault("model", str(networks / "darkening.onnx"))
        return TestClient(create_app(Settings(**settings)), raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def client(make_client: Callable[..., TestClient]) -> Iterator[TestClient]:
    """A client of the shared server: 1 MiB and 0.1 megapixels at most."""
    with make_client(max_upload_mib=1, max_megapixels=0.1) as client:
        yield client


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A PNG of 32 x 24 with values of 100 and more."""
    return encode(np.random.default_rng(5).integers(100, 256, (24, 32, 3), dtype=np.uint8), "PNG")


@pytest.fixture(scope="module")
def static_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a static page with `fast`."""
    with serving(tmp_path_factory.mktemp("static"), "fast") as address:
        yield address


@pytest.fixture
def copying_page(tmp_path: Path, networks: Path) -> Iterator[str]:
    """The address of a static page with a network that copies."""
    with serving(tmp_path / "page", str(networks / "copying.onnx")) as address:
        yield address
