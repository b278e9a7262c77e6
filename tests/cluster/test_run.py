"""Photos restored by a Ray cluster. Starting one takes a while."""

from collections import Counter

import pytest
from helpers.folder_contents import contents

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
