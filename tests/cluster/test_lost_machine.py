"""A Ray cluster that loses a machine."""

from collections import Counter
from pathlib import Path

import pytest
from helpers.folder_contents import contents

from derain.cluster.run import restore_on_cluster
from derain.cluster.worker import Task
from derain.files.atomic import TEMPORARY_PREFIX
from derain.photos.options import RestoreOptions

pytestmark = pytest.mark.slow
QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


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
    results = {  # the killed machine may leave a temporary file
        name: content
        for name, content in contents(output).items()
        if not Path(name).name.startswith(TEMPORARY_PREFIX)
    }
    assert results == contents(tmp_path / "one")
