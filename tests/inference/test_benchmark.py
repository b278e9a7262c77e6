"""`derain bench restore`, with a network that darkens."""

from __future__ import annotations

import math
import multiprocessing
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest

from derain.cli.main import main
from derain.environment import Environment
from derain.errors import DerainError, EngineError
from derain.inference import benchmark, work
from derain.inference.benchmark import EngineSpeed, bench_restore
from derain.inference.work import macs_per_px, product_rate
from derain.weights import find

OPENVINO = {"engines": ["openvino"], "precisions": ["float32"], "repeats": 1}
SPEED = EngineSpeed(
    "small",
    "openvino",
    "bfloat16",
    width=1000,
    height=500,
    seconds=0.5,
    macs_per_s=2e11,
    share=0.5,
    peak_mib=300.0,
)


@pytest.fixture(scope="module")
def toy(networks) -> str:
    return str(networks / "darkening.onnx")


def serve(*arguments: str) -> multiprocessing.connection.Connection:
    """Run the process of an engine as a thread; return the connection to it."""
    connection, remote = multiprocessing.Pipe()
    threading.Thread(target=benchmark._serve, args=(remote, *arguments), daemon=True).start()
    return connection


@pytest.mark.slow
def test_every_engine_is_timed_at_every_size(toy):
    speeds = bench_restore(
        toy,
        engines=["openvino", "onnxruntime"],
        precisions=["float32"],
        sizes=[(48, 32), (16, 24)],
        repeats=1,
    )
    assert [speed.engine for speed in speeds] == ["openvino"] * 2 + ["onnxruntime"] * 2
    assert [(speed.width, speed.height) for speed in speeds] == [(16, 24), (48, 32)] * 2


@pytest.mark.slow
def test_actual_precision_is_reported(toy, monkeypatch):
    monkeypatch.setattr(benchmark._Runner, "actual_precision", lambda runner: "float32")
    speeds = bench_restore(
        toy, engines=["openvino"], precisions=["bfloat16", "float32"], sizes=[(16, 16)], repeats=1
    )
    assert [speed.precision for speed in speeds] == ["float32 (not bfloat16)", "float32"]


@pytest.mark.slow
def test_other_models_are_timed_too(toy, networks):
    other = str(networks / "copying.onnx")
    speeds = bench_restore(toy, against=[other], sizes=[(16, 16)], **OPENVINO)
    assert [speed.model for speed in speeds] == ["darkening.onnx", "copying.onnx"]


def test_speed_has_the_rate_and_its_share():
    class Runner:
        model, engine = "small", "openvino"

        def macs_per_px(self) -> float:
            return 2e5

        def product_rate(self) -> float:
            return 4e11

        def describe_precision(self) -> str:
            return "bfloat16"

    (speed,) = benchmark._speeds(Runner(), [(0.5, 300.0)], [(500, 1000)])
    assert speed == SPEED


@pytest.mark.parametrize(
    "values", [{}, {"unshuffle": 2, "frames": 3, "stages": [3, 2, 1, 1]}], ids=str
)
def test_work_is_that_which_pytorch_counts(values):
    torch_count = pytest.importorskip("derain.train.benchmark.step").count_macs
    from derain.network import PLNLIN, preset

    configuration = replace(preset("small"), **values)
    model = replace(find("fast"), configuration=asdict(configuration))
    expected = torch_count(PLNLIN(configuration), crop_px=112) / 112**2
    assert macs_per_px(model) == pytest.approx(expected)


@pytest.mark.parametrize("configuration", [{}, {"unit": "swin", "channels": [4]}])
def test_work_of_other_networks_is_unknown(configuration):
    assert macs_per_px(replace(find("fast"), configuration=configuration)) is None


def test_product_rate_without_openvino(monkeypatch):
    monkeypatch.setattr(work.openvino, "version", lambda: None)
    monkeypatch.setattr(work, "PRODUCT_SIDE", 64)
    assert product_rate("float32") > 0


def test_product_rate_in_openvino(monkeypatch):
    monkeypatch.setattr(work, "PRODUCT_SIDE", 64)
    assert product_rate("float32") > 0


def test_unknown_engine_is_rejected(toy):
    with pytest.raises(EngineError, match="unknown engine 'steam'"):
        bench_restore(toy, engines=["steam"])


def test_unknown_model_is_reported_by_its_process():
    connection = serve("nowhere", "openvino", "float32")
    connection.send("precision")
    assert connection.poll(30)
    assert "nowhere" in str(connection.recv())


def test_verb_prints_whole_cells_on_a_narrow_screen(monkeypatch, capsys):
    speed = replace(SPEED, model="a" * 40, precision="float32 (not bfloat16)", width=4000)
    monkeypatch.setattr(benchmark, "bench_restore", lambda *_, **__: [speed])
    assert main(["bench", "restore"]) == 0
    output = capsys.readouterr().out
    for cell in ("a" * 40, "float32 (not bfloat16)", "4000x500", "0.50", "200", "50%", "300"):
        assert f" {cell} " in output


def test_verb_prints_a_dash_for_an_unknown_figure(monkeypatch, capsys):
    speed = replace(SPEED, macs_per_s=math.nan, share=math.nan, peak_mib=math.nan)
    monkeypatch.setattr(benchmark, "bench_restore", lambda *_, **__: [speed])
    main(["bench", "restore"])
    assert capsys.readouterr().out.count(" - ") == 3


def test_process_ends_silently_with_the_benchmark(toy):
    connection, remote = multiprocessing.Pipe()
    connection.close()
    for model in ("nowhere", toy):
        benchmark._serve(remote, model, "openvino", "float32")


@pytest.mark.slow
def test_picture_that_does_not_fit_into_memory_is_reported(toy):
    with pytest.raises(DerainError, match=r"not enough memory .*; use a smaller --size"):
        bench_restore(toy, sizes=[(10_000_000, 10_000_000)], **OPENVINO)


def test_failing_engine_is_reported(monkeypatch):
    def failing_restorer(*_: object, **__: object):
        def restore(rainy):
            raise EngineError("out of memory; use a smaller picture")

        return restore

    monkeypatch.setattr(benchmark, "Restorer", failing_restorer)
    connection = serve("toy", "openvino", "float32")
    connection.send((8, 8))
    assert connection.poll(5)
    error = connection.recv()
    assert isinstance(error, EngineError)
    assert str(error) == "out of memory; use a smaller picture"


def test_process_reports_its_precision(toy):
    connection = serve(toy, "openvino", "float32")
    connection.send("precision")
    assert connection.poll(30)
    assert connection.recv() == "float32"
    connection.close()


@pytest.mark.slow
def test_verb_prints_environment_and_table(toy, capsys):
    options = ["--engine", "openvino", "--precision", "float32", "--size", "16x16"]
    assert main(["bench", "restore", "--model", toy, *options, "--repeats", "1"]) == 0
    output = capsys.readouterr().out.replace("\n", " ")
    assert f"{Environment.now().processor}, " in output
    assert "darkening.onnx" in output
    assert "16x16" in output


def test_verb_rejects_an_invalid_size(toy, capsys):
    assert main(["bench", "restore", "--model", toy, "--size", "large"]) == 1
    assert "--size large: expected WIDTHxHEIGHT" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_that_of_the_process_alone():
    ballast = np.ones(2**25)  # 256 MiB in the process that starts the other
    command = "from derain.inference.benchmark import peak_mib; print(peak_mib())"
    started = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert 10 < float(started.stdout) < ballast.nbytes / 2**20
