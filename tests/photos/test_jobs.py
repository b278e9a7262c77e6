"""Which file goes where."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.unprivileged import as_nobody

from derain.errors import DerainError, PictureError
from derain.photos.jobs import find_jobs
from derain.photos.shard import Shard
from derain.pictures import Picture, read, write

FIND = "from pathlib import Path; from derain.photos.jobs import find_errands"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two photos, one of them in a folder within, and a text."""
    (tmp_path / "in" / "été").mkdir(parents=True)
    for name in ("b.jpg", "été/ä b.PNG", "notes.txt"):
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def targets(*inputs: Path, **options) -> list[Path]:
    return [errand.target for errand in find_jobs(inputs, **options).todo]


def test_the_default_is_beside_the_input(tmp_path):
    assert targets(tmp_path / "photo.jpg") == [tmp_path / "photo_derained.jpg"]


def test_an_output_that_is_named_like_a_picture_is_the_file(tmp_path):
    assert targets(tmp_path / "photo.jpg", output=tmp_path / "clean.png") == [
        tmp_path / "clean.png"
    ]


def test_an_output_without_suffix_is_a_folder(tmp_path):
    assert targets(tmp_path / "photo.jpg", output=tmp_path / "out") == [
        tmp_path / "out" / "photo.jpg"
    ]


def test_an_output_that_is_called_by_a_date_is_a_folder(tmp_path):
    out = tmp_path / "2026.11.24"
    assert targets(tmp_path / "photo.jpg", output=out) == [out / "photo.jpg"]


def test_a_folder_is_mirrored(tree, tmp_path):
    out = tmp_path / "out"
    assert targets(tree, output=out) == [out / "b.jpg", out / "été" / "ä b.PNG"]


def test_files_that_are_no_pictures_are_counted(tree):
    assert find_jobs([tree]).not_pictures == 1


def test_what_macos_lays_beside_a_photo_is_no_picture(tree):
    (tree / "._b.jpg").touch()
    found = find_jobs([tree])
    assert (len(found.todo), found.not_pictures) == (2, 2)


def test_results_of_an_earlier_run_are_not_derained_again(tree):
    (tree / "b_derained.jpg").touch()
    found = find_jobs([tree])
    assert ([errand.source.name for errand in found.todo], len(found.already_there)) == (
        ["ä b.PNG"],
        1,
    )


def test_results_of_a_run_with_another_suffix_are_not_derained(tree):
    for name in ("b_derained.jpg", "b_compared.jpg", "b_derained_rain.jpg"):
        (tree / name).touch()
    assert len(targets(tree, suffix="_compared")) == 1
    assert len(targets(tree, suffix="_dry")) == 2


def test_without_a_suffix_photos_are_replaced_and_only_with_overwrite(tree):
    assert (targets(tree, suffix=""), len(targets(tree, suffix="", overwrite=True))) == ([], 2)
    assert len(find_jobs([tree], suffix="").problems) == 2


def test_a_folder_within_that_cannot_be_searched_is_told(tree, monkeypatch):
    def scandir(folder):
        if str(folder).endswith("été"):
            raise PermissionError(13, "Permission denied", str(folder))
        return walked(folder)

    walked = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    found = find_jobs([tree])
    assert (
        len(found.todo),
        "été: cannot be searched (Permission denied)" in found.problems[0][1],
    ) == (1, True)


SHUT = [0o000, 0o444]
"""A folder that may not be searched, with and without leave to list what it holds."""


@pytest.mark.parametrize("mode", SHUT)
def test_a_photo_in_a_folder_that_is_shut_is_one_that_cannot_be_read(mode, tree, tmp_path):
    path = str(tree / "b.jpg")
    tree.chmod(mode)
    statement = f"(errand,) = find_errands([Path({path!r})]).todo; read(errand.source)"
    run = as_nobody(f"{FIND}; from derain.pictures import read", statement, tmp_path)
    tree.chmod(0o755)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.PictureError: {path}: may not be read by this user"
    )


def test_a_folder_within_that_may_not_be_searched_costs_its_own_photos_only(tree, tmp_path):
    (tmp_path / "out" / "été").mkdir(parents=True)
    (tmp_path / "out" / "été" / "ä b.PNG").touch()
    (tree / "été").chmod(0o444)
    asked = f"find_errands([Path({str(tree)!r})], output=Path({str(tmp_path / 'out')!r}))"
    statement = (
        f"found = {asked}; print([path.source.name for path in found.todo + found.already_there])"
    )
    run = as_nobody(FIND, statement, tmp_path)
    (tree / "été").chmod(0o755)
    assert (run.stdout, run.stderr) == ("['b.jpg', 'ä b.PNG']\n", "")


def test_a_link_that_leads_nowhere_is_done_when_its_result_is_there(tree, tmp_path):
    (tree / "link.png").symlink_to("gone.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link.png").touch()
    assert len(find_jobs([tree], output=tmp_path / "out").already_there) == 1


def test_a_folder_goes_on_where_it_was_left(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.jpg").touch()
    assert targets(tree, output=tmp_path / "out") == [tmp_path / "out" / "été" / "ä b.PNG"]


def test_an_existing_file_is_a_problem_for_a_photo_that_is_named(tmp_path):
    for name in ("photo.jpg", "photo_derained.jpg"):
        (tmp_path / name).touch()
    ((_, text),) = find_jobs([tmp_path / "photo.jpg"]).problems
    assert "photo_derained.jpg exists; give --overwrite" in text


def test_of_several_photos_that_are_named_those_that_are_done_and_results_are_left_alone(tree):
    (tree / "c.jpg").touch()
    (tree / "b_derained.jpg").touch()
    found = find_jobs(sorted(tree.glob("*.jpg")))  # what a shell makes of *.jpg
    assert [errand.source.name for errand in found.todo] == ["c.jpg"]
    assert (len(found.already_there), found.results, found.problems) == (1, 1, [])
    assert targets(tree / "b_derained.jpg") == [
        tree / "b_derained_derained.jpg"
    ]  # who names it alone means it


def test_a_photo_that_is_named_twice_is_done_once(tree, tmp_path):
    found = find_jobs([tree, tree / "b.jpg", tree / ".." / "in" / "b.jpg"], output=tmp_path / "out")
    assert (len(found.todo), found.problems) == (2, [])
    missing = find_jobs([tmp_path / "no.jpg"] * 2)  # which is told of when it is read
    assert (len(missing.todo), missing.problems) == (1, [])


def test_hidden_folders_are_not_looked_into(tree):
    (tree / ".thumbnails").mkdir()
    (tree / ".thumbnails/1.jpg").touch()
    assert len(targets(tree)) == 2
    assert len(targets(tree / ".thumbnails")) == 1


def test_a_folder_of_clips_says_how_clips_are_named(tmp_path):
    (tmp_path / "a.MP4").touch()
    ((_, text),) = find_jobs([tmp_path]).problems
    assert text.endswith(
        f"holds no pictures that derain reads; clips are named one by one, as `derain {tmp_path / 'a.MP4'}`"
    )


def test_an_input_is_not_overwritten(tree):
    found = find_jobs([tree], output=tree)
    assert (found.todo, len(found.problems)) == ([], 2)


def test_overwrite_allows_both(tree):
    assert len(targets(tree, output=tree, overwrite=True)) == 2


def test_two_inputs_with_one_target_are_a_problem(tree, tmp_path):
    (tmp_path / "b.jpg").touch()
    found = find_jobs([tree / "b.jpg", tmp_path / "b.jpg"], output=tmp_path / "out")
    assert "would overwrite the result of" in found.problems[0][1]


def test_two_folders_with_one_target_stay_a_problem_when_it_is_there(tmp_path):
    for name in ("a", "b", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").touch()
    found = find_jobs([tmp_path / "a", tmp_path / "b"], output=tmp_path / "out")
    assert [errand.source for errand in found.already_there] == [tmp_path / "a" / "x.jpg"]
    assert [source for source, _ in found.problems] == [tmp_path / "b" / "x.jpg"]


@pytest.mark.parametrize("is_there", [False, True])
def test_shards_agree_on_which_of_two_photos_has_the_target(is_there, tmp_path):
    """A photo may be called as the rain layer of another is, which belongs to another share."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for index in range(8):
        (tmp_path / "in" / f"{index}.jpg").touch()
        (tmp_path / "in" / f"{index}_rain.jpg").touch()
        if is_there:
            (tmp_path / "out" / f"{index}.jpg").touch()
    shares = [
        find_jobs([tmp_path / "in"], output=tmp_path / "out", with_rain=True, shard=Shard(index, 4))
        for index in range(1, 5)
    ]
    assert {source.name for share in shares for source, _ in share.problems} == {
        f"{index}_rain.jpg" for index in range(8)
    }


def test_a_picture_and_another_of_the_same_stem_do_not_collide(tmp_path):
    assert len(set(targets(tmp_path / "a.jpg", tmp_path / "a.png", output=tmp_path / "out"))) == 2


def test_a_folder_without_pictures_is_a_problem(tmp_path):
    ((_, text),) = find_jobs([tmp_path]).problems
    assert "holds no pictures" in text


def test_links_to_folders_are_not_followed(tree, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.jpg").touch()
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    assert len(targets(tree)) == 2


def test_one_file_for_many_inputs_is_refused(tree):
    with pytest.raises(PictureError, match="is the name of one picture"):
        find_jobs([tree], output=Path("out.jpg"))


def test_an_output_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(PictureError, match=r"\.psd is not a kind of picture that derain writes"):
        find_jobs([tmp_path / "photo.jpg"], output=tmp_path / "out.psd")


def test_links_out_of_the_tree_are_left_alone(tree, tmp_path):
    (tmp_path / "secret.jpg").touch()
    (tree / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    found = find_jobs([tree])
    assert ({errand.source.name for errand in found.todo}, found.links_outside) == (
        {"b.jpg", "ä b.PNG"},
        1,
    )


def test_what_is_no_file_is_no_picture(tree):
    os.mkfifo(tree / "pipe.png")
    found = find_jobs([tree])
    assert (len(found.todo), found.not_pictures) == (2, 2)


def test_a_link_to_itself_is_a_picture_that_cannot_be_read(tree):
    (tree / "loop.png").symlink_to("loop.png")
    assert len(targets(tree)) == 3
    with pytest.raises(PictureError, match=r"loop\.png: is a link that leads back to itself"):
        read(tree / "loop.png")


def test_a_result_whose_name_would_be_too_long_is_one_sentence(tmp_path):
    source = tmp_path / f"{'x' * 250}.png"
    picture = Picture(np.zeros((2, 2, 3), np.uint8))
    write(picture, source)
    (target,) = targets(source)
    with pytest.raises(PictureError, match="its name is too long for this disk"):
        write(picture, target)


def test_links_within_the_tree_are_pictures(tree):
    (tree / "link.jpg").symlink_to(tree / "b.jpg")
    assert len(targets(tree)) == 3


def test_an_output_within_the_input_is_not_searched(tree):
    (tree / "out").mkdir()
    (tree / "out" / "x.jpg").touch()
    assert {path.name for path in targets(tree, output=tree / "out")} == {"b.jpg", "ä b.PNG"}


def test_half_written_files_are_never_taken_for_done(tree):
    (tree / ".derain-0123.part").touch()
    assert (len(targets(tree)), find_jobs([tree]).already_there) == (2, [])


def test_rain_layers_lie_beside_the_results(tree):
    rains = [errand.rain.name for errand in find_jobs([tree], with_rain=True).todo]
    assert rains == ["b_derained_rain.jpg", "ä b_derained_rain.PNG"]


def test_a_rain_layer_does_not_overwrite_what_an_earlier_run_left_of_another_photo(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b_rain.jpg").touch()  # of b_rain.jpg in another folder
    found = find_jobs([tree], output=tmp_path / "out", with_rain=True)
    assert [errand.source.name for errand in found.todo] == ["ä b.PNG"]
    assert "b_rain.jpg exists; give --overwrite" in found.problems[0][1]
    assert len(find_jobs([tree], output=tmp_path / "out", with_rain=True, overwrite=True).todo) == 2


def test_a_link_that_leads_nowhere_is_in_the_way(tree):
    (tree / "b_derained.jpg").symlink_to(
        tree / "away" / "b.jpg"
    )  # on a disk that is not there just now
    assert "b_derained.jpg exists; give --overwrite" in find_jobs([tree / "b.jpg"]).problems[0][1]
    assert "b_derained.jpg exists; give --overwrite" in find_jobs([tree]).problems[0][1]


def test_a_rain_layer_is_not_replaced_for_a_photo_that_is_named(tree):
    (tree / "b_derained_rain.jpg").touch()
    ((_, text),) = find_jobs([tree / "b.jpg"], with_rain=True).problems
    assert "b_derained_rain.jpg exists; give --overwrite" in text


def test_rain_layers_of_an_earlier_run_are_not_derained(tree):
    (tree / "b_derained_rain.jpg").touch()
    assert len(targets(tree)) == 2


def test_a_rain_layer_does_not_overwrite_the_result_of_another_photo(tree, tmp_path):
    (tree / "b_rain.jpg").touch()
    found = find_jobs([tree], output=tmp_path / "out", with_rain=True)
    assert "would overwrite the result of" in found.problems[0][1]


def test_a_suffix_holds_no_folder(tmp_path):
    with pytest.raises(
        DerainError, match=r"^--suffix a/b: is the end of a name and holds no folder; "
    ):
        find_jobs([tmp_path / "photo.jpg"], suffix="a/b")


def test_pictures_that_are_called_as_results_are_counted(tree):
    (tree / "b_derained.jpg").touch()
    (tree / "b_compared.jpg").touch()
    (tree / "street_compared.jpg").touch()  # of no street.jpg
    assert (find_jobs([tree]).results, len(find_jobs([tree]).todo)) == (2, 2)
    assert len(targets(tree, suffix="b")) == 3  # `ä b` is no result of `ä `
    assert find_jobs([tree], output=tree / "out").results == 2  # one was tried before the folder
    assert (
        find_jobs(sorted(tree.glob("b*.jpg")), output=tree / "out").results == 0
    )  # who names them means them


def test_the_source_of_another_picture_is_not_overwritten(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = find_jobs([tmp_path / "b", tmp_path / "a"], output=tmp_path / "link", overwrite=True)
    assert [errand.source for errand in found.todo] == [tmp_path / "a" / "t.png"]
    assert (
        "would overwrite" in found.problems[0][1]
        and "which is an input itself" in found.problems[0][1]
    )


def test_a_rain_layer_does_not_replace_an_input(tree):
    (tree / "b_rain.jpg").touch()
    found = find_jobs(
        [tree / "b.jpg", tree / "b_rain.jpg"], output=tree, overwrite=True, with_rain=True
    )
    assert [errand.source.name for errand in found.todo] == ["b_rain.jpg"]
    assert "which is an input itself" in found.problems[0][1]


def test_a_folder_of_the_name_is_no_result(tree, tmp_path):
    (tmp_path / "out" / "b.jpg").mkdir(parents=True)
    found = find_jobs([tree], output=tmp_path / "out")
    assert (found.already_there, len(found.problems)) == ([], 1)


def test_results_without_the_rain_layer_that_is_wanted_are_counted(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.jpg").touch()
    found = find_jobs([tree], output=tmp_path / "out", with_rain=True)
    assert (len(found.already_there), found.without_rain) == (1, 1)
    assert find_jobs([tree], output=tmp_path / "out").without_rain == 0


def test_a_file_is_no_folder_for_results(tree, tmp_path):
    (tmp_path / "notes").touch()
    with pytest.raises(PictureError, match="notes: is a file, and results go into a folder"):
        find_jobs([tree], output=tmp_path / "notes")


def test_a_hidden_clip_is_not_named(tmp_path):
    (tmp_path / "._a.mp4").touch()
    ((_, text),) = find_jobs([tmp_path]).problems
    assert text.endswith("name another folder")
