"""Folders of a disk and of object stores."""

import os
import sys

import pytest

from derain.cli.main import main
from derain.cluster.location import Location, is_picture, is_store, list_names, open_location
from derain.cluster.worker import received, sendable


@pytest.mark.parametrize("text", ["s3://bucket/in", "gs://bucket", "gcs://bucket/a b"])
def test_addresses_of_object_stores_are_recognised(text):
    assert is_store(text)


@pytest.mark.parametrize("text", ["photos/", "s3:/bucket", "rtsp://camera/1", "s3", ""])
def test_other_inputs_are_not_object_stores(text):
    assert not is_store(text)


@pytest.mark.parametrize("name", ["a.PNG", "b.jpeg"])
def test_pictures_are_recognised_by_their_suffix(name):
    assert is_picture(name)


@pytest.mark.parametrize("name", ["a.txt", "._b.jpg", ".derain-1.part.png", "jpg"])
def test_other_files_are_not_pictures(name):
    assert not is_picture(name)


@pytest.mark.parametrize("verb", [[], ["restore"]])
def test_object_stores_need_a_cluster(verb, capsys):
    assert main([*verb, "s3://bucket/in", "-o", "out"]) == 1
    assert "object stores need --ray" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--shard", "1/2"], ["--save-rain"], ["--report", "a.html"]])
def test_options_of_one_machine_are_rejected(option, tmp_path, capsys):
    assert main(["restore", str(tmp_path), "-o", str(tmp_path), "--ray", "local", *option]) == 1
    assert f"{option[0]}: is not supported with --ray" in capsys.readouterr().err


def test_a_cluster_needs_one_folder_and_an_output(tmp_path, capsys):
    assert main(["restore", str(tmp_path), "--ray", "local"]) == 1
    assert "takes one folder and -o FOLDER" in capsys.readouterr().err


def test_credentials_are_not_reported():
    store = Location("s3://key:secret@bucket/in?scheme=http", None, "bucket/in")
    assert store.named("a/b.png") == "s3://bucket/in/a/b.png"


def test_files_of_a_disk_keep_their_names():
    assert Location("/photos?/a@b", None, "/photos?/a@b").named("c.png") == "/photos?/a@b/c.png"


@pytest.mark.parametrize(
    ("results", "names"),
    [
        ("in/out", ["a.png", "b/c/d.jpg", "out of rain/e.png"]),
        ("in", ["a.png", "out/a.png", "b/c/d.jpg", "out of rain/e.png"]),
        (".", ["a.png", "out/a.png", "b/c/d.jpg", "out of rain/e.png"]),
    ],
)
def test_hidden_folders_and_the_results_are_not_listed(results, names, tmp_path):
    pytest.importorskip("pyarrow", reason="needs `pip install 'derain[ray]'`")
    for name in ("a.png", "b/c/d.jpg", "out/a.png", "out of rain/e.png", "b/.hidden/e.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    folder, output = open_location(str(tmp_path / "in")), open_location(str(tmp_path / results))
    assert sorted(list_names(folder, excluded=output)) == sorted(names)


def test_links_out_and_earlier_results_are_not_listed(tmp_path):
    pytest.importorskip("pyarrow", reason="needs `pip install 'derain[ray]'`")
    for name in ("in/a.png", "in/a_derained.png", "in/b/c.png", "elsewhere/private.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    (tmp_path / "in/b/up").symlink_to("..")
    (tmp_path / "in/elsewhere").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/private.png").symlink_to(tmp_path / "elsewhere/private.png")
    (tmp_path / "in/link.png").symlink_to("b/c.png")
    folder = open_location(str(tmp_path / "in"))
    assert sorted(list_names(folder)) == ["a.png", "b/c.png", "link.png"]


def test_a_cluster_does_not_skip_the_photos_as_their_own_results(tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="needs `pip install 'derain[ray]'`")
    assert main([str(tmp_path), "--ray", "local", "-o", str(tmp_path)]) == 1
    assert "is the folder of the photos; name another folder" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have Unicode names only")
def test_names_that_are_not_utf_8_are_listed_found_and_read(tmp_path):
    pytest.importorskip("pyarrow")
    name = os.fsdecode(b"street\xff.jpg")
    (tmp_path / name).write_bytes(b"content")
    folder = open_location(str(tmp_path))
    assert list(list_names(folder)) == [name]
    assert folder.has(name)
    assert folder.read(name) == b"content"


@pytest.mark.parametrize(
    "name", ["street.jpg", "stra\u00dfe \u96e8.jpg", os.fsdecode(b"street\xff.jpg")]
)
def test_rows_with_any_name_can_be_sent(name):
    row = {"name": name, "error": f"{name}: is damaged", "width": 7}
    sent = sendable(row)
    assert f"{sent['name']}{sent['error']}".encode()
    assert received(sent) == row
