"""Compiled networks in the cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from derain.files.atomic import temporary_beside
from derain.inference.engines import compiled_cache
from derain.inference.engines.compiled_cache import (
    MAX_FILES,
    cache_folder,
    read_compiled,
    write_compiled,
)
from derain.inference.engines.engine import open_engine


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DERAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.compiled"))


def load(networks: Path, name: str = "blurring", **options):
    return open_engine(networks / f"{name}.onnx", engine="openvino", **options)


def forbid_compiling(monkeypatch) -> None:
    openvino = pytest.importorskip("openvino")

    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(openvino.Core, "compile_model", refuse)


def test_second_start_does_not_compile(folder, networks, monkeypatch):
    load(networks)
    forbid_compiling(monkeypatch)
    load(networks)


def test_result_is_the_same_with_the_cache(folder, networks, rng):
    rainy = rng.random((1, 3, 20, 30), dtype=np.float32)
    first, second = load(networks)(rainy), load(networks)(rainy)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("options", [{"precision": "float32"}, {"threads": 1}])
def test_options_have_their_own_file(folder, networks, options):
    load(networks, precision="bfloat16")
    load(networks, **{"precision": "bfloat16", **options})
    assert len(stored(folder)) == 2


def test_network_for_one_size_has_its_own_file(folder, networks, rng, monkeypatch):
    rainy = rng.random((1, 3, 20, 30), dtype=np.float32)
    first = load(networks)(rainy, one_size=True)
    assert len(stored(folder)) == 2
    forbid_compiling(monkeypatch)
    np.testing.assert_array_equal(load(networks)(rainy, one_size=True), first)


def test_networks_have_their_own_files(folder, networks):
    load(networks, "copying")
    load(networks, "darkening")
    assert len(stored(folder)) == 2


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:]])
def test_damaged_file_is_compiled_again(folder, networks, damage):
    load(networks)
    (path,) = stored(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert read_compiled(path.stem) is None
    load(networks)
    assert read_compiled(path.stem) is not None


def test_file_that_openvino_cannot_load_is_compiled_again(folder, networks):
    load(networks)
    (path,) = stored(folder)
    write_compiled(path.stem, b"written by another program")
    load(networks)
    assert len(path.read_bytes()) > 100


def test_cache_can_be_switched_off(folder, networks, monkeypatch):
    monkeypatch.setenv("DERAIN_CACHE", "off")
    load(networks)
    assert not folder.exists()


def test_folder_that_cannot_be_made_is_ignored(tmp_path, networks, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DERAIN_CACHE", str(tmp_path / "file" / "cache"))
    assert load(networks).name == "openvino"


def test_folder_follows_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv("DERAIN_CACHE", raising=False)
    monkeypatch.setattr(compiled_cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "derain"


def test_oldest_files_are_removed(folder):
    for number in range(MAX_FILES + 3):
        write_compiled(str(number), b"network")
    assert len(stored(folder)) == MAX_FILES
    assert read_compiled(str(MAX_FILES + 2)) == b"network"


def test_leftover_of_a_killed_start_is_removed(folder):
    folder.mkdir()
    leftover = temporary_beside(folder / "network")
    leftover.write_bytes(b"half a network")
    os.utime(leftover, (0, 0))
    write_compiled("key", b"network")
    assert not leftover.exists()


def test_converter_is_imported_on_demand():
    """And with it the package that would report the import to the makers of OpenVINO."""
    code = (
        "import sys; from derain.inference.engines import openvino; openvino.devices();"
        "assert not {'openvino.tools.ovc', 'openvino_telemetry'} & set(sys.modules);"
        "import openvino; assert not hasattr(openvino, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
