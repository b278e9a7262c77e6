"""Fixtures of all tests: small networks and a random generator."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
from helpers.toy_networks import (
    NOTES,
    write_averaging,
    write_blurring,
    write_copying,
    write_darkening,
)

# what a shell runs in the background ignores Ctrl-C, and so do its children
signal.signal(signal.SIGINT, signal.default_int_handler)
# what `nohup` runs ignores SIGHUP; a handler of this process leaves its children the default
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled networks for this run only, away from those of the user."""
    if not hasattr(config, "workerinput"):  # the workers inherit the variable
        folder = tempfile.mkdtemp(prefix="derain-compiled-")
        os.environ["DERAIN_CACHE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of networks.

    copying.onnx, darkening.onnx (minus 0.25), blurring.onnx (9 x 9 mean), and averaging.onnx, the
    mean of three frames.
    """
    folder = tmp_path_factory.mktemp("networks")
    write_copying(folder / "copying.onnx")
    write_darkening(folder / "darkening.onnx")
    write_blurring(folder / "blurring.onnx")
    write_averaging(folder / "averaging.onnx")
    return folder


@pytest.fixture
def make_network(tmp_path: Path) -> Callable[..., Path]:
    """`make_network(name, **notes)`: a copying network with changed notes; None drops a note."""

    def make(name: str, **changes: str | None) -> Path:
        notes = {**NOTES, **{f"derain.{key}": value for key, value in changes.items()}}
        kept = {key: value for key, value in notes.items() if value is not None}
        return write_copying(tmp_path / f"{name}.onnx", kept)

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
