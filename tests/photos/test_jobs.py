"""Which photo is restored to which file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.unprivileged import run_unprivileged

from derain.errors import DerainError, PictureError
from derain.photos import jobs as photo_jobs
from derain.photos.jobs import Job, JobList, find_jobs
from derain.photos.shard import Shard
from derain.pictures import Picture, read, write

FIND = "from pathlib import Path; from derain.photos.jobs import find_jobs"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two photos, one of them in a subfolder, and a text file."""
    (tmp_path / "in" / "été").mkdir(parents=True)
    for name in ("b.jpg", "été/ä b.PNG", "notes.txt"):
        (tmp_path / "in" / name).write_text("content")
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty output folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def targets(*inputs: Path, **options) -> list[Path]:
    return [job.target for job in find_jobs(inputs, **options).pending]


def names(jobs: list[Job]) -> list[str]:
    return [job.source.name for job in jobs]


def problem(jobs: JobList) -> str:
    """Return the only problem."""
    ((_, text),) = jobs.problems
    return text


# targets


def test_default_target_is_beside_the_source(tmp_path):
    assert targets(tmp_path / "photo.jpg") == [tmp_path / "photo_derained.jpg"]


def test_output_with_picture_suffix_is_a_file(tmp_path):
    target = tmp_path / "clean.png"
    assert targets(tmp_path / "photo.jpg", output=target) == [target]


@pytest.mark.parametrize("name", ["out", "2026.11.24"])
def test_other_output_is_a_folder(name, tmp_path):
    target = tmp_path / name / "photo.jpg"
    assert targets(tmp_path / "photo.jpg", output=tmp_path / name) == [target]


@pytest.mark.parametrize("name", ["holiday.june", "x/2024.05.01", "out.png"])
def test_output_with_a_slash_is_a_folder(name, tmp_path):
    target = tmp_path / name / "photo.jpg"
    assert targets(tmp_path / "photo.jpg", output=f"{tmp_path / name}/") == [target]


def test_output_with_a_slash_holds_a_folder(tree, tmp_path):
    target = tmp_path / "out.png"
    assert targets(tree / "été", output=f"{target}/") == [target / "ä b.PNG"]


def test_folder_tree_is_mirrored(tree, out):
    assert targets(tree, output=out) == [out / "b.jpg", out / "été" / "ä b.PNG"]


def test_rain_layers_are_beside_the_results(tree):
    jobs = find_jobs([tree], with_rain=True)
    layers = [job.rain_target.name for job in jobs.pending]
    assert layers == ["b_derained_rain.jpg", "ä b_derained_rain.PNG"]


def test_same_stem_does_not_collide(tmp_path):
    found = targets(tmp_path / "a.jpg", tmp_path / "a.png", output=tmp_path / "out")
    assert len(set(found)) == 2


# rejected outputs


def test_file_output_for_a_folder_is_rejected(tree):
    with pytest.raises(PictureError, match="cannot hold the results of several pictures"):
        find_jobs([tree], output=Path("out.jpg"))


def test_unknown_output_format_is_rejected(tmp_path):
    with pytest.raises(PictureError, match=r"\.psd"):
        find_jobs([tmp_path / "photo.jpg"], output=tmp_path / "out.psd")


def test_existing_file_as_output_folder_is_rejected(tree, tmp_path):
    (tmp_path / "notes").write_text("content")
    with pytest.raises(PictureError, match="notes: is a file; name a folder"):
        find_jobs([tree], output=tmp_path / "notes")


def test_existing_file_with_a_slash_is_rejected(tree, tmp_path):
    (tmp_path / "out.png").touch()
    with pytest.raises(PictureError, match=r"out\.png/: is a file; name a folder"):
        find_jobs([tree / "b.jpg"], output=f"{tmp_path / 'out.png'}/")


def test_suffix_with_a_folder_is_rejected(tmp_path):
    with pytest.raises(DerainError, match=r"^--suffix a/b: must not contain a folder; "):
        find_jobs([tmp_path / "photo.jpg"], suffix="a/b")


# searched folders


def test_other_files_are_counted(tree):
    assert find_jobs([tree]).other_files == 1


@pytest.mark.parametrize("name", ["._b.jpg", "pipe.png"])
def test_apple_double_files_and_pipes_are_skipped(name, tree):
    if name == "pipe.png":
        os.mkfifo(tree / name)
    else:
        (tree / name).write_text("content")
    jobs = find_jobs([tree])
    assert len(jobs.pending) == 2
    assert jobs.other_files == 2


def test_temporary_files_are_ignored(tree):
    (tree / ".derain-0123.part").write_text("content")
    jobs = find_jobs([tree])
    assert len(jobs.pending) == 2
    assert jobs.other_files == 1


def test_hidden_folders_are_skipped(tree):
    (tree / ".thumbnails").mkdir()
    (tree / ".thumbnails/1.jpg").write_text("content")
    assert len(targets(tree)) == 2


def test_named_hidden_folder_is_searched(tree):
    (tree / ".thumbnails").mkdir()
    (tree / ".thumbnails/1.jpg").write_text("content")
    assert len(targets(tree / ".thumbnails")) == 1


def test_output_inside_the_input_is_not_searched(tree):
    (tree / "out").mkdir()
    (tree / "out" / "x.jpg").write_text("content")
    assert {path.name for path in targets(tree, output=tree / "out")} == {"b.jpg", "ä b.PNG"}


def test_output_inside_the_input_is_not_searched_in_another_case(tree, monkeypatch):
    """On disks that ignore case: -o OUT names the folder out."""
    (tree / "out").mkdir()
    (tree / "out" / "x.jpg").write_text("content")
    monkeypatch.setattr(
        photo_jobs, "same_file", lambda path, other: str(path).casefold() == str(other).casefold()
    )
    assert {path.name for path in targets(tree, output=tree / "OUT")} == {"b.jpg", "ä b.PNG"}


def test_links_to_folders_are_not_followed(tree, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.jpg").write_text("content")
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    assert len(targets(tree)) == 2


def test_links_to_files_outside_are_counted(tree, tmp_path):
    (tmp_path / "secret.jpg").write_text("content")
    (tree / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    jobs = find_jobs([tree])
    assert names(jobs.pending) == ["b.jpg", "ä b.PNG"]
    assert jobs.external_links == 1


def test_links_inside_the_tree_are_pictures(tree):
    (tree / "link.jpg").symlink_to(tree / "b.jpg")
    assert len(targets(tree)) == 3


def test_link_to_itself_fails_when_read(tree):
    (tree / "loop.png").symlink_to("loop.png")
    assert len(targets(tree)) == 3
    with pytest.raises(PictureError, match=r"^\S*loop\.png: "):
        read(tree / "loop.png")


def test_folder_without_pictures_is_a_problem(tmp_path):
    text = problem(find_jobs([tmp_path]))
    assert "contains no pictures that derain can read; name another folder" in text


def test_folder_of_clips_suggests_the_clip(tmp_path):
    (tmp_path / "a.MP4").write_text("content")
    assert problem(find_jobs([tmp_path])).endswith(f"with `derain {tmp_path / 'a.MP4'}`")


def test_hidden_clip_is_not_suggested(tmp_path):
    (tmp_path / "._a.mp4").write_text("content")
    assert problem(find_jobs([tmp_path])).endswith("name another folder")


def test_unreadable_subfolder_is_a_problem(tree, monkeypatch):
    scandir = os.scandir

    def denied(folder):
        if str(folder).endswith("été"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", denied)
    jobs = find_jobs([tree])
    assert names(jobs.pending) == ["b.jpg"]
    assert "été: cannot be listed (Permission denied)" in problem(jobs)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_photo_in_an_inaccessible_folder_fails_when_read(mode, tree, tmp_path):
    path = str(tree / "b.jpg")
    tree.chmod(mode)
    statement = f"(job,) = find_jobs([Path({path!r})]).pending; read(job.source)"
    run = run_unprivileged(f"{FIND}; from derain.pictures import read", statement, tmp_path)
    tree.chmod(0o755)
    assert run.stderr.splitlines()[-1].startswith(f"derain.errors.PictureError: {path}: ")


def test_inaccessible_subfolder_does_not_affect_others(tree, tmp_path):
    (tmp_path / "out" / "été").mkdir(parents=True)
    (tmp_path / "out" / "été" / "ä b.PNG").write_text("content")
    (tree / "été").chmod(0o444)
    call = f"find_jobs([Path({str(tree)!r})], output=Path({str(tmp_path / 'out')!r}))"
    statement = f"jobs = {call}; print([job.source.name for job in jobs.pending + jobs.existing])"
    run = run_unprivileged(FIND, statement, tmp_path)
    (tree / "été").chmod(0o755)
    assert run.stderr == ""
    assert run.stdout == "['b.jpg', 'ä b.PNG']\n"


# existing results


def test_existing_results_in_folders_are_skipped(tree, out):
    (out / "b.jpg").write_text("content")
    jobs = find_jobs([tree], output=out)
    assert names(jobs.pending) == ["ä b.PNG"]
    assert names(jobs.existing) == ["b.jpg"]


def test_empty_results_are_restored_again(tree, out):
    (out / "b.jpg").touch()
    jobs = find_jobs([tree], output=out)
    assert names(jobs.pending) == ["b.jpg", "ä b.PNG"]
    assert jobs.existing == []


def test_empty_result_of_a_single_photo_is_restored_again(tree):
    (tree / "b_derained.jpg").touch()
    assert targets(tree / "b.jpg") == [tree / "b_derained.jpg"]


def test_existing_result_of_a_single_photo_is_a_problem(tmp_path):
    for name in ("photo.jpg", "photo_derained.jpg"):
        (tmp_path / name).write_text("content")
    text = problem(find_jobs([tmp_path / "photo.jpg"]))
    assert "photo_derained.jpg exists; use --overwrite" in text


def test_existing_results_of_several_photos_are_skipped(tree):
    (tree / "c.jpg").write_text("content")
    (tree / "b_derained.jpg").write_text("content")
    jobs = find_jobs(sorted(tree.glob("*.jpg")))  # as a shell expands *.jpg
    assert names(jobs.pending) == ["c.jpg"]
    assert names(jobs.existing) == ["b.jpg"]
    assert jobs.earlier_results == 1
    assert jobs.problems == []


def test_overwrite_replaces_existing_results(tree):
    assert len(targets(tree, output=tree, overwrite=True)) == 2


def test_input_is_not_overwritten(tree):
    jobs = find_jobs([tree], output=tree)
    assert jobs.pending == []
    assert len(jobs.problems) == 2


def test_message_about_an_input_does_not_advise_to_overwrite_it(tree):
    for _, text in find_jobs([tree], output=tree).problems:
        assert "would overwrite itself; write to another" in text
        assert "--overwrite" not in text


def test_empty_suffix_needs_overwrite(tree):
    assert len(find_jobs([tree], suffix="").problems) == 2
    assert len(targets(tree, suffix="", overwrite=True)) == 2


def test_folder_with_the_name_of_a_result_is_a_problem(tree, out):
    (out / "b.jpg").mkdir()
    jobs = find_jobs([tree], output=out)
    assert jobs.existing == []
    assert "b.jpg exists" in problem(jobs)


def test_dangling_link_with_an_existing_result_is_skipped(tree, out):
    (tree / "link.png").symlink_to("gone.png")
    (out / "link.png").write_text("content")
    assert names(find_jobs([tree], output=out).existing) == ["link.png"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_dangling_link_as_target_is_a_problem(is_folder, tree):
    (tree / "b_derained.jpg").symlink_to(tree / "unmounted" / "b.jpg")
    jobs = find_jobs([tree if is_folder else tree / "b.jpg"])
    assert "b_derained.jpg exists; use --overwrite" in problem(jobs)


def test_long_target_name_fails_when_written(tmp_path):
    source = tmp_path / f"{'x' * 250}.png"
    picture = Picture(np.zeros((2, 2, 3), np.uint8))
    write(picture, source)
    (target,) = targets(source)
    with pytest.raises(PictureError, match="name is too long for this disk"):
        write(picture, target)


# results of earlier runs


def test_earlier_results_in_folders_are_skipped(tree):
    (tree / "b_derained.jpg").write_text("content")
    (tree / "b_compared.jpg").write_text("content")
    (tree / "street_compared.jpg").write_text("content")  # there is no street.jpg
    jobs = find_jobs([tree])
    assert names(jobs.pending) == ["street_compared.jpg", "ä b.PNG"]
    assert jobs.earlier_results == 2


def test_earlier_results_are_skipped_with_an_output_folder(tree):
    (tree / "b_derained.jpg").write_text("content")
    assert find_jobs([tree], output=tree / "out").earlier_results == 1


def test_named_earlier_results_are_restored_with_an_output_folder(tree):
    (tree / "b_derained.jpg").write_text("content")
    jobs = find_jobs(sorted(tree.glob("b*.jpg")), output=tree / "out")
    assert jobs.earlier_results == 0


def test_single_earlier_result_is_restored(tree):
    (tree / "b_derained.jpg").write_text("content")
    assert targets(tree / "b_derained.jpg") == [tree / "b_derained_derained.jpg"]


@pytest.mark.parametrize("suffix", ["_compared", "_clean"])
def test_results_with_other_suffixes_are_skipped(suffix, tree):
    for name in ("b_derained.jpg", "b_compared.jpg", "b_derained_rain.jpg"):
        (tree / name).write_text("content")
    assert find_jobs([tree], suffix=suffix).earlier_results == 3


def test_suffix_must_match_the_whole_name(tree):
    assert len(targets(tree, suffix="b")) == 2  # `ä b` is not a result of `ä `


def test_rain_layers_of_an_earlier_run_are_skipped(tree):
    (tree / "b_derained_rain.jpg").write_text("content")
    assert len(targets(tree)) == 2


# existing rain layers


def test_missing_rain_layers_are_counted(tree, out):
    (out / "b.jpg").write_text("content")
    assert find_jobs([tree], output=out, with_rain=True).missing_rain_layers == 1
    assert find_jobs([tree], output=out).missing_rain_layers == 0


def test_rain_layer_of_another_photo_is_not_overwritten(tree, out):
    (out / "b_rain.jpg").write_text("content")  # result of a b_rain.jpg in another folder
    jobs = find_jobs([tree], output=out, with_rain=True)
    assert names(jobs.pending) == ["ä b.PNG"]
    assert "b_rain.jpg exists; use --overwrite" in problem(jobs)


def test_empty_rain_layer_is_missing(tree, out):
    (out / "b_rain.jpg").touch()
    assert len(targets(tree, output=out, with_rain=True)) == 2
    (out / "b.jpg").write_text("content")
    assert find_jobs([tree], output=out, with_rain=True).missing_rain_layers == 1


def test_overwrite_replaces_rain_layers(tree, out):
    (out / "b_rain.jpg").write_text("content")
    assert len(targets(tree, output=out, with_rain=True, overwrite=True)) == 2


def test_existing_rain_layer_of_a_single_photo_is_a_problem(tree):
    (tree / "b_derained_rain.jpg").write_text("content")
    text = problem(find_jobs([tree / "b.jpg"], with_rain=True))
    assert "b_derained_rain.jpg exists; use --overwrite" in text


# conflicts


def test_repeated_photo_is_restored_once(tree, out):
    jobs = find_jobs([tree, tree / "b.jpg", tree / ".." / "in" / "b.jpg"], output=out)
    assert len(jobs.pending) == 2
    assert jobs.problems == []


def test_repeated_missing_photo_is_one_job(tmp_path):
    jobs = find_jobs([tmp_path / "missing.jpg"] * 2)
    assert len(jobs.pending) == 1
    assert jobs.problems == []


def test_two_photos_with_one_target_conflict(tree, tmp_path, out):
    (tmp_path / "b.jpg").write_text("content")
    jobs = find_jobs([tree / "b.jpg", tmp_path / "b.jpg"], output=out)
    assert "would overwrite the result of" in problem(jobs)


def test_conflict_remains_when_the_target_exists(tmp_path):
    for name in ("a", "b", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_text("content")
    jobs = find_jobs([tmp_path / "a", tmp_path / "b"], output=tmp_path / "out")
    assert [job.source for job in jobs.existing] == [tmp_path / "a" / "x.jpg"]
    assert [source for source, _ in jobs.problems] == [tmp_path / "b" / "x.jpg"]


def test_another_input_is_not_overwritten(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.png").write_text("content")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    jobs = find_jobs([tmp_path / "b", tmp_path / "a"], output=tmp_path / "link", overwrite=True)
    assert [job.source for job in jobs.pending] == [tmp_path / "a" / "t.png"]
    assert problem(jobs).endswith("another input; write to another folder with -o")


def test_rain_layer_does_not_overwrite_an_input(tree):
    (tree / "b_rain.jpg").write_text("content")
    inputs = [tree / "b.jpg", tree / "b_rain.jpg"]
    jobs = find_jobs(inputs, output=tree, overwrite=True, with_rain=True)
    assert names(jobs.pending) == ["b_rain.jpg"]
    assert "another input" in problem(jobs)


def test_rain_layer_does_not_overwrite_another_result(tree, tmp_path):
    (tree / "b_rain.jpg").write_text("content")
    jobs = find_jobs([tree], output=tmp_path / "new", with_rain=True)
    assert "would overwrite the result of" in problem(jobs)


@pytest.mark.parametrize("has_results", [False, True])
def test_shards_find_the_same_conflicts(has_results, tmp_path, out):
    """A photo can have the name of another photo's rain layer, in another shard."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(8):
        (folder / f"{index}.jpg").write_text("content")
        (folder / f"{index}_rain.jpg").write_text("content")
        if has_results:
            (out / f"{index}.jpg").write_text("content")
    shards = [
        find_jobs([folder], output=out, with_rain=True, shard=Shard(index, 4))
        for index in range(1, 5)
    ]
    rejected = {source.name for jobs in shards for source, _ in jobs.problems}
    assert rejected == {f"{index}_rain.jpg" for index in range(8)}
