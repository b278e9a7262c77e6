"""Which clip goes where."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest
from helpers.unprivileged import as_nobody

from derain.errors import DerainError
from derain.video.jobs import find_video_jobs


def targets(*inputs: Path, **options) -> list[Path]:
    return [order.target for order in find_video_jobs(inputs, **options).todo]


def test_the_default_is_beside_the_clip(tmp_path):
    assert targets(tmp_path / "clip.mp4") == [tmp_path / "clip_derained.mp4"]


def test_an_output_that_is_named_like_a_clip_is_the_file(tmp_path):
    assert targets(tmp_path / "clip.mp4", output=tmp_path / "out.mkv") == [tmp_path / "out.mkv"]


def test_another_output_is_a_folder(tmp_path):
    assert targets(tmp_path / "a.mp4", tmp_path / "b.mov", output=tmp_path / "o") == [
        tmp_path / "o" / "a.mp4",
        tmp_path / "o" / "b.mov",
    ]


def test_one_clip_does_not_go_into_a_folder_that_is_called_like_a_file_and_is_not_there(tmp_path):
    with pytest.raises(
        DerainError,
        match=r"out\.vob: \.vob is not a kind of clip that derain writes; .* or make the folder first",
    ):
        find_video_jobs([tmp_path / "a.mp4"], output=tmp_path / "out.vob")
    (tmp_path / "out.vob").mkdir()
    assert targets(tmp_path / "a.mp4", output=tmp_path / "out.vob") == [tmp_path / "out.vob/a.mp4"]


def test_an_output_that_is_called_by_a_date_is_a_folder(tmp_path):
    assert targets(tmp_path / "a.mp4", output=tmp_path / "2026.11.24") == [
        tmp_path / "2026.11.24/a.mp4"
    ]


def test_a_link_that_leads_nowhere_is_in_the_way(tmp_path):
    (tmp_path / "clip_derained.mp4").symlink_to(tmp_path / "away")
    assert "exists; give --overwrite" in find_video_jobs([tmp_path / "clip.mp4"]).problems[0]


def test_frames_go_into_a_folder_of_their_own(tmp_path):
    (tmp_path / "frames").mkdir()
    assert targets(tmp_path / "frames") == [tmp_path / "frames_derained"]
    assert targets(tmp_path / "frames", output=tmp_path / "out") == [tmp_path / "out"]


def test_an_existing_clip_is_kept(tmp_path):
    (tmp_path / "clip_derained.mp4").touch()
    found = find_video_jobs([tmp_path / "clip.mp4"])
    assert (found.todo, "exists; give --overwrite" in found.problems[0]) == ([], True)


def test_of_several_clips_those_that_are_done_and_results_are_left_alone(tmp_path):
    for name in (
        "a.mp4",
        "a_derained.mp4",
        "b.mp4",
        "b_derained_partial.mp4",
        "b_derained_partial_2.mp4",
    ):
        (tmp_path / name).touch()
    found = find_video_jobs(sorted(tmp_path.glob("*.mp4")))  # what a shell makes of *.mp4
    assert [order.source.name for order in found.todo] == ["b.mp4"]
    assert (found.already_there, found.results, found.problems) == (1, 3, [])


def test_a_clip_that_is_named_twice_is_done_once(tmp_path):
    (tmp_path / "a.mp4").touch()
    found = find_video_jobs([tmp_path / "a.mp4", tmp_path / "." / "a.mp4"])
    assert (len(found.todo), found.problems) == (1, [])
    assert len(targets(*[tmp_path / "missing.mp4"] * 2)) == 1


def test_names_of_nothing_but_an_ending_are_names(tmp_path):
    (tmp_path / "_partial").mkdir()
    assert len(targets(tmp_path / "_partial", tmp_path / "_partial.mp4")) == 2


def test_a_clip_is_not_written_while_it_is_read(tmp_path):
    (tmp_path / "clip.mp4").touch()
    found = find_video_jobs([tmp_path / "clip.mp4"], output=tmp_path / "clip.mp4", overwrite=True)
    assert "would be written while it is read" in found.problems[0]


def test_two_clips_with_one_target_are_a_problem(tmp_path):
    found = find_video_jobs(
        [tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"], output=tmp_path / "out"
    )
    assert (len(found.todo), "would overwrite the result of" in found.problems[0]) == (1, True)


def test_one_file_for_many_clips_is_refused(tmp_path):
    with pytest.raises(DerainError, match="is the name of one clip, and there are 2"):
        find_video_jobs([tmp_path / "a.mp4", tmp_path / "b.mp4"], output=tmp_path / "out.mp4")


def test_frames_do_not_go_into_a_clip(tmp_path):
    with pytest.raises(
        DerainError,
        match="is the name of one clip, and there are frames in a folder; name a folder",
    ):
        find_video_jobs([tmp_path], output=tmp_path / "out.mp4")


def test_a_photo_among_clips_is_told(tmp_path):
    found = find_video_jobs([tmp_path / "a.mp4", tmp_path / "b.jpg"], output=tmp_path / "out")
    assert (len(found.todo), "b.jpg: is a photo beside clips" in found.problems[0]) == (1, True)


def test_the_folder_that_one_is_in_goes_beside_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (order,) = find_video_jobs([Path()]).todo
    assert order.target == tmp_path.with_name(f"{tmp_path.name}_derained")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    (order,) = find_video_jobs([tmp_path / "a.mp4"], output=tmp_path / "file" / "out.mp4").todo
    with pytest.raises(DerainError, match="file: cannot be created"):
        order.carry_out(None, None, MagicMock())


def test_a_pipe():
    (order,) = find_video_jobs([Path("-")], output=Path("-"), raw=(64, 48), pix_fmt="bgr24").todo
    assert (order.is_pipe, order.raw) == (True, (64, 48, "bgr24"))


@pytest.mark.parametrize(
    ("inputs", "output"),
    [(["-"], None), (["-", "a.mp4"], "-"), (["a.mp4"], "-"), (["-"], "out.mp4")],
)
def test_half_a_pipe_is_refused(inputs, output):
    with pytest.raises(DerainError, match="a pipe goes from standard input to standard output"):
        find_video_jobs([Path(name) for name in inputs], output=output and Path(output))


@pytest.mark.parametrize("name", ["-", "frames"])
def test_an_encoder_for_frames_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    with pytest.raises(DerainError, match=r"--codec and --crf are for clips: .*; leave them out"):
        find_video_jobs(
            [Path(name)], output=Path("-") if name == "-" else None, is_encoder_chosen=True
        )


def test_an_encoder_for_clips_beside_frames_is_taken(tmp_path):
    assert len(find_video_jobs([tmp_path, tmp_path / "clip.mp4"], is_encoder_chosen=True).todo) == 2


def test_a_clip_in_a_folder_that_is_shut_is_an_order_that_cannot_be_carried_out(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o000)
    clip = str(tmp_path / "shut" / "clip.mp4")
    imports = "from pathlib import Path; from derain.video.jobs import find_orders; from derain.video.clip_reader import Source"
    statement = f"(order,) = find_orders([Path({clip!r})], output=Path('out')).todo; Source(order.source, str(order.source))"
    said = as_nobody(imports, statement, tmp_path).stderr.splitlines()[-1]
    assert said.startswith(
        f"derain.errors.VideoError: {clip}: may not be opened by this user"
    )


@pytest.mark.parametrize("name", ["-", "clip.mp4"])
def test_a_layout_of_raw_frames_without_their_size_is_refused(name):
    with pytest.raises(
        DerainError, match="--pix-fmt bgr24: is for raw frames; give their size as well by --raw"
    ):
        find_video_jobs([Path(name)], output=Path("-") if name == "-" else None, pix_fmt="bgr24")


def test_raw_frames_are_rgb24_where_nothing_is_said():
    (order,) = find_video_jobs([Path("-")], output=Path("-"), raw=(64, 48)).todo
    assert order.raw == (64, 48, "rgb24")


@pytest.mark.parametrize("wrong", ["--temproal", "--json"])
def test_an_option_that_clips_do_not_have_is_no_file(wrong, tmp_path):
    with pytest.raises(
        DerainError, match=rf"^{wrong}: is neither an option for clips nor a file; "
    ):
        find_video_jobs([tmp_path / "clip.mp4", Path(wrong)])


def test_a_clip_does_not_go_into_a_photo(tmp_path):
    with pytest.raises(
        DerainError, match=r"out\.gif: is the name of a photo, and there are clips or frames; "
    ):
        find_video_jobs([tmp_path / "clip.mp4"], output=tmp_path / "out.gif")


@pytest.mark.parametrize("folder", ["/", "/.."])
def test_frames_of_a_whole_disk_need_a_folder(folder):
    with pytest.raises(
        DerainError,
        match=f"^{Path(folder)}: has no folder beside it for its frames; name one with -o",
    ):
        find_video_jobs([Path(folder)])


def test_a_suffix_holds_no_folder(tmp_path):
    with pytest.raises(
        DerainError, match=r"^--suffix a/b: must not contain a folder; "
    ):
        find_video_jobs([tmp_path / "clip.mp4"], suffix="a/b")


@pytest.mark.parametrize("name", ["a.dav", "a.H264", "a.asf"])
def test_results_of_what_recorders_write_are_matroska(name, tmp_path):
    assert targets(tmp_path / name) == [tmp_path / "a_derained.mkv"]
    assert (
        targets(tmp_path / name, tmp_path / "b.mp4", output=tmp_path / "out")[0]
        == tmp_path / "out" / "a.mkv"
    )
