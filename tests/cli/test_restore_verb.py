"""`derain photo.jpg` on the command line."""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.cli.exit_codes import ExitCode
from derain.cli.main import main
from derain.photos.batch import PhotoBatch
from derain.pictures import Picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A white photo."""
    pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def darken(networks) -> list[str]:
    """Options for a network that subtracts 0.25."""
    return ["--model", str(networks / "darkening.onnx"), "--precision", "float32"]


def restored(photo: Path) -> np.ndarray:
    """Return the pixels of the result beside a photo."""
    return pictures.read(photo.with_name("photo_derained.png")).pixels


# inputs


def test_photo_is_restored_beside_its_source(photo, darken):
    assert main([str(photo), *darken]) == ExitCode.SUCCESS
    assert restored(photo).max() == 191


def test_options_may_come_first(photo, darken):
    assert main([*darken, str(photo)]) == ExitCode.SUCCESS


def test_photo_with_the_name_of_a_verb(photo, darken, monkeypatch):
    photo.rename(photo.with_name("train"))
    monkeypatch.chdir(photo.parent)
    assert main(["./train", "-o", "out.png", *darken]) == ExitCode.SUCCESS


def test_output_with_a_slash_is_a_folder(photo, darken):
    folder = photo.with_name("holiday.june")
    assert main([str(photo), "-o", f"{folder}/", *darken]) == ExitCode.SUCCESS
    assert [path.name for path in folder.iterdir()] == ["photo.png"]


def test_missing_inputs_are_reported(darken, capsys):
    assert main(darken) == ExitCode.FAILURE
    assert "no photo given" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[""], ["--overwrite", ""], ["photo.png", "-o", ""]])
def test_empty_name_is_not_the_current_folder(photo, darken, arguments, capsys, monkeypatch):
    monkeypatch.chdir(photo.parent)
    assert main([*arguments, *darken]) == ExitCode.FAILURE
    assert "is empty; name a file or a folder, or . for this one" in capsys.readouterr().err
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]


# output on the terminal


def test_summary_is_the_last_line(photo, darken, capsys):
    main([str(photo), *darken])
    assert "photo_derained.png: 1 restored in " in capsys.readouterr().err.splitlines()[-1]


def test_model_and_device_are_printed(photo, darken, capsys):
    main([str(photo), *darken])
    assert "model darkening on openvino, cpu (" in capsys.readouterr().err


def test_quiet_prints_nothing(photo, darken, capsys):
    main([str(photo), "--quiet", *darken])
    assert capsys.readouterr() == ("", "")


def test_quiet_prints_failures(photo, darken, capsys):
    photo.write_text("no picture")
    main([str(photo), "-q", *darken])
    assert "photo.png: is not a picture" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow such names")
def test_control_characters_in_names_are_escaped(photo, darken, capsys):
    strange = photo.with_name("a\nb\x1b[31m.png")
    strange.write_text("no picture")
    main([str(strange), *darken])
    assert "a\\nb\\x1b[31m.png: is not a picture" in capsys.readouterr().err


def test_emoji_codes_in_names_are_printed_verbatim(darken, capsys):
    assert main([":100:.jpg", *darken]) == ExitCode.FAILURE
    assert ":100:.jpg: there is no such file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "samples"])
def test_damaged_tiff_prints_one_line(damage, photo, darken):
    """libtiff and Pillow write to stderr, too."""
    tiff = photo.with_suffix(".tif")
    pictures.write(pictures.read(photo), tiff)
    data = tiff.read_bytes()
    samples = struct.pack("<HHIHH", 277, 3, 1, 3, 0)
    assert samples in data
    if damage == "truncated":
        tiff.write_bytes(data[:-20])
    else:
        tiff.write_bytes(data.replace(samples, struct.pack("<HHIHH", 277, 3, 1, 68, 0)))
    command = [sys.executable, "-m", "derain.cli.main", str(tiff), "--quiet", *darken]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = run.stderr.splitlines()
    assert "photo.tif: is " in line
    assert "damaged" in line


def test_omissions_of_the_input_are_printed(photo, darken, capsys):
    pytest.importorskip("pillow_heif").register_heif_opener()
    shots = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    heic = photo.with_name("two.heic")
    shots[0].save(heic, save_all=True, append_images=shots[1:])
    assert main([str(heic), *darken]) == ExitCode.SUCCESS
    assert "two.heic: contains 2 pictures; only the main one" in capsys.readouterr().err


def test_omissions_of_the_output_format_are_printed(darken, tmp_path, capsys):
    source = tmp_path / "photo.jpg"
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(source, comment=b"a note")
    assert main([str(source), "-o", str(tmp_path / "out.png"), *darken]) == ExitCode.SUCCESS
    assert "a .png cannot store it: comments" in capsys.readouterr().err


def test_stripped_metadata_is_not_an_omission(darken, tmp_path, capsys):
    source = tmp_path / "photo.jpg"
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(source, comment=b"a note")
    out = str(tmp_path / "out.png")
    assert main([str(source), "-o", out, "--strip", *darken]) == ExitCode.SUCCESS
    assert "comments" not in capsys.readouterr().err


def test_omission_of_several_pages_is_printed_once(photo, darken, capsys, monkeypatch):
    plain = pictures.read(photo)
    pages = [
        replace(plain, format="TIFF", omissions=omissions)
        for omissions in (("a map",), (), ("a map",))
    ]
    monkeypatch.setattr(pictures, "count_frames", lambda _: len(pages))
    monkeypatch.setattr(pictures, "read_frames", lambda _: iter(pages))
    out = str(photo.with_name("out.tif"))
    assert main([str(photo), "-o", out, *darken]) == ExitCode.SUCCESS
    assert capsys.readouterr().err.count("photo.png: a map") == 1


# existing files, failures, interruption


def test_one_failure_sets_the_exit_code(photo, darken):
    photo.with_name("bad.png").write_text("no picture")
    out = photo.parent / "out"
    assert main([str(photo.parent), "-o", str(out), *darken]) == ExitCode.FAILURE
    assert (out / "photo.png").exists()


def test_existing_result_is_kept(photo, darken):
    result = photo.with_name("photo_derained.png")
    result.write_text("precious")
    assert main([str(photo), *darken]) == ExitCode.FAILURE
    assert result.read_text() == "precious"


def test_empty_result_is_replaced(photo, darken):
    photo.with_name("photo_derained.png").touch()
    assert main([str(photo), *darken]) == ExitCode.SUCCESS
    assert restored(photo).max() == 191


def test_disk_without_fsync(photo, darken, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "fsync", fail)
    assert main([str(photo), *darken]) == ExitCode.SUCCESS
    assert restored(photo).max() == 191


def test_overwrite(photo, darken):
    photo.with_name("photo_derained.png").write_text("old")
    assert main([str(photo), "--overwrite", *darken]) == ExitCode.SUCCESS
    assert restored(photo).max() == 191


def test_result_of_a_concurrent_run_is_in_the_report(photo, darken, tmp_path, monkeypatch):
    other = photo.with_name("b.png")
    other.write_bytes(photo.read_bytes())
    out, report = tmp_path / "out", tmp_path / "done.json"
    run = PhotoBatch.run

    def run_late(batch, jobs):
        out.mkdir()
        (out / "b.png").write_bytes(photo.read_bytes())
        return run(batch, jobs)

    monkeypatch.setattr(PhotoBatch, "run", run_late)
    arguments = [str(photo), str(other), "-o", str(out), "--json", str(report)]
    assert main([*arguments, *darken]) == ExitCode.SUCCESS
    done = json.loads(report.read_text())
    assert sorted(entry["status"] for entry in done["pictures"]) == ["already_there", "restored"]
    assert done["summary"]["restored"] == 1
    assert done["summary"]["already_there"] == 1
    assert done["summary"]["left"] == 0


@pytest.mark.slow
def test_ctrl_c_in_a_large_folder(photo, darken):
    for index in range(3000):
        (photo.parent / f"{index}.png").symlink_to(photo)
    out = photo.parent / "out"
    command = [sys.executable, "-m", "derain.cli.main", str(photo.parent), "-o", str(out), *darken]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and (not out.exists() or sum(1 for _ in out.iterdir()) < 5):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted with " in err.splitlines()[-1]
    assert all(pictures.read(path).pixels.max() == 191 for path in out.iterdir())


# options


def test_strength(photo, darken):
    assert main([str(photo), "--strength", "0.5", *darken]) == ExitCode.SUCCESS
    assert restored(photo).max() == 223


def test_strength_out_of_range_is_a_usage_error(photo, darken):
    with pytest.raises(SystemExit) as caught:
        main([str(photo), "--strength", "1.5", *darken])
    assert caught.value.code == ExitCode.USAGE


def test_mask(photo, darken):
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[:, 15:] = 255
    pictures.write(Picture(mask), photo.with_name("mask.png"))
    main([str(photo), "--mask", str(photo.with_name("mask.png")), *darken])
    assert restored(photo)[0, [14, 15], 0].tolist() == [255, 191]


def test_mask_of_another_size_is_reported_with_the_photo(photo, darken, capsys):
    mask = photo.with_name("mask.png")
    pictures.write(Picture(np.zeros((2, 2, 3), np.uint8)), mask)
    assert main([str(photo), "--mask", str(mask), *darken]) == ExitCode.FAILURE
    assert "photo.png: the mask has 2x2 pixels, but the picture" in capsys.readouterr().err


def test_animated_mask_is_rejected(photo, darken, capsys):
    mask = photo.with_name("mask.gif")
    frames = [Image.new("L", (30, 20), level) for level in (0, 255)]
    frames[0].save(mask, save_all=True, append_images=frames[1:])
    assert main([str(photo), "--mask", str(mask), *darken]) == ExitCode.FAILURE
    err = capsys.readouterr().err
    assert "mask.gif: " in err
    assert "derain.pictures" not in err


def test_compare_has_its_own_suffix(photo, darken):
    main([str(photo), "--compare", *darken])
    assert photo.with_name("photo_compared.png").exists()


def test_suffix_excludes_output(photo, darken, tmp_path, capsys):
    arguments = [str(photo), "--suffix", "_clean", "-o", str(tmp_path / "out")]
    assert main([*arguments, *darken]) == ExitCode.FAILURE
    assert "--suffix _clean: " in capsys.readouterr().err


def test_save_rain(photo, darken):
    main([str(photo), "--save-rain", *darken])
    assert pictures.read(photo.with_name("photo_derained_rain.png")).pixels.max() == 64


def test_ensemble(photo, darken, capsys):
    assert main([str(photo), "--ensemble", "4", *darken]) == ExitCode.SUCCESS
    assert "mean of 4 views" in capsys.readouterr().err


def test_shards_cover_a_folder(photo, darken, tmp_path_factory):
    for index in range(10):
        (photo.parent / f"{index}.png").write_bytes(photo.read_bytes())
    out = tmp_path_factory.mktemp("out")
    for shard in ("1/2", "2/2"):
        arguments = [str(photo.parent), "-o", str(out / shard[0]), "--shard", shard]
        assert main([*arguments, *darken]) == ExitCode.SUCCESS
    first, second = ({path.name for path in (out / index).iterdir()} for index in "12")
    assert len(first | second) == 11
    assert first & second == set()


def test_strip(photo, darken):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.open(photo).save(photo, exif=exif)
    main([str(photo), "--strip", *darken])
    assert pictures.read(photo.with_name("photo_derained.png")).metadata.exif is None
