"""Photos restored by a Ray cluster. Starting one takes a while."""

import socket
import subprocess
import sys
import time
from collections import Counter

import pytest
from helpers.folder_contents import contents

from derain.errors import PictureError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local_ray(ray):
    """Ray on this machine, shared by the tests that need no more."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def statuses(report):
    return Counter(picture["status"] for picture in report["pictures"])


def test_results_equal_those_of_one_machine(local_ray, restore, pictures, tmp_path):
    folder = pictures(6)
    (folder / "broken.png").write_bytes(b"not a picture")
    code, report = restore(folder, tmp_path / "cluster", "--ray", "local")
    assert code == 1
    assert statuses(report) == {"restored": 6, "failed": 1}
    (failed,) = [entry for entry in report["pictures"] if entry["status"] == "failed"]
    assert "broken.png: " in failed["error"]
    restore(folder, tmp_path / "one")
    assert contents(tmp_path / "cluster") == contents(tmp_path / "one")
    code, report = restore(folder, tmp_path / "cluster", "--ray", "local")
    assert statuses(report) == {"already_there": 6, "failed": 1}


def test_object_store_of_amazon(local_ray, restore, pictures, tmp_path, monkeypatch):
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        query = f"?scheme=http&endpoint_override={host}:{port}&allow_bucket_creation=true"
        store = f"s3://any:any@derain/in{query}"
        assert_restores_in_store(store, store.replace("/in?", "/out?"), restore, pictures, tmp_path)
    finally:
        server.stop()


@pytest.fixture
def google_store(tmp_path):
    """Address of an emulator of Google's object store, a process of its own, with one bucket.

    Arrow holds the interpreter while it reads, so a thread of this process could not answer it.
    """
    pytest.importorskip("gcp_storage_emulator", reason="needs `pip install gcp-storage-emulator`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--in-memory", "--default-bucket", "derain", "--quiet"]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, *options], cwd=tmp_path)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        query = f"?scheme=http&endpoint_override=127.0.0.1%3A{port}&retry_limit_seconds=20"
        yield f"gs://anonymous@derain/{{}}{query}"
    finally:
        process.terminate()
        process.wait()


def test_object_store_of_google(google_store, local_ray, restore, pictures, tmp_path):
    source, output = google_store.format("in"), google_store.format("out")
    assert_restores_in_store(source, output, restore, pictures, tmp_path)


def test_hidden_folders_and_the_results_in_google_s_store_are_not_listed(google_store):
    from derain.cluster.location import list_names, open_location

    folder = open_location(google_store.format("in"))
    for name in ("a.png", "b/c/d.jpg", "out/a.png", "b/.hidden/e.png", "b/note.txt"):
        folder.write(name, b"content")
    names = list(list_names(folder, excluded=open_location(google_store.format("in/out"))))
    assert names == ["a.png", "b/c/d.jpg"]


def test_a_missing_folder_of_google_s_store_is_an_error(google_store):
    from derain.cluster.location import list_names, open_location

    with pytest.raises(PictureError, match=r"^gs://derain/none: cannot be listed"):
        list(list_names(open_location(google_store.format("none"))))


def assert_restores_in_store(source, output, restore, pictures, tmp_path):
    """Restore four pictures and a broken one from and to an object store."""
    from pyarrow import fs

    from derain.cluster.location import open_location

    folder = pictures(4)
    (folder / "broken.png").write_bytes(b"not a picture")
    remote = open_location(source)
    remote.filesystem.create_dir(remote.path)
    fs.copy_files(str(folder), remote.path, fs.LocalFileSystem(), remote.filesystem)
    code, report = restore(source, output, "--ray", "local")
    assert code == 1
    assert statuses(report) == {"restored": 4, "failed": 1}
    assert all("://" in picture["source"] for picture in report["pictures"])
    stored = open_location(output)
    restore(folder, tmp_path / "one")
    expected = contents(tmp_path / "one")
    assert {name: stored.read(name) for name in expected} == expected
