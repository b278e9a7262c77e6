"""Targets of clips, frames and pipes, and contradictory options."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.unprivileged import run_unprivileged

from derain.errors import DerainError
from derain.video.frames import FrameOptions
from derain.video.jobs import find_video_jobs


def targets(*inputs: Path, **options) -> list[Path]:
    return [job.target for job in find_video_jobs(inputs, **options).pending]


def only_problem(*inputs: Path, **options) -> str:
    (problem,) = find_video_jobs(inputs, **options).problems
    return problem


@pytest.fixture
def clip(tmp_path) -> Path:
    return tmp_path / "clip.mp4"


def test_default_target_is_beside_the_clip(clip, tmp_path):
    assert targets(clip) == [tmp_path / "clip_derained.mp4"]


def test_output_with_the_suffix_of_a_clip_is_a_file(clip, tmp_path):
    assert targets(clip, output=tmp_path / "out.mkv") == [tmp_path / "out.mkv"]


def test_other_outputs_are_folders(tmp_path):
    assert targets(tmp_path / "a.mp4", tmp_path / "b.mov", output=tmp_path / "o") == [
        tmp_path / "o" / "a.mp4",
        tmp_path / "o" / "b.mov",
    ]


def test_output_with_an_unsupported_suffix(clip, tmp_path):
    message = r"out\.vob: derain does not write \.vob; .* or create the folder first"
    with pytest.raises(DerainError, match=message):
        find_video_jobs([clip], output=tmp_path / "out.vob")


@pytest.mark.parametrize("name", ["holiday.mp4/", "holiday.june/", "holiday.png/"])
def test_output_with_a_slash_is_a_folder(name, clip, tmp_path):
    assert targets(clip, output=f"{tmp_path}/{name}") == [tmp_path / name / "clip.mp4"]


def test_existing_folder_with_the_suffix_of_a_file(clip, tmp_path):
    (tmp_path / "out.vob").mkdir()
    assert targets(clip, output=tmp_path / "out.vob") == [tmp_path / "out.vob/clip.mp4"]


def test_output_named_after_a_date_is_a_folder(clip, tmp_path):
    assert targets(clip, output=tmp_path / "2026.11.24") == [tmp_path / "2026.11.24/clip.mp4"]


def test_dangling_link_is_not_replaced(clip, tmp_path):
    (tmp_path / "clip_derained.mp4").symlink_to(tmp_path / "away")
    assert "exists; use --overwrite" in only_problem(clip)


def test_frames_go_into_their_own_folder(tmp_path):
    (tmp_path / "frames").mkdir()
    assert targets(tmp_path / "frames") == [tmp_path / "frames_derained"]
    assert targets(tmp_path / "frames", output=tmp_path / "out") == [tmp_path / "out"]


def test_existing_result_of_a_single_clip_is_a_problem(clip, tmp_path):
    (tmp_path / "clip_derained.mp4").write_bytes(b"a result")
    assert "exists; use --overwrite" in only_problem(clip)
    assert targets(clip) == []


def test_empty_result_is_replaced(clip, tmp_path):
    (tmp_path / "clip_derained.mp4").touch()
    assert targets(clip) == [tmp_path / "clip_derained.mp4"]


@pytest.fixture
def several(tmp_path) -> list[Path]:
    """Clips and results of an earlier run."""
    endings = "a", "a_derained", "b", "b_derained_partial", "b_derained_partial_2"
    for name in endings:
        (tmp_path / f"{name}.mp4").write_bytes(b"a clip")
    return sorted(tmp_path.glob("*.mp4"))


def test_existing_and_earlier_results_are_skipped(several):
    jobs = find_video_jobs(several)
    assert [job.source.name for job in jobs.pending] == ["b.mp4"]
    assert jobs.existing == 1
    assert jobs.earlier_results == 3
    assert jobs.problems == []


def test_earlier_results_may_be_overwritten(several):
    jobs = find_video_jobs(several, overwrite=True)
    assert [job.source.name for job in jobs.pending] == ["a.mp4", "b.mp4"]
    assert jobs.problems == []


def test_repeated_clip_is_one_job(clip):
    clip.touch()
    jobs = find_video_jobs([clip, clip.parent / "." / clip.name])
    assert len(jobs.pending) == 1
    assert jobs.problems == []


def test_repeated_missing_clip_is_one_job(tmp_path):
    assert len(targets(*[tmp_path / "missing.mp4"] * 2)) == 1


def test_name_that_is_only_a_suffix_of_results(tmp_path):
    (tmp_path / "_partial").mkdir()
    assert len(targets(tmp_path / "_partial", tmp_path / "_partial.mp4")) == 2


def test_clip_does_not_overwrite_itself(clip):
    clip.touch()
    assert "would overwrite itself" in only_problem(clip, output=clip, overwrite=True)


def test_clip_does_not_overwrite_another_input(tmp_path):
    clips = tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"
    for path in clips:
        path.parent.mkdir()
        path.touch()
    jobs = find_video_jobs(clips, output=tmp_path / "b", overwrite=True)
    assert f"a/clip.mp4: would overwrite {clips[1]}, another input" in jobs.problems[0]
    assert jobs.pending == []


def test_two_clips_with_the_same_target(tmp_path):
    clips = tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"
    jobs = find_video_jobs(clips, output=tmp_path / "out")
    assert "would overwrite the result of" in jobs.problems[0]
    assert len(jobs.pending) == 1


def test_one_file_for_several_clips(tmp_path):
    with pytest.raises(DerainError, match="cannot hold the result of 2 inputs; name a folder"):
        find_video_jobs([tmp_path / "a.mp4", tmp_path / "b.mp4"], output=tmp_path / "out.mp4")


def test_one_file_for_a_folder_of_frames(tmp_path):
    with pytest.raises(DerainError, match="cannot hold the result of a folder of frames"):
        find_video_jobs([tmp_path], output=tmp_path / "out.mp4")


def test_photo_among_clips(clip, tmp_path):
    jobs = find_video_jobs([clip, tmp_path / "b.jpg"], output=tmp_path / "out")
    assert "b.jpg: is a photo, not a clip" in jobs.problems[0]
    assert len(jobs.pending) == 1


def test_current_folder_goes_beside_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert targets(Path()) == [tmp_path.with_name(f"{tmp_path.name}_derained")]


def test_folder_that_cannot_be_created(clip, tmp_path):
    (tmp_path / "file").touch()
    (job,) = find_video_jobs([clip], output=tmp_path / "file" / "out.mp4").pending
    with pytest.raises(DerainError, match="file: cannot be created"):
        job.run(None, FrameOptions())


def test_raw_pipe():
    output = Path("-")
    (job,) = find_video_jobs([Path("-")], output=output, raw=(64, 48), pix_fmt="bgr24").pending
    assert job.is_pipe
    assert job.raw == (64, 48, "bgr24")


def test_default_layout_of_raw_frames():
    (job,) = find_video_jobs([Path("-")], output=Path("-"), raw=(64, 48)).pending
    assert job.raw == (64, 48, "rgb24")


@pytest.mark.parametrize(
    ("inputs", "output"),
    [(["-"], None), (["-", "a.mp4"], "-"), (["a.mp4"], "-"), (["-"], "out.mp4")],
)
def test_incomplete_pipe(inputs, output):
    with pytest.raises(DerainError, match="must lead from standard input to standard output"):
        find_video_jobs([Path(name) for name in inputs], output=output and Path(output))


@pytest.mark.parametrize("name", ["-", "frames"])
def test_encoder_for_frames_is_rejected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    output = Path("-") if name == "-" else None
    with pytest.raises(DerainError, match=r"--codec and --crf: apply to clips only"):
        find_video_jobs([Path(name)], output=output, is_encoder_chosen=True)


def test_encoder_for_clips_and_frames(clip, tmp_path):
    assert len(find_video_jobs([tmp_path, clip], is_encoder_chosen=True).pending) == 2


def test_clip_in_an_inaccessible_folder(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o000)
    clip = str(tmp_path / "shut" / "clip.mp4")
    imports = (
        "from pathlib import Path; from derain.video.jobs import find_video_jobs; "
        "from derain.video.clip_reader import ClipReader"
    )
    statement = (
        f"(job,) = find_video_jobs([Path({clip!r})], output=Path('out')).pending; "
        "ClipReader(job.source, str(job.source))"
    )
    error = run_unprivileged(imports, statement, tmp_path).stderr.splitlines()[-1]
    assert error.startswith(f"derain.errors.VideoError: {clip}: permission denied")


@pytest.mark.parametrize("name", ["-", "clip.mp4"])
def test_layout_of_raw_frames_without_their_size(name):
    output = Path("-") if name == "-" else None
    message = "--pix-fmt bgr24: applies to raw frames only; add their size with --raw"
    with pytest.raises(DerainError, match=message):
        find_video_jobs([Path(name)], output=output, pix_fmt="bgr24")


@pytest.mark.parametrize("option", ["--temproal", "--json"])
def test_unknown_option(option, clip):
    message = rf"^{option}: is neither a file nor an option for clips; "
    with pytest.raises(DerainError, match=message):
        find_video_jobs([clip, Path(option)])


def test_photo_as_output(clip, tmp_path):
    with pytest.raises(DerainError, match=r"out\.gif: has the suffix of a photo"):
        find_video_jobs([clip], output=tmp_path / "out.gif")


@pytest.mark.parametrize("folder", ["/", "/.."])
def test_root_folder_needs_an_output(folder):
    message = f"^{Path(folder)}: has no parent folder for its frames; name one with -o"
    with pytest.raises(DerainError, match=message):
        find_video_jobs([Path(folder)])


def test_suffix_with_a_folder(clip):
    with pytest.raises(DerainError, match=r"^--suffix a/b: must not contain a folder"):
        find_video_jobs([clip], suffix="a/b")


@pytest.mark.parametrize("name", ["a.dav", "a.H264", "a.asf"])
def test_results_of_read_only_formats_are_matroska(name, tmp_path):
    output = tmp_path / "out"
    assert targets(tmp_path / name) == [tmp_path / "a_derained.mkv"]
    assert targets(tmp_path / name, tmp_path / "b.mp4", output=output)[0] == output / "a.mkv"
