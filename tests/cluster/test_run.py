"""Photos restored by a Ray cluster. Starting one takes a while."""

import json
from collections import Counter

import pytest

from derain.cli.main import main
from derain.cluster.run import restore_on_cluster
from derain.cluster.worker import Task
from derain.photos.options import RestoreOptions

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


def contents(folder):
    """Return the bytes of every file below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def local_ray(ray):
    """Ray on this machine, shared by the tests that need no more."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def restore(networks, tmp_path, capsys):
    """`restore(source, output, *options)` returns the exit code and the JSON report."""

    def run(source, output, *options):
        report = tmp_path / "report.json"
        model = str(networks / "darkening.onnx")
        arguments = [str(source), "-o", str(output), "--model", model, "--json", str(report)]
        code = main(["restore", *arguments, *options])
        return code, json.loads(report.read_text())

    return run


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


def test_lost_machine_costs_no_picture(ray, restore, networks, pictures, tmp_path):
    """One of two machines is killed half-way."""
    from ray.cluster_utils import Cluster

    from derain.cluster.location import open_location

    folder, output = pictures(200), tmp_path / "cluster"
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "include_dashboard": False,
            "_system_config": QUICK_HEALTH_CHECKS,
        },
    )
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    network = {"model": str(networks / "darkening.onnx"), "device": "cpu", "threads": 1}
    task = Task(
        open_location(str(folder)), open_location(str(output)), network, RestoreOptions(), False
    )
    rows = []

    def on_row(row):
        rows.append(row)
        if len(rows) == 100:
            cluster.remove_node(second, allow_graceful=False)

    try:
        restore_on_cluster(task, address=cluster.address, threads=1, on_row=on_row)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert Counter(row["name"] for row in rows) == dict.fromkeys(contents(folder), 1)
    assert {row["status"] for row in rows} <= {"restored", "already_there"}
    restore(folder, tmp_path / "one")
    assert contents(output) == contents(tmp_path / "one")


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


def test_object_store_of_google(local_ray, restore, pictures, tmp_path):
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="derain")
    server.start()
    try:
        port = server._api._httpd.server_port
        query = f"?scheme=http&endpoint_override=127.0.0.1:{port}"
        store = f"gs://anonymous@derain/in{query}"
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
