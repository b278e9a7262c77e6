"""Restore a folder on a Ray cluster.

The names are listed while pictures are restored. Each worker is an actor with one network. If a
machine is lost, the pictures that it had are restored by the others in another round, at most
ATTEMPTS times in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from derain.cluster.location import list_names
from derain.cluster.worker import FAILED, ClusterWorker, Task, received, row_of, sendable
from derain.errors import EngineError

ATTEMPTS = 3
LOCAL = "local"
"""As an address: start Ray on this machine."""
CPUS_EACH = 2
"""CPUs of a worker, unless the user sets the number of threads."""
Row = dict[str, Any]


def restore_on_cluster(
    task: Task, *, address: str, threads: int | None, on_row: Callable[[Row], None]
) -> None:
    """Restore all pictures of a task; `on_row` gets one row for each of them.

    `address` is that of a Ray cluster, or LOCAL. Raises EngineError if the cluster cannot be
    reached or its workers do not start, and PictureError if the folder cannot be listed.
    """
    from ray.exceptions import RayError

    try:
        with connected(address), small_blocks():
            workers = choose_workers(threads, on_gpu=task.network["device"] == "cuda")
            done: set[str] = set()
            names: Callable[[], Iterable[str]] = lambda: list_names(  # noqa: E731  (sent to Ray)
                task.source, excluded=task.output
            )
            for _ in range(ATTEMPTS):
                for row in run_round(names, task, workers):
                    if row["name"] not in done:
                        done.add(row["name"])
                        on_row(row)
                lost = [name for name in names() if name not in done]
                if not lost:
                    return
                names = lambda lost=lost: lost  # type: ignore[misc]  # noqa: E731
            for name in lost:
                on_row(row_of(name, FAILED, error=_lost(task.source.named(name))))
    except (RayError, ConnectionError) as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineError(
            f"{address}: the Ray cluster failed ({reason}); check the address, and that derain "
            "has the same version on all machines"
        ) from error


def run_round(
    names: Callable[[], Iterable[str]], task: Task, workers: dict[str, Any]
) -> Iterator[Row]:
    """Yield the row of each picture as it is done; rows of lost workers are missing."""
    import ray.data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # on the machine of this process, and without a CPU, which workers may have taken
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    listing = {"scheduling_strategy": here, "num_cpus": 0}
    dataset = ray.data.read_datasource(
        names_source(names), override_num_blocks=1, ray_remote_args=listing
    )
    # dead actors are not started again on the machines that are left, which may have no room
    unrepeated = {"max_restarts": 0, "max_task_retries": 0}
    rows = dataset.map(
        ClusterWorker,
        fn_constructor_args=[task],
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers["count"]),
        num_cpus=workers["cpus"],
        num_gpus=workers["gpus"],
        ray_remote_args_fn=lambda: unrepeated,
    ).iter_rows()
    yield from map(received, rows)


def names_source(names: Callable[[], Iterable[str]]) -> Any:
    """Return a source of Ray Data that lists names lazily, in one task, a block for each."""
    import pyarrow
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    class Names(Datasource):  # type: ignore[misc]
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            def read() -> Iterator[Any]:
                for name in names():
                    row = sendable({"name": name})
                    yield pyarrow.table({key: [value] for key, value in row.items()})

            unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)
            return [ReadTask(read, unknown)]

    return Names()


def choose_workers(threads: int | None, *, on_gpu: bool) -> dict[str, Any]:
    """Return the largest number of workers that fits the cluster, and the share of each."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if on_gpu and not gpus:
        raise EngineError("--device cuda: no machine of the cluster has a GPU; use --device cpu")
    least = min((int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1), default=1)
    cpus = threads or min(CPUS_EACH, least)
    count = gpus if on_gpu else sum(int(node.get("CPU", 0)) // cpus for node in nodes)
    if not count:
        raise EngineError(
            f"--threads {cpus}: no machine of the cluster has so many CPUs; choose fewer"
        )
    return {"count": count, "cpus": cpus, "gpus": 1 if on_gpu else 0}


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster for the duration of a block, unless this process is connected."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def small_blocks() -> Iterator[None]:
    """Let Ray Data pass single rows, and drop rows that are lost with a machine."""
    from ray.data import DataContext

    context = DataContext.get_current()
    values = {
        "target_max_block_size": 1,
        "max_errored_blocks": -1,
        "enable_progress_bars": False,
    }
    before = {name: getattr(context, name) for name in values}
    for name, value in values.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _lost(source: str) -> str:
    return (
        f"{source}: its worker died {ATTEMPTS} times; restore it on its own, with a smaller "
        "--limit-mib"
    )
