"""`derain bench restore`, with a network that darkens."""

import multiprocessing
import threading

import pytest

from derain.cli.main import main
from derain.errors import DerainError, EngineError, WeightsError
from derain.inference import benchmark
from derain.inference.benchmark import bench_restore


@pytest.fixture(scope="module")
def toy(networks):
    return str(networks / "darkening.onnx")


def test_there_is_a_row_for_each_engine_and_precision(toy):
    table = bench_restore(
        toy,
        engines=["openvino", "onnxruntime"],
        precisions=["float32"],
        sizes=["48x32", "16x24"],
        repeats=1,
    )
    assert table.row_count == 2
    assert [column.header for column in table.columns] == [
        "engine",
        "precision",
        "16x24 s",
        "MiB",
        "48x32 s",
        "MiB",
    ]


def test_size_that_is_none_is_refused(toy):
    with pytest.raises(DerainError, match="WIDTHxHEIGHT"):
        bench_restore(toy, sizes=["large"])


def test_unknown_model_is_said_by_the_process_that_opens_it():
    with pytest.raises((DerainError, WeightsError), match="nowhere"):
        bench_restore(
            "nowhere", engines=["openvino"], precisions=["float32"], sizes=["8x8"], repeats=1
        )


def test_a_picture_that_memory_does_not_hold_is_a_sentence(toy):
    with pytest.raises(
        DerainError, match="not enough memory for a picture of this size; give a smaller --size"
    ):
        bench_restore(
            str(toy),
            engines=["openvino"],
            precisions=["float32"],
            sizes=["10000000x10000000"],
            repeats=1,
        )


def test_an_engine_that_fails_while_it_restores_is_an_answer(monkeypatch):
    def failing(*_: object, **__: object):
        def restore(rainy):
            raise EngineError("out of memory; give a smaller picture")

        return restore

    monkeypatch.setattr(benchmark, "Restorer", failing)
    here, there = multiprocessing.Pipe()
    threading.Thread(
        target=benchmark._serve, args=(there, "toy", "openvino", "float32"), daemon=True
    ).start()
    here.send((8, 8))
    assert here.poll(5)
    answer = here.recv()
    assert (type(answer), str(answer)) == (EngineError, "out of memory; give a smaller picture")


def test_a_row_says_what_was_really_computed_in(toy, monkeypatch):
    class Runner(benchmark._Runner):
        def taken_precision(self) -> str:
            return "float32" if super().taken_precision() else ""

    monkeypatch.setattr(benchmark, "_Runner", Runner)
    table = bench_restore(
        toy, engines=["openvino"], precisions=["bfloat16", "float32"], sizes=["16x16"], repeats=1
    )
    assert list(table.columns[1].cells) == ["float32 (not bfloat16)", "float32"]


def test_the_process_knows_what_it_computes_in(toy):
    here, there = multiprocessing.Pipe()
    threading.Thread(
        target=benchmark._serve, args=(there, toy, "openvino", "float32"), daemon=True
    ).start()
    here.send("precision")
    assert here.poll(30)
    assert here.recv() == "float32"
    here.close()


def test_verb_says_where_it_measured(toy, capsys):
    arguments = [
        "--model",
        toy,
        "--engine",
        "openvino",
        "--precision",
        "float32",
        "--size",
        "16x16",
        "--repeats",
        "1",
    ]
    assert main(["bench", "restore", *arguments]) == 0
    said = capsys.readouterr().out
    assert f"{Environment.now().processor}, " in said.replace("\n", " ")
    assert "16x16 s" in said
