"""Both bodies of the engine keep one contract."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from derain.errors import EngineError
from derain.inference import open_engine
from derain.inference.engines import openvino
from derain.inference.engines.engine import ENGINES
from derain.inference.engines.onnxruntime import OnnxRuntimeEngine

BOTH = pytest.mark.parametrize("name", list(ENGINES))


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (5, 400), (64, 64), (33, 17)])
def test_any_size_goes_through(name, size, networks, rng):
    pytest.importorskip(name)
    rainy = rng.random((1, 3, *size), dtype=np.float32)
    restored = open_engine(networks / "darkening.onnx", engine=name, precision="float32")(rainy)
    np.testing.assert_allclose(restored, rainy - 0.25, atol=1e-6)


@BOTH
def test_an_earlier_result_is_not_overwritten_by_a_later_call(name, networks):
    engine = open_engine(networks / "copying.onnx", engine=name, precision="float32")
    first = engine(np.zeros((1, 3, 8, 8), np.float32))
    engine(np.ones((1, 3, 8, 8), np.float32))
    assert first.max() == 0


@BOTH
def test_threads_do_not_mix_their_pictures(name, networks):
    engine, wrong = open_engine(networks / "copying.onnx", engine=name, precision="float32"), []

    def work(value: float) -> None:
        results = (engine(np.full((1, 3, side, side), value, np.float32)) for side in range(8, 60))
        wrong.extend(value for result in results if not (result == value).all())

    threads = [threading.Thread(target=work, args=(value,)) for value in (0.25, 0.5, 0.75)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_openvino_is_the_default(networks):
    assert open_engine(networks / "copying.onnx").name == "openvino"


def test_onnx_runtime_is_taken_where_openvino_is_missing(networks, monkeypatch):
    monkeypatch.setitem(ENGINES, "openvino", _missing("openvino"))
    assert open_engine(networks / "copying.onnx").name == "onnxruntime"


def test_a_missing_engine_is_said_with_the_command_that_installs_it(networks, monkeypatch):
    monkeypatch.setitem(ENGINES, "onnxruntime", _missing("onnxruntime"))
    with pytest.raises(
        EngineError,
        match=r"onnxruntime is not installed; install it with `pip install 'derain\[onnxruntime\]'`",
    ):
        open_engine(networks / "copying.onnx", engine="onnxruntime")


@BOTH
def test_an_unknown_device_is_refused_with_those_that_there_are(name, networks):
    with pytest.raises(
        EngineError,
        match=rf"{name} has no device 'toaster' on this machine: {name} has cpu.*--device",
    ):
        open_engine(networks / "copying.onnx", engine=name, device="toaster")


def test_without_an_engine_the_first_one_that_has_the_device_is_taken(networks, monkeypatch):
    monkeypatch.setitem(
        ENGINES,
        "onnxruntime",
        replace(ENGINES["onnxruntime"], devices=lambda: ("cuda",), open=_opened),
    )
    assert open_engine(networks / "copying.onnx", device="CUDA") == "opened on cuda"


def test_a_device_that_no_engine_has_is_refused_with_those_of_each(networks):
    with pytest.raises(
        EngineError,
        match=r"no engine .* has a device 'toaster' .*: openvino has cpu.*; onnxruntime has cpu",
    ):
        open_engine(networks / "copying.onnx", device="toaster")


def test_onnx_runtime_does_not_fall_back_to_the_processor_in_silence(networks, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession

    def fallen_back(path, options, providers):
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fallen_back)
    with pytest.raises(EngineError, match="cannot load its libraries for cuda; install them"):
        OnnxRuntimeEngine(networks / "copying.onnx", device="cuda")


@pytest.mark.parametrize("device", ["cpu", "auto"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_computes_in_what_it_says(device, precision, networks, rng):
    engine = open_engine(
        networks / "blurring.onnx", engine="openvino", device=device, precision=precision
    )
    rainy = rng.random((1, 3, 32, 32), dtype=np.float32)
    exact = open_engine(networks / "blurring.onnx", engine="onnxruntime")(rainy)
    assert (np.abs(engine(rainy) - exact).max() < 1e-5) == engine.device.endswith(" float32")


def test_openvino_says_where_it_took_another_precision_than_it_was_asked_for(networks, monkeypatch):
    monkeypatch.setitem(openvino.OPENVINO_PRECISIONS, "bfloat16", "f32")
    assert open_engine(networks / "copying.onnx", precision="bfloat16").device.endswith(" float32")


def test_an_unknown_engine_is_refused_with_those_that_there_are(networks):
    with pytest.raises(
        EngineError, match="no engine 'steam'; the engines are openvino, onnxruntime"
    ):
        open_engine(networks / "copying.onnx", engine="steam")


def test_an_unknown_precision_is_refused(networks):
    with pytest.raises(EngineError, match="no precision 'int3'"):
        open_engine(networks / "copying.onnx", precision="int3")


def test_onnx_runtime_refuses_bfloat16(networks):
    with pytest.raises(EngineError, match="float32 only"):
        open_engine(networks / "copying.onnx", engine="onnxruntime", precision="bfloat16")


@BOTH
def test_a_graph_that_is_none_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"^[^\n]*noise\.onnx: [^\n]*refuses it on cpu[^\n]*$"):
        open_engine(tmp_path / "noise.onnx", engine=name)


@BOTH
def test_a_failure_in_the_middle_is_one_line_with_the_size(name, networks):
    with pytest.raises(EngineError, match=r"^[^\n]*failed on 9x7 pixels[^\n]*$"):
        open_engine(networks / "blurring.onnx", engine=name)(np.zeros((1, 4, 7, 9), np.float32))


def test_bfloat16_agrees_with_float32_to_45_db(networks, rng):
    rainy = rng.random((1, 3, 64, 64), dtype=np.float32)
    exact, rough = (
        open_engine(networks / "blurring.onnx", precision=p)(rainy) for p in ("float32", "bfloat16")
    )
    assert 10 * np.log10(1 / np.square(exact - rough).mean().clip(1e-12)) > 45


@BOTH
def test_the_device_is_said_in_words(name, networks):
    assert open_engine(networks / "copying.onnx", engine=name).device.startswith("cpu")


def _opened(onnx_path, *, device, **options):
    return f"opened on {device}"


def _missing(name: str):
    return replace(ENGINES[name], version=lambda: None)
