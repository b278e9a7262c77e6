"""`derain bench restore`, with a network that darkens."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
from rich.table import Column, Table

from derain.cli.main import main
from derain.environment import Environment
from derain.errors import DerainError, EngineError
from derain.inference import benchmark, work
from derain.inference.benchmark import bench_restore
from derain.inference.work import macs_per_px, product_rate
from derain.weights import find

OPENVINO = {"engines": ["openvino"], "precisions": ["float32"], "repeats": 1}


@pytest.fixture(scope="module")
def toy(networks) -> str:
    return str(networks / "darkening.onnx")


def serve(*arguments: str) -> multiprocessing.connection.Connection:
    """Run the process of an engine as a thread; return the connection to it."""
    connection, remote = multiprocessing.Pipe()
    threading.Thread(target=benchmark._serve, args=(remote, *arguments), daemon=True).start()
    return connection


@pytest.mark.slow
def test_table_has_a_row_per_engine_and_size(toy):
    table = bench_restore(
        toy,
        engines=["openvino", "onnxruntime"],
        precisions=["float32"],
        sizes=[(48, 32), (16, 24)],
        repeats=1,
    )
    assert list(table.columns[1].cells) == ["openvino"] * 2 + ["onnxruntime"] * 2
    assert list(table.columns[3].cells) == ["16x24", "48x32"] * 2


@pytest.mark.slow
def test_row_shows_the_actual_precision(toy, monkeypatch):
    monkeypatch.setattr(benchmark._Runner, "actual_precision", lambda runner: "float32")
    table = bench_restore(
        toy, engines=["openvino"], precisions=["bfloat16", "float32"], sizes=[(16, 16)], repeats=1
    )
    assert list(table.columns[2].cells) == ["float32 (not bfloat16)", "float32"]


@pytest.mark.slow
def test_other_models_have_rows_of_their_own(toy, networks):
    other = str(networks / "copying.onnx")
    table = bench_restore(toy, against=[other], sizes=[(16, 16)], **OPENVINO)
    assert list(table.columns[0].cells) == ["darkening.onnx", "copying.onnx"]


def test_row_has_the_rate_and_its_share():
    class Runner:
        model, engine = "small", "openvino"

        def macs_per_px(self) -> float:
            return 2e5

        def product_rate(self) -> float:
            return 4e11

        def describe_precision(self) -> str:
            return "bfloat16"

    (row,) = benchmark._rows(Runner(), [(0.5, 300.0)], [(500, 1000)])
    assert row == ["small", "openvino", "bfloat16", "1000x500", "0.50", "200", "50%", "300"]


@pytest.mark.parametrize(
    "values", [{}, {"unshuffle": 2}, {"frames": 3}, {"stages": [3, 2, 1, 1]}], ids=str
)
def test_work_is_that_which_pytorch_counts(values):
    torch_count = pytest.importorskip("derain.train.benchmark.step").count_macs
    from derain.network import PLNLIN, preset

    configuration = replace(preset("small"), **values)
    model = replace(find("small"), configuration=asdict(configuration))
    expected = torch_count(PLNLIN(configuration), crop_px=112) / 112**2
    assert macs_per_px(model) == pytest.approx(expected)


@pytest.mark.parametrize("configuration", [{}, {"unit": "swin", "channels": [4]}])
def test_work_of_other_networks_is_unknown(configuration):
    assert macs_per_px(replace(find("small"), configuration=configuration)) is None


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


def test_process_whose_benchmark_ends_before_it_starts_prints_nothing(capfd):
    context = multiprocessing.get_context("fork")
    connection, remote = context.Pipe()
    connection.close()
    arguments = (remote, "nowhere", "openvino", "float32")
    process = context.Process(target=benchmark._run_process, args=arguments)
    process.start()
    process.join(30)
    assert (process.exitcode, capfd.readouterr().err) == (0, "")


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


def test_verb_prints_all_digits_in_a_narrow_terminal(monkeypatch, capsys):
    cells = ("a_model_with_a_long_name", "onnxruntime", "float32 (not bfloat16)", "4000x3000")
    table = Table(*(Column(header, no_wrap=True) for header in benchmark.HEADERS))
    table.add_row(*cells, "123.45", "123", "45%", "12345")
    monkeypatch.setattr(benchmark, "bench_restore", lambda *_, **__: table)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["bench", "restore"]) == 0
    assert " 12345 " in capsys.readouterr().out


def test_verb_rejects_an_invalid_size(toy, capsys):
    assert main(["bench", "restore", "--model", toy, "--size", "large"]) == 1
    assert "--size large: expected WIDTHxHEIGHT" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_that_of_the_process_alone():
    ballast = np.ones(2**26)  # 512 MiB in the process that starts the other
    command = "from derain.inference.benchmark import peak_mib; print(peak_mib())"
    started = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert 10 < float(started.stdout) < ballast.nbytes / 2**20
