"""The C++ of the engine `native` against PyTorch. The library is compiled first."""

from __future__ import annotations

import os
import shutil
import signal
import threading

import numpy as np
import pytest
import torch
from helpers.networks import make_network

from derain.environment import processor_flags
from derain.errors import EngineError
from derain.evaluate.metrics import psnr
from derain.export.export import export
from derain.inference import open_engine
from derain.inference.engines import native
from derain.native.build import (
    FOLDER,
    INSTRUCTION_SETS,
    X86_64_V3,
    build,
    is_supported_system,
)
from derain.network import PLNLINConfiguration
from derain.network.weights_file import load
from derain.weights import find

pytestmark = pytest.mark.slow  # compiling takes a minute

SIZES = [(1, 1), (7, 300), (57, 113), (112, 56)]
"""One pixel, a strip, odd sides, and whole windows."""
SHIPPED = ["fast", "best", "clip"]
SHAPES = {
    "sixteen": {"channels": (16, 16, 16, 16), "stages": (1, 1, 1, 1)},
    "growing": {"channels": (16, 32, 48, 64), "stages": (2, 1, 3, 1)},
    "shrinking": {"channels": (64, 48, 32, 16), "stages": (1, 2, 1, 2)},
    "unshuffle-2": {"channels": (32, 16, 64, 48), "stages": (1, 1, 1, 1), "unshuffle": 2},
    "unshuffle-4": {"channels": (48, 16, 32, 16), "stages": (1, 1, 1, 2), "unshuffle": 4},
    "clip": {"channels": (16, 32, 16, 32), "stages": (1, 1, 1, 1), "frames": 3},
    "five-frames": {"channels": (16,) * 4, "stages": (1,) * 4, "frames": 5, "unshuffle": 2},
    "unshifted": {"channels": (16,) * 4, "stages": (2, 1, 1, 1), "shift_px": 0},
    "shifted-by-6": {"channels": (16,) * 4, "stages": (1,) * 4, "shift_px": 6},
}
ATOL = 2e-5
"""Largest difference for values up to 1; those of random networks reach 9."""


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory):
    """The folder of the libraries: those of the installed derain, or new ones."""
    if not is_supported_system():
        pytest.skip("not Linux on x86-64")
    if not any(each.needed <= processor_flags() for each in INSTRUCTION_SETS):
        pytest.skip("the processor has no AVX2")
    if all((FOLDER / each.file_name).is_file() for each in INSTRUCTION_SETS):
        return FOLDER
    if not any(shutil.which(name) for name in ("g++", "clang++")) and "CI" not in os.environ:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("native")
    build(folder)
    return folder


@pytest.fixture(autouse=True)
def _library(library_folder, monkeypatch):
    monkeypatch.setattr(native, "FOLDER", library_folder)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """`exports(name)`: a random network of one of SHAPES in PyTorch, and its exported file."""
    folder, made = tmp_path_factory.mktemp("exports"), {}

    def make(name):
        if name not in made:
            shape = {"preset": name, "head_stages": 1, **SHAPES[name]}
            network = make_network(PLNLINConfiguration(**shape), by=0.02)
            made[name] = network, export(network, folder / f"{name}.onnx", card={}, half=False)
        return made[name]

    return make


def noise(rng, *size, frames=1, pictures=1):
    return rng.random((pictures, 3 * frames, *size), dtype=np.float32)


def assert_equal(actual, expected):
    atol = ATOL * max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def in_torch(network, rainy):
    with torch.no_grad():
        return network(torch.from_numpy(rainy)).numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_equal_those_of_torch(name, size, rng):
    model = find(name)
    rainy = noise(rng, *size, frames=model.frames)
    restored = open_engine(model.onnx_path, engine="native", precision="float32")(rainy)
    assert_equal(restored, in_torch(load(name), rainy))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHAPES)
def test_random_networks_equal_those_of_torch(name, size, exports, rng):
    network, path = exports(name)
    rainy = noise(rng, *size, frames=network.configuration.frames)
    restored = open_engine(path, engine="native", precision="float32")(rainy)
    assert_equal(restored, in_torch(network, rainy))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHAPES)
def test_networks_with_avx2_alone_equal_those_of_torch(name, size, exports, rng, monkeypatch):
    monkeypatch.setattr(native, "processor_flags", lambda: X86_64_V3)
    network, path = exports(name)
    rainy = noise(rng, *size, frames=network.configuration.frames)
    assert_equal(open_engine(path, engine="native")(rainy), in_torch(network, rainy))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pictures_of_one_call_equal_those_of_several(precision, rng):
    engine = open_engine(find("fast").onnx_path, engine="native", precision=precision)
    rainy = noise(rng, 57, 113, pictures=3)
    expected = np.concatenate([engine(picture[None]) for picture in rainy])
    np.testing.assert_array_equal(engine(rainy), expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_result_does_not_depend_on_the_threads(name, precision, rng):
    model = find(name)
    rainy = noise(rng, 113, 170, frames=model.frames)
    first, *others = (
        open_engine(model.onnx_path, engine="native", precision=precision, threads=count)(rainy)
        for count in (1, 2, 3)
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("name", SHIPPED)
def test_bfloat16_agrees_with_float32_to_50_db(name, rng):
    model = find(name)
    smooth = rng.random((1, 3 * model.frames, 10, 15), dtype=np.float32)
    rainy = np.kron(smooth, np.ones((1, 1, 12, 12), np.float32))
    exact, fast = (
        open_engine(model.onnx_path, engine="native", precision=precision)(rainy)
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact, fast)
    assert psnr(exact[0].transpose(1, 2, 0), fast[0].transpose(1, 2, 0), peak=1) > 50


def test_sizes_may_change_from_call_to_call(exports, rng):
    _, path = exports("growing")
    engine = open_engine(path, engine="native", precision="float32")
    pictures = [noise(rng, *size) for size in SIZES]
    expected = [engine(rainy) for rainy in pictures]
    for rainy, first in zip(reversed(pictures), reversed(expected), strict=True):
        np.testing.assert_array_equal(engine(rainy), first)


def test_threads_of_python_get_their_own_results(rng):
    engine = open_engine(find("fast").onnx_path, engine="native", threads=2)
    pictures = [noise(rng, side, side + 9) for side in (20, 57)]
    expected = [engine(rainy) for rainy in pictures]
    wrong = []

    def work(index):
        results = (engine(pictures[index]) for _ in range(10))
        wrong.extend(index for result in results if not np.array_equal(result, expected[index]))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_engines_run_at_once(exports, rng):
    engines = [
        open_engine(exports(name)[1], engine="native", threads=2) for name in ("sixteen", "growing")
    ]
    rainy = noise(rng, 57, 113)
    expected = [engine(rainy) for engine in engines]
    results = {}
    threads = [
        threading.Thread(target=lambda i=i, engine=engine: results.update({i: engine(rainy)}))
        for i, engine in enumerate(engines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, first in enumerate(expected):
        np.testing.assert_array_equal(results[i], first)


def test_values_outside_of_0_to_1_are_restored(exports):
    network, path = exports("sixteen")
    rainy = np.linspace(-2, 3, 3 * 30 * 40, dtype=np.float32).reshape(1, 3, 30, 40)
    restored = open_engine(path, engine="native", precision="float32")(rainy)
    assert_equal(restored, in_torch(network, rainy))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_restores(exports, rng):
    engine = open_engine(exports("sixteen")[1], engine="native", threads=2)
    rainy = noise(rng, 57, 113)
    expected = engine(rainy)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for threads of its parent
        os._exit(0 if np.array_equal(engine(rainy), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_wrong_shapes_are_rejected(exports):
    engine = open_engine(exports("sixteen")[1], engine="native")
    with pytest.raises(EngineError, match="failed on 9x7 pixels"):
        engine(np.zeros((1, 4, 7, 9), np.float32))


def test_library_rejects_a_shape_that_does_not_fit_the_parameters(library_folder):
    for each in INSTRUCTION_SETS:
        if each.needed <= processor_flags():
            library = native.load_library(library_folder / each.file_name)
            shape = np.array([16, 16, 16, 16, 1, 1, 1, 1, 1, 1, 7, 3], np.int32)
            parameters = np.zeros(100, np.float32)
            handle = library.derain_native_open(
                shape.ctypes.data, parameters.ctypes.data, parameters.size, 0, 1
            )
            assert not handle


def test_it_is_the_default_without_a_matrix_unit():
    name = open_engine(find("fast").onnx_path).name
    assert name == ("openvino" if "amx_bf16" in processor_flags() else "native")
