"""The command `derain evaluate`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cyclopts
import numpy as np
import pytest
from PIL import Image

from derain.cli.evaluate import evaluate
from derain.errors import DataError, DerainError, WeightsError
from derain.inference.engines.engine import open_engine


@pytest.fixture
def call(capsys):
    """call("--data", folder) -> its standard output."""
    app = cyclopts.App(result_action="return_value")
    app.default(evaluate)

    def typed(*arguments):
        app([str(argument) for argument in arguments], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return typed


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(4)
    for name in ("1", "2", "3"):
        clean = rng.integers(0, 200, (20, 30, 3), dtype=np.uint8)
        for side, off in (("clean", 0), ("rainy", 25), ("A", 3), ("B", 5)):
            path = tmp_path / side / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(clean + np.uint8(off)).save(path)
    return tmp_path


@pytest.fixture
def pairs(folder, tmp_path_factory):
    pairs = tmp_path_factory.mktemp("pairs")
    for side in ("clean", "rainy"):
        (folder / side).rename(pairs / side)
    return pairs


def test_data_alone_scores_the_untouched_input(call, pairs):
    assert "untouched         3" in call("--data", pairs)


@pytest.mark.parametrize("protocol", ["paper", "rgb", "y", "y-half"])
def test_all_protocols_are_used_by_default(protocol, call, pairs):
    assert f"- {protocol}: " in call("--data", pairs).replace("`", "")


def test_layout_is_passed_on(call, tmp_path):
    Image.new("RGB", (64, 24), (90, 90, 90)).save(tmp_path / "1.png")
    assert "layout `clean-left`" in call("--data", tmp_path, "--layout", "clean-left")


def test_layout_without_pairs_is_rejected(call, folder):
    with pytest.raises(DataError, match="`--layout names` was given without pairs"):
        call("--outputs", folder / "A", "--clean", folder / "clean", "--layout", "names")


def test_protocol_selects_one(call, pairs):
    assert "y-half" not in call("--data", pairs, "--protocol", "y")


def test_only_selects_pictures(call, pairs):
    assert "untouched         2" in call("--data", pairs, "--only", "1", "3")


def test_models_are_opened(call, pairs):
    with pytest.raises(WeightsError, match="nosuch"):
        call("--data", pairs, "--model", "nosuch")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ((), "openvino on cpu (.*), float32$"),
        (("--precision", "bfloat16"), "openvino on cpu (.*), bfloat16$"),
        (("--engine", "onnxruntime"), "onnxruntime on cpu, float32$"),
        (("--ensemble", "4"), "float32, mean of 4 views$"),
    ],
)
def test_models_run_with_the_given_options(typed, words, call, pairs, networks):
    if "bfloat16" in typed:  # some processors have none, and the report says so
        words = words.replace(
            "bfloat16",
            open_engine(networks / "darkening.onnx", precision="bfloat16").device.rpartition(" ")[
                2
            ],
        )
    out = call("--data", pairs, "--protocol", "rgb", "--model", networks / "darkening.onnx", *typed)
    assert re.search(f"^- darkening: .*{words}", out, re.MULTILINE)
    assert "\ndarkening " in out


def test_outputs_are_ranked(call, folder):
    out = call(
        "--outputs",
        f"B={folder / 'B'}",
        "--outputs",
        f"A={folder / 'A'}",
        "--clean",
        folder / "clean",
    )
    assert out.index("\nA ") < out.index("\nB ")


def test_one_option_takes_several_outputs(call, folder):
    outputs = [f"{name}={folder / name}" for name in "AB"]
    out = call("--outputs", *outputs, "--clean", folder / "clean", "--details")
    assert "A - B" in out


def test_details_are_off_by_default(call, folder):
    outputs = [f"{name}={folder / name}" for name in "AB"]
    assert "A - B" not in call("--outputs", *outputs, "--clean", folder / "clean")


def test_light_can_be_fitted(call, pairs):
    out = call("--data", f"real={pairs}", "--protocol", "rgb", "--fit-light")
    assert "real, light fitted: PSNR in dB" in out
    assert re.search(r"^untouched +3 +identical / 1.0000", out, re.MULTILINE)


def test_photos_get_niqe(call, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 220, 3), dtype=np.uint8)).save(
        tmp_path / "rain.png"
    )
    assert "NIQE (lower is better)" in call("--photos", tmp_path)


def test_rain_free_pictures_are_a_data_set(call, folder):
    assert "clean, rain-free: PSNR in dB" in call(
        "--rain-free", folder / "clean", "--outputs", f"A={folder / 'A'}"
    )


def test_table2_works_without_data(call):
    assert "37.211 / 0.9734" in call("--table2")


@pytest.mark.parametrize("kind", ["markdown", "json", "csv", "html"])
def test_table2_can_be_written_without_data(kind, call, tmp_path):
    call("--table2", f"--{kind}", tmp_path / "report")
    assert (tmp_path / "report").is_file()


@pytest.mark.parametrize("kind", ["markdown", "json", "csv", "html"])
def test_reports_are_written(kind, call, pairs, tmp_path):
    call("--data", pairs, f"--{kind}", tmp_path / "report")
    assert (tmp_path / "report").stat().st_size > 100


def test_missing_scores_fail_the_command(call, folder):
    (folder / "A" / "2.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 thing was not scored"):
        call("--outputs", folder / "A", "--clean", folder / "clean")


def test_a_picture_that_no_candidate_scored_counts_once(call, folder):
    for name in ("A", "B"):
        Image.new("RGB", (8, 8)).save(folder / name / "2.png")
    outputs = [folder / "A", folder / "B"]
    with pytest.raises(DataError, match="1 thing was not scored"):
        call("--outputs", *outputs, "--clean", folder / "clean")


def test_missing_scores_do_not_prevent_reports(call, folder, tmp_path):
    (folder / "A" / "2.png").write_bytes(b"")
    with pytest.raises(DataError):
        call(
            "--outputs", folder / "A", "--clean", folder / "clean", "--csv", tmp_path / "scores.csv"
        )
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 2


def test_no_arguments_are_an_error(call):
    with pytest.raises(DataError, match="--data DIR"):
        call()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", ""],
        ["--data", "Rain200H="],
        ["--photos", "R="],
        ["--rain-free", "", "--model", "fast"],
        ["--data", ".", "--outputs", "A="],
        ["--data", ".", "--model", "A="],
        ["--clean", "", "--outputs", "A=clean"],
    ],
)
def test_empty_names_are_rejected(arguments, call, pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    with pytest.raises(DerainError, match=r"names no file or folder|is empty"):
        call(*arguments)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs a name for the standard output")
@pytest.mark.parametrize(("mode", "before"), [("w", ""), ("a", "a line of the user's\n")])
def test_reports_on_stdout_are_complete(mode, before, pairs, tmp_path):
    (tmp_path / "out").write_text(before)
    command = [
        sys.executable,
        "-m",
        "derain",
        "evaluate",
        "--data",
        str(pairs),
        "--protocol",
        "y",
        "--json",
        "/dev/stdout",
    ]
    with (tmp_path / "out").open(mode) as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True)
    written = (tmp_path / "out").read_text()
    assert written.startswith(before)
    assert json.loads(written.removeprefix(before))["data"][0]["pictures"]
    assert "untouched" in done.stderr
