"""Both backends fulfil the contract of an engine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from derain import environment
from derain.cli.main import main
from derain.errors import EngineError
from derain.inference import open_engine
from derain.inference.engines import onnxruntime, openvino
from derain.inference.engines.engine import ENGINES
from derain.inference.engines.onnxruntime import OnnxRuntimeEngine

BACKENDS = pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
"""Those that run any ONNX network.

tests/network/test_torch_engine.py and test_native_engine.py are for the others.
"""


@BACKENDS
@pytest.mark.parametrize("size", [(1, 1), (5, 400), (64, 64), (33, 17)])
def test_any_size_is_valid(name, size, networks, rng):
    pytest.importorskip(name)
    rainy = rng.random((1, 3, *size), dtype=np.float32)
    restored = open_engine(networks / "darkening.onnx", engine=name, precision="float32")(rainy)
    np.testing.assert_allclose(restored, rainy - 0.25, atol=1e-6)


@BACKENDS
def test_later_calls_do_not_overwrite_results(name, networks):
    engine = open_engine(networks / "copying.onnx", engine=name, precision="float32")
    first = engine(np.zeros((1, 3, 8, 8), np.float32))
    engine(np.ones((1, 3, 8, 8), np.float32))
    assert first.max() == 0


@BACKENDS
def test_threads_get_their_own_results(name, networks):
    engine = open_engine(networks / "copying.onnx", engine=name, precision="float32")
    wrong = []

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


def test_openvino_reports_nothing_to_its_maker(networks, tmp_path):
    code = (
        "import sys; from derain.inference import open_engine; "
        f"open_engine({str(networks / 'copying.onnx')!r}, engine='openvino'); "
        "sys.exit('openvino_telemetry' in sys.modules)"
    )
    variables = os.environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=variables, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_onnx_runtime_is_the_fallback(networks, monkeypatch):
    monkeypatch.setitem(ENGINES, "openvino", _missing("openvino"))
    assert open_engine(networks / "copying.onnx").name == "onnxruntime"


def test_missing_engine_is_reported_with_its_requirement(networks, monkeypatch):
    monkeypatch.setitem(ENGINES, "onnxruntime", _missing("onnxruntime"))
    with pytest.raises(
        EngineError,
        match=r"is not installed; install it with `pip install 'derain\[onnxruntime\]'`",
    ):
        open_engine(networks / "copying.onnx", engine="onnxruntime")


@BACKENDS
def test_unknown_device_of_an_engine_is_rejected(name, networks):
    with pytest.raises(
        EngineError,
        match=rf"{name} has no device 'toaster' .* choose another --device \({name} has cpu",
    ):
        open_engine(networks / "copying.onnx", engine=name, device="toaster")


def test_first_engine_with_the_device_is_the_default(networks, monkeypatch):
    monkeypatch.setitem(
        ENGINES,
        "onnxruntime",
        replace(ENGINES["onnxruntime"], devices=lambda: ("cuda",), open=_open),
    )
    assert open_engine(networks / "copying.onnx", device="CUDA") == "opened on cuda"


def test_unknown_device_of_all_engines_is_rejected(networks):
    with pytest.raises(
        EngineError,
        match=r"no installed engine has a device 'toaster' .*openvino has .*; onnxruntime has cpu",
    ):
        open_engine(networks / "copying.onnx", device="toaster")


def test_silent_cpu_fallback_of_onnx_runtime_is_rejected(networks, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession

    def fall_back(path, options, providers):
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    with pytest.raises(EngineError, match="cannot load its libraries for cuda; install them"):
        OnnxRuntimeEngine(networks / "copying.onnx", device="cuda")


@pytest.mark.parametrize("device", ["cpu", "auto"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_reports_its_actual_precision(device, precision, networks, rng):
    engine = open_engine(
        networks / "blurring.onnx", engine="openvino", device=device, precision=precision
    )
    rainy = rng.random((1, 3, 32, 32), dtype=np.float32)
    exact = open_engine(networks / "blurring.onnx", engine="onnxruntime")(rainy)
    assert (np.abs(engine(rainy) - exact).max() < 1e-5) == engine.device.endswith(" float32")


def test_openvino_reports_another_precision_than_requested(networks, monkeypatch):
    monkeypatch.setitem(openvino.OPENVINO_PRECISIONS, "bfloat16", "f32")
    engine = open_engine(networks / "copying.onnx", precision="bfloat16")
    assert engine.device.endswith(" float32")


def test_unknown_engine_is_rejected(networks):
    with pytest.raises(
        EngineError, match="unknown engine 'steam'; choose from native, openvino, onnxruntime"
    ):
        open_engine(networks / "copying.onnx", engine="steam")


def test_unknown_precision_is_rejected(networks):
    with pytest.raises(EngineError, match="unknown precision 'int3'"):
        open_engine(networks / "copying.onnx", precision="int3")


def test_bfloat16_is_rejected_by_onnx_runtime(networks):
    with pytest.raises(EngineError, match="float32 only"):
        open_engine(networks / "copying.onnx", engine="onnxruntime", precision="bfloat16")


@BACKENDS
def test_invalid_graph_is_reported_in_one_line(name, tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"not a graph")
    with pytest.raises(
        EngineError, match=r"^[^\n]*noise\.onnx: [^\n]*cannot load it on cpu[^\n]*$"
    ):
        open_engine(tmp_path / "noise.onnx", engine=name)


@BACKENDS
def test_invalid_name_in_a_graph_is_reported_in_one_line(name, networks, tmp_path):
    """The engines quote the name of an output that no node has, here one that is not UTF-8."""
    data = (networks / "darkening.onnx").read_bytes()
    (tmp_path / "damaged.onnx").write_bytes(data.replace(b"restored", b"r\xe5stored", 1))
    with pytest.raises(EngineError, match=r"^[^\n]*damaged\.onnx: [^\n]*cannot load it on cpu"):
        open_engine(tmp_path / "damaged.onnx", engine=name)


@BACKENDS
def test_failure_is_reported_in_one_line_with_the_size(name, networks):
    with pytest.raises(EngineError, match=r"^[^\n]*failed on 9x7 pixels[^\n]*$"):
        open_engine(networks / "blurring.onnx", engine=name)(np.zeros((1, 4, 7, 9), np.float32))


def test_bfloat16_agrees_with_float32_to_45_db(networks, rng):
    rainy = rng.random((1, 3, 64, 64), dtype=np.float32)
    exact, approximate = (
        open_engine(networks / "blurring.onnx", precision=precision)(rainy)
        for precision in ("float32", "bfloat16")
    )
    assert 10 * np.log10(1 / np.square(exact - approximate).mean().clip(1e-12)) > 45


@BACKENDS
def test_device_description(name, networks):
    assert open_engine(networks / "copying.onnx", engine=name).device.startswith("cpu")


@BACKENDS
def test_engine_without_metadata_is_installed(name, monkeypatch):
    """As in a frozen application."""
    pytest.importorskip(name)

    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(environment, "version", version)
    monkeypatch.setattr(onnxruntime, "distributions", lambda name: iter(()))
    assert ENGINES[name].version()


@pytest.fixture(params=[name for name in ENGINES if name != "native"])
def broken(request, monkeypatch, tmp_path) -> str:
    """An engine without one of its shared libraries, as in an incomplete frozen application."""
    (tmp_path / request.param).mkdir()
    module = tmp_path / request.param / "__init__.py"
    module.write_text("raise ImportError('libengine.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    return request.param


def test_engine_that_cannot_be_loaded(broken, networks):
    with pytest.raises(EngineError, match=r"installed, but cannot be loaded \(libengine\.so: "):
        open_engine(networks / "copying.onnx", engine=broken)


def test_info_shows_an_engine_that_cannot_be_loaded(broken, capsys):
    assert main(["info"]) == 0
    assert "(libengine.so:" in capsys.readouterr().out


def _open(onnx_path, *, device, **options):
    return f"opened on {device}"


def _missing(name: str):
    return replace(ENGINES[name], version=lambda: None)


@BACKENDS
def test_calls_of_one_size_between_others(name, networks, rng):
    engine = open_engine(networks / "blurring.onnx", engine=name, precision="float32")
    other = open_engine(networks / "blurring.onnx", engine=name, precision="float32")
    for *size, one_size in [(40, 56, True), (40, 56, False), (33, 17, True), (40, 56, True)]:
        rainy = rng.random((1, 3, *size), dtype=np.float32)
        np.testing.assert_array_equal(engine(rainy, one_size=one_size), other(rainy))


def test_openvino_compiles_once_for_one_size(networks, monkeypatch, rng):
    shapes = []
    compile_ = openvino._compile

    def note(core, data, source, shape=None, **options):
        shapes.append(shape)
        return compile_(core, data, source, shape, **options)

    monkeypatch.setattr(openvino, "_compile", note)
    engine = open_engine(networks / "copying.onnx", engine="openvino")
    for height in (8, 8, 9, 9):
        engine(rng.random((1, 3, height, 8), dtype=np.float32), one_size=True)
    engine(rng.random((1, 3, 7, 8), dtype=np.float32))
    assert shapes == [None, (1, 3, 8, 8), (1, 3, 9, 8), None]


def test_openvino_works_after_a_failed_compilation(networks, monkeypatch, rng):
    engine = open_engine(networks / "copying.onnx", engine="openvino")
    rainy = rng.random((1, 3, 8, 8), dtype=np.float32)

    def fail(*_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(engine, "_compile", fail)
        with pytest.raises(EngineError, match="failed on 8x8 pixels"):
            engine(rainy, one_size=True)
    np.testing.assert_array_equal(engine(rainy), rainy)
    np.testing.assert_array_equal(engine(rainy, one_size=True), rainy)


def test_openvino_needs_the_file_once(networks, monkeypatch, tmp_path, rng):
    monkeypatch.setenv("DERAIN_CACHE", "off")
    path = tmp_path / "network.onnx"
    path.write_bytes((networks / "copying.onnx").read_bytes())
    engine = open_engine(path, engine="openvino")
    path.unlink()
    rainy = rng.random((1, 3, 8, 8), dtype=np.float32)
    np.testing.assert_array_equal(engine(rainy, one_size=True), rainy)
