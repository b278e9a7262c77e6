"""The engine `native` around its library, which PyTorch computes here."""

from __future__ import annotations

import ctypes
import gc
import json
import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import make_network

from derain.errors import EngineError, UnsupportedNetworkError
from derain.export.export import export, largest_differences
from derain.inference import open_engine
from derain.inference.engines import native
from derain.inference.engines.engine import ENGINES
from derain.inference.engines.native import NativeEngine
from derain.native.build import INSTRUCTION_SETS, X86_64_V3
from derain.network import PLNLIN, PLNLINConfiguration
from derain.weights import find
from derain.weights.exported_tensors import KEY

FLAGS = INSTRUCTION_SETS[0].needed
SMALL_SHAPE = PLNLINConfiguration(
    preset="sixteen", channels=(16, 16, 32, 16), stages=(2, 1, 1, 1), head_stages=1
)


class TorchLibrary:
    """The functions of the C interface, computed by PyTorch in float32."""

    def __init__(self):
        self.networks, self.closed, self.opened, self.code = [], [], [], 0

    def derain_native_open(self, shape, parameters, count, precision, threads):
        *sizes, unshuffle, frames, window_px, shift_px = as_array(shape, ctypes.c_int32, (12,))
        self.opened.append((precision, threads))
        configuration = PLNLINConfiguration(
            channels=tuple(int(size) for size in sizes[:4]),
            stages=tuple(int(size) for size in sizes[4:]),
            unshuffle=int(unshuffle),
            frames=int(frames),
            window_px=int(window_px),
            shift_px=int(shift_px),
        )
        network = PLNLIN(configuration).eval()
        values = torch.from_numpy(as_array(parameters, ctypes.c_float, (count,)).copy())
        state = {k: v for k, v in network.state_dict().items() if not k.startswith("heads.")}
        parts = values.split([tensor.numel() for tensor in state.values()])
        loaded = {k: p.view(v.shape) for (k, v), p in zip(state.items(), parts, strict=True)}
        network.load_state_dict(loaded, strict=False)
        self.networks.append(network)
        return len(self.networks)

    def derain_native_restore(self, handle, rainy, restored, pictures, height, width):
        network = self.networks[handle - 1]
        shape = (pictures, 3 * network.configuration.frames, height, width)
        x = torch.from_numpy(as_array(rainy, ctypes.c_float, shape))
        with torch.no_grad():
            result = network(x).numpy()
        as_array(restored, ctypes.c_float, (pictures, 3, height, width))[:] = result
        return self.code

    def derain_native_close(self, handle):
        self.closed.append(handle)


def as_array(pointer, kind, shape):
    return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(kind)), shape)


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Installed libraries, and a processor that can run them."""
    library = TorchLibrary()
    (tmp_path / "lib").mkdir()
    for each in INSTRUCTION_SETS:
        (tmp_path / "lib" / each.file_name).touch()
    monkeypatch.setattr(native, "FOLDER", tmp_path / "lib")
    monkeypatch.setattr(native, "processor_flags", lambda: FLAGS)
    monkeypatch.setattr(native, "load_library", lambda path: library)
    return library


@pytest.fixture(scope="module")
def network():
    return make_network(SMALL_SHAPE, by=0.02)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export(network, tmp_path_factory.mktemp("native") / "x.onnx", card={}, half=False)


@pytest.fixture
def changed(exported, tmp_path):
    """`changed(key, text)`: the exported network with another entry of its metadata."""

    def change(key, text):
        model = onnx.load(exported)
        metadata = {pair.key: pair.value for pair in model.metadata_props}
        metadata.pop(key)
        onnx.helper.set_model_props(model, metadata | ({} if text is None else {key: text}))
        onnx.save(model, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return change


@pytest.fixture
def configured(changed):
    """`configured(**fields)`: the exported network with other fields of its configuration."""

    def configure(**fields):
        values = json.loads(SMALL_SHAPE.to_json()) | fields
        return changed("derain.configuration", json.dumps(values))

    return configure


@pytest.mark.parametrize("name", ["fast", "clip"])
def test_library_gets_the_shipped_network(library, name, rng):
    path = find(name).onnx_path
    engine = open_engine(path, engine="native", precision="float32")
    other = open_engine(path, engine="torch", precision="float32")
    rainy = rng.random((1, 9 if name == "clip" else 3, 30, 41), dtype=np.float32)
    np.testing.assert_array_equal(engine(rainy), other(rainy))


def test_views_of_pictures_are_restored(library, exported, network, rng):
    rainy = rng.random((17, 9, 3, 2), dtype=np.float32).T
    with torch.no_grad():
        expected = network(torch.from_numpy(rainy.copy())).numpy()
    np.testing.assert_allclose(NativeEngine(exported)(rainy), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("precision", "expected"), [(None, "bfloat16"), ("float32", "float32"), ("bfloat16",) * 2]
)
def test_bfloat16_is_the_default(library, exported, precision, expected):
    engine = open_engine(exported, engine="native", precision=precision, threads=3)
    assert engine.precision == expected
    assert engine.device.startswith("cpu (") and engine.device.endswith(f"), {expected}")
    assert library.opened == [(native.CODES[expected], 3)]


def test_all_available_cores_are_the_default(library, exported, monkeypatch):
    monkeypatch.setattr(native, "available_cores", lambda: 5)
    NativeEngine(exported)
    assert library.opened == [(native.CODES["bfloat16"], 5)]


def test_missing_precision_is_rejected(library, exported, monkeypatch):
    sets = (INSTRUCTION_SETS[0]._replace(precisions=("float32",)),)
    monkeypatch.setattr(native, "INSTRUCTION_SETS", sets)
    assert NativeEngine(exported).precision == "float32"
    with pytest.raises(EngineError, match="no bfloat16 on this processor; use --precision float32"):
        NativeEngine(exported, precision="bfloat16")


@pytest.mark.parametrize("shape", [(1, 9, 7, 9), (1, 3, 0, 9), (0, 3, 7, 9), (3, 7, 9)])
def test_wrong_shapes_are_rejected(library, exported, shape):
    with pytest.raises(EngineError, match=r"failed on .* pixels \(its input has the shape"):
        NativeEngine(exported)(np.zeros(shape, np.float32))


def test_exhausted_memory_is_one_sentence(library, exported):
    library.code = 1
    with pytest.raises(EngineError, match=r"failed on 9x7 pixels \(memory ran out\); try a small"):
        NativeEngine(exported)(np.zeros((1, 3, 7, 9), np.float32))


def test_calls_take_turns(library, exported, monkeypatch):
    active, most = [], []

    def restore(*_):
        active.append(1)
        most.append(len(active))
        threading.Event().wait(0.01)
        active.pop()
        return 0

    monkeypatch.setattr(library, "derain_native_restore", restore)
    engine, rainy = NativeEngine(exported), np.zeros((1, 3, 7, 9), np.float32)
    threads = [threading.Thread(target=engine, args=(rainy,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_network_is_closed_once_without_references(library, exported):
    engine = NativeEngine(exported)
    del engine
    gc.collect()
    assert library.closed == [1]


def test_it_is_the_default(library, exported):
    assert open_engine(exported).name == "native"


@pytest.mark.parametrize(
    "flags",
    [FLAGS | {"amx_bf16"}, FLAGS - {"avx512_bf16"}, X86_64_V3 - {"fma"}],
    ids=["matrix unit", "no bfloat16", "no AVX2"],
)
def test_other_processors_have_another_default(library, exported, monkeypatch, flags):
    monkeypatch.setattr(native, "processor_flags", lambda: flags)
    assert open_engine(exported).name == "openvino"
    assert (ENGINES["native"].version() is None) == ("fma" not in flags)


def test_it_is_the_default_with_avx2_alone(library, exported, monkeypatch):
    monkeypatch.setattr(native, "processor_flags", lambda: X86_64_V3)
    engine = open_engine(exported)
    assert (engine.name, engine.precision) == ("native", "float32")
    with pytest.raises(EngineError, match="no bfloat16 on this processor; use --precision float32"):
        open_engine(exported, engine="native", precision="bfloat16")


def test_it_is_the_last_resort_with_a_matrix_unit(library, exported, monkeypatch):
    monkeypatch.setattr(native, "processor_flags", lambda: FLAGS | {"amx_bf16"})
    for name in ENGINES.keys() - {"native"}:
        monkeypatch.setitem(ENGINES, name, replace(ENGINES[name], version=lambda: None))
    assert open_engine(exported).name == "native"


def test_an_export_is_checked_in_an_engine_that_runs_its_graph(library, network, exported):
    assert largest_differences(network, exported, sizes=[(7, 9)])[7, 9] < 1e-4
    assert library.opened == []


UNSUPPORTED = {
    "unit": "residual",
    "channels": [16, 24, 32, 16],
    "stages": [1, 1, 1, 0],
    "unshuffle": 3,
    "frames": 2,
    "window_px": 8,
    "shift_px": 7,
    "attention_heads": 2,
    "mlp_ratio": 2,
    "bounded_sft": False,
}


@pytest.mark.parametrize("field", UNSUPPORTED)
def test_unsupported_network_is_one_sentence(library, configured, field):
    path = configured(**{field: UNSUPPORTED[field]})
    with pytest.raises(
        EngineError,
        match=rf"^[^\n]*changed\.onnx: has {field} = .*, which .* not support; use --engine openv",
    ):
        open_engine(path, engine="native")


@pytest.mark.parametrize("value", [None, "16", 16, [16.0] * 4, [80] * 4, [True] * 4, [16] * 5])
def test_invalid_channels_are_unsupported(library, configured, value):
    with pytest.raises(UnsupportedNetworkError, match="has channels = "):
        open_engine(configured(channels=value), engine="native")


@pytest.mark.parametrize("field", ["unshuffle", "frames", "attention_heads"])
def test_numbers_of_another_type_are_unsupported(library, configured, field):
    for value in (True, 1.0, "1"):
        with pytest.raises(UnsupportedNetworkError, match=f"has {field} = "):
            open_engine(configured(**{field: value}), engine="native")


def test_unsupported_network_runs_in_another_engine_by_default(library, configured):
    assert open_engine(configured(bounded_sft=False)).name == "openvino"


def test_network_that_the_library_rejects_runs_in_another_engine(library, exported, monkeypatch):
    monkeypatch.setattr(library, "derain_native_open", lambda *_: None)
    assert open_engine(exported).name == "openvino"
    with pytest.raises(EngineError, match="does not support the network, or memory ran out; use"):
        open_engine(exported, engine="native")


def test_networks_of_others_run_in_another_engine_by_default(library, networks):
    assert open_engine(networks / "copying.onnx").name == "openvino"
    with pytest.raises(EngineError, match=r"does not name its trained tensors.*--engine openvino"):
        open_engine(networks / "copying.onnx", engine="native")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (KEY, "{}"),
        (KEY, "["),
        ("derain.configuration", "["),
        ("derain.configuration", "[]"),
        ("derain.configuration", "[" * 100_000),
    ],
)
def test_damaged_metadata_is_one_sentence(library, changed, key, text):
    path = changed(key, text)
    with pytest.raises(
        EngineError, match=r"^[^\n]*: the engine native cannot read its trained tensors[^\n]*$"
    ):
        open_engine(path, engine="native")


def test_a_damaged_file_is_one_sentence(library, tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"noise\.onnx: the engine native cannot read"):
        open_engine(tmp_path / "noise.onnx", engine="native")


def test_a_missing_file_is_one_sentence(library, tmp_path):
    with pytest.raises(EngineError, match=r"none\.onnx: "):
        open_engine(tmp_path / "none.onnx", engine="native")


def test_missing_library_is_reported_with_the_remedy(library, exported, monkeypatch, tmp_path):
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    with pytest.raises(EngineError, match=r"native is not installed; .*DERAIN_NATIVE=1"):
        open_engine(exported, engine="native")


def test_unsuitable_processor_is_reported_with_the_remedy(library, exported, monkeypatch):
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset({"neon"}))
    with pytest.raises(EngineError, match=r"needs .* AVX2; use --engine openvino"):
        open_engine(exported, engine="native")


def test_library_that_cannot_be_loaded_is_reported(tmp_path):
    path = tmp_path / "libderain.so"
    path.write_bytes(b"\x7fELF")
    with pytest.raises(EngineError, match=r"installed, but cannot be loaded \(.*--engine openvino"):
        native.load_library(path)


def test_other_functions_in_the_library_are_reported(monkeypatch, tmp_path):
    class Library:
        derain_native_open = derain_native_restore = derain_native_close = TorchLibrary

        def derain_native_abi(self):
            return 2

    monkeypatch.setattr(native.ctypes, "CDLL", lambda path: Library())
    with pytest.raises(EngineError, match="has version 2 of its functions, not 1; install"):
        native.load_library(tmp_path / "libderain.so")


def test_info_lists_the_engine(library, monkeypatch):
    from derain.cli.info import _describe_devices

    assert _describe_devices(ENGINES["native"]) == "cpu"
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset())
    assert "AVX2" in _describe_devices(ENGINES["native"])
