"""`derain photo.jpg` as a person runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain import pictures
from derain.cli.main import main
from derain.photos.batch import PhotoBatch
from derain.pictures import Picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pictures.write(Picture(np.full((20, 30, 3), 255, np.uint8)), tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def darken(networks) -> list[str]:
    return ["--model", str(networks / "darkening.onnx"), "--precision", "float32"]


def test_a_photo_is_restored_beside_itself(photo, darken):
    assert main([str(photo), *darken]) == 0
    assert pictures.read(photo.with_name("photo_derained.png")).pixels.max() == 191


def test_options_may_come_first(photo, darken):
    assert main([*darken, str(photo)]) == 0


def test_a_photo_that_is_called_like_a_verb(photo, darken, monkeypatch):
    photo.rename(photo.with_name("train"))
    monkeypatch.chdir(photo.parent)
    assert main(["./train", "-o", "out.png", *darken]) == 0


def test_the_summary_is_one_line(photo, darken, capsys):
    main([str(photo), *darken])
    assert capsys.readouterr().err.splitlines()[-1].startswith("1 restored in ")


def test_the_device_is_said(photo, darken, capsys):
    main([str(photo), *darken])
    assert "model darkening on openvino, cpu (" in capsys.readouterr().err


def test_quiet_is_quiet(photo, darken, capsys):
    main([str(photo), "--quiet", *darken])
    assert capsys.readouterr() == ("", "")


def test_quiet_still_tells_of_failures(photo, darken, capsys):
    photo.write_text("no picture")
    main([str(photo), "-q", *darken])
    assert "photo.png: is not a picture" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_line_break_in_a_name_breaks_no_line(photo, darken, capsys):
    strange = photo.with_name("a\nb\x1b[31m.png")
    strange.write_text("no picture")
    main([str(strange), *darken])
    assert "a\\nb\\x1b[31m.png: is not a picture" in capsys.readouterr().err


def test_of_a_damaged_tiff_nothing_but_the_sentence_is_said(photo, darken):
    pictures.write(pictures.read(photo), photo.with_suffix(".tif"))
    whole = photo.with_suffix(".tif").read_bytes()
    photo.with_suffix(".tif").write_bytes(whole[:-20])
    command = [
        sys.executable,
        "-m",
        "derain.cli.main",
        str(photo.with_suffix(".tif")),
        "--quiet",
        *darken,
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    assert (len(lines), "photo.tif: is damaged or truncated" in lines[0]) == (1, True)


def test_one_failure_makes_the_exit_code_1(photo, darken):
    photo.with_name("bad.png").write_text("no picture")
    assert main([str(photo.parent), "-o", str(photo.parent / "out"), *darken]) == 1
    assert (photo.parent / "out" / "photo.png").exists()


def test_an_existing_result_is_kept(photo, darken):
    photo.with_name("photo_derained.png").write_text("precious")
    assert main([str(photo), *darken]) == 1
    assert photo.with_name("photo_derained.png").read_text() == "precious"


def test_overwrite(photo, darken):
    photo.with_name("photo_derained.png").write_text("old")
    assert main([str(photo), "--overwrite", *darken]) == 0


def test_compare_has_a_name_of_its_own(photo, darken):
    main([str(photo), "--compare", *darken])
    assert photo.with_name("photo_compared.png").exists()


def test_no_photo_is_refused(darken, capsys):
    assert main(darken) == 1
    assert "no photo is named" in capsys.readouterr().err


def test_ctrl_c_in_a_folder_of_many(photo, darken):
    """Exit code 130, a summary, whole files only."""
    for index in range(3000):
        (photo.parent / f"{index}.png").symlink_to(photo)
    out = photo.parent / "out"
    command = [sys.executable, "-m", "derain.cli.main", str(photo.parent), "-o", str(out), *darken]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and (not out.exists() or sum(1 for _ in out.iterdir()) < 5):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, "interrupted with " in err.splitlines()[-1]) == (130, True), err
    assert all(pictures.read(path).pixels.max() == 191 for path in out.iterdir())


def test_strength(photo, darken):
    assert main([str(photo), "--strength", "0.5", *darken]) == 0
    assert pictures.read(photo.with_name("photo_derained.png")).pixels.max() == 223


def test_a_strength_out_of_range_is_2(photo, darken):
    with pytest.raises(SystemExit, match="2"):
        main([str(photo), "--strength", "1.5", *darken])


def test_mask(photo, darken):
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[:, 15:] = 255
    pictures.write(Picture(mask), photo.with_name("mask.png"))
    main([str(photo), "--mask", str(photo.with_name("mask.png")), *darken])
    assert pictures.read(photo.with_name("photo_derained.png")).pixels[0, [14, 15], 0].tolist() == [
        255,
        191,
    ]


def test_a_mask_of_another_size_fails_with_the_name_of_the_photo(photo, darken, capsys):
    pictures.write(Picture(np.zeros((2, 2, 3), np.uint8)), photo.with_name("mask.png"))
    assert main([str(photo), "--mask", str(photo.with_name("mask.png")), *darken]) == 1
    assert "photo.png: the mask has 2x2 pixels and the picture 30x20" in capsys.readouterr().err


def test_a_mask_that_moves_is_refused_in_words_of_the_command_line(photo, darken, capsys):
    frames = [Image.new("L", (30, 20), level) for level in (0, 255)]
    frames[0].save(photo.with_name("mask.gif"), save_all=True, append_images=frames[1:])
    assert main([str(photo), "--mask", str(photo.with_name("mask.gif")), *darken]) == 1
    said = capsys.readouterr().err
    assert "mask.gif: contains 2 pictures, but one is expected here" in said
    assert "derain.pictures" not in said


def test_save_rain(photo, darken):
    main([str(photo), "--save-rain", *darken])
    assert pictures.read(photo.with_name("photo_derained_rain.png")).pixels.max() == 64


def test_what_cannot_be_kept_is_said(photo, darken, capsys):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    shots = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    shots[0].save(photo.with_name("two.heic"), save_all=True, append_images=shots[1:])
    assert main([str(photo.with_name("two.heic")), *darken]) == 0
    assert (
        "two.heic: contains 2 pictures; only the main one is restored"
        in capsys.readouterr().err
    )


def test_ensemble(photo, darken, capsys):
    assert main([str(photo), "--ensemble", "8", *darken]) == 0
    assert "mean of 8 views" in capsys.readouterr().err


def test_shard(photo, darken, tmp_path_factory):
    for index in range(20):
        (photo.parent / f"{index}.png").write_bytes(photo.read_bytes())
    out = tmp_path_factory.mktemp("out")
    for share in ("1/2", "2/2"):
        assert main([str(photo.parent), "-o", str(out / share[0]), "--shard", share, *darken]) == 0
    names = [{path.name for path in (out / share).iterdir()} for share in "12"]
    assert (len(names[0] | names[1]), names[0] & names[1]) == (21, set())


def test_strip(photo, darken):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.open(photo).save(photo, exif=exif)
    main([str(photo), "--strip", *darken])
    assert pictures.read(photo.with_name("photo_derained.png")).metadata.exif is None


@pytest.mark.parametrize("arguments", [[""], ["--overwrite", ""], ["photo.png", "-o", ""]])
def test_an_empty_name_is_not_the_current_folder(photo, darken, arguments, capsys, monkeypatch):
    monkeypatch.chdir(photo.parent)
    assert main([*arguments, *darken]) == 1
    assert "is empty; name a file or a folder, or . for this one" in capsys.readouterr().err
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]


def test_what_is_lost_of_any_page_is_told_once(photo, darken, capsys, monkeypatch):
    plain = pictures.read(photo)
    pages = [
        replace(plain, format="TIFF", losses=losses) for losses in (("a map",), (), ("a map",))
    ]
    monkeypatch.setattr(pictures, "count_frames", lambda _: len(pages))
    monkeypatch.setattr(pictures, "read_frames", lambda _: iter(pages))
    assert main([str(photo), "-o", str(photo.with_name("out.tif")), *darken]) == 0
    assert capsys.readouterr().err.count("photo.png: a map") == 1


def test_what_the_kind_of_file_cannot_say_is_told_unless_it_was_stripped(darken, tmp_path, capsys):
    tagged = Image.fromarray(np.zeros((8, 9, 3), np.uint8))
    tagged.save(tmp_path / "said.jpg", comment=b"a note")
    assert main([str(tmp_path / "said.jpg"), "-o", str(tmp_path / "said.png"), *darken]) == 0
    assert "said.jpg: dropped, because a .png cannot store it: comments" in capsys.readouterr().err
    assert (
        main([str(tmp_path / "said.jpg"), "-o", str(tmp_path / "bare.png"), "--strip", *darken])
        == 0
    )
    assert "dropped" not in capsys.readouterr().err


def test_the_end_of_a_name_and_another_place_exclude_each_other(photo, darken, tmp_path, capsys):
    assert main([str(photo), "--suffix", "_clean", "-o", str(tmp_path / "out"), *darken]) == 1
    assert (
        "--suffix _clean: ends the names of results beside their sources" in capsys.readouterr().err
    )


def test_a_name_with_the_code_of_a_sign_is_printed_as_it_is(darken, capsys):
    assert main([":100:.jpg", *darken]) == 1
    assert ":100:.jpg: there is no such file" in capsys.readouterr().err


def test_what_a_second_run_has_done_meanwhile_is_in_the_reports(
    photo, darken, tmp_path, monkeypatch
):
    (photo.parent / "b.png").write_bytes(photo.read_bytes())
    out, journal = tmp_path / "out", tmp_path / "done.json"
    run = PhotoBatch.run

    def late(self, errands):
        out.mkdir()
        (out / "b.png").write_bytes(photo.read_bytes())
        return run(self, errands)

    monkeypatch.setattr(PhotoBatch, "run", late)
    assert (
        main(
            [
                str(photo),
                str(photo.parent / "b.png"),
                "-o",
                str(out),
                "--json",
                str(journal),
                *darken,
            ]
        )
        == 0
    )
    done = json.loads(journal.read_text())
    assert sorted(entry["status"] for entry in done["pictures"]) == ["already_there", "restored"]
    assert (
        done["summary"]["restored"],
        done["summary"]["already_there"],
        done["summary"]["left"],
    ) == (1, 1, 0)
