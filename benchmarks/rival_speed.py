"""Seconds and peak memory of rivals beside derain's models, interleaved, in rounds.

Each measurement is a process of its own, one line of a JSON Lines file. It loads one network, warms
up on 128x128 pixels, restores, and reports the seconds of each picture, of all its threads too, how
many cores other processes took meanwhile, and the peak of its memory.
A round measures every network once, at the size that `--rounds` names. The same command continues a
measurement that was stopped.

    python benchmarks/rival_speed.py speed.jsonl --minutes 25 --threads 2 \
        --model fast=fast --model best=best --preset paper \
        --model PReNet=prenet:prenet-{set}.pth --network RCDNet=rcdnet
    python benchmarks/rival_speed.py speed.jsonl --table

`--preset NAME` and `--network LABEL=NAME` measure derain's network of that shape, and a rival, with
random weights, because the speed does not depend on them. The pictures are noise. With `--data` and
`--keep`, those of 481x321 are instead rainy pictures of the folders of pairs that the folder of
`--keep` lacks; their results are kept there, where `rival_figures.py --scores` finds them. `{set}`
in a model stands for the name of the folder of pairs.

A process may have `--limit-gib` of data. What would take longer than `--timeout` at a size is not
started: a rival's time follows from its multiply-accumulates and its seconds at 481x321. What takes
longer than `--once-over` seconds a picture is measured once at each size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rival_figures import kept, raw, read, write_picture

from derain import Restorer
from derain.data.pairs.find import find_pairs
from derain.environment import environment_line
from derain.inference.benchmark import peak_mib

SIZES = {"481x321": (321, 481), "1920x1080": (1080, 1920)}
"""Label -> (height, width)."""
SMALL = "481x321"


def main() -> None:
    """Measure for the given time, print the table, or do one measurement (`--one`)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the JSON Lines file that holds the figures")
    parser.add_argument("--model", action="append", default=[], help="LABEL=MODEL")
    parser.add_argument("--network", action="append", default=[], help="LABEL=NAME of a rival")
    parser.add_argument("--preset", action="append", default=[], help="NAME of a preset")
    parser.add_argument("--rounds", nargs="+", choices=SIZES, default=[*SIZES, SMALL])
    parser.add_argument("--minutes", type=float, default=5.0, help="when to stop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit-gib", type=float, default=18.0)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds of one picture")
    parser.add_argument("--once-over", type=float, default=30.0, help="seconds of one picture")
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--keep", type=Path, help="a folder for the restored pictures")
    parser.add_argument("--pictures", type=int, default=2, help="of each set, in one process")
    parser.add_argument("--first", nargs="+", default=[], help="names of pairs to restore first")
    parser.add_argument("--table", action="store_true", help="print the medians instead")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure_here(**json.loads(options.one))))
    elif options.table:
        print_table(read(options.file))
    elif options.data and options.keep is None:
        parser.error("name a folder for the restored pictures with --keep")
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, candidates(options, Path(folder)))


def candidates(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Return what to measure, label -> model; random weights are written to `folder`."""
    models = dict(argument.split("=", 1) for argument in options.model)
    for name in options.preset:
        models[name] = str(random_preset(name, folder))
    for argument in options.network:
        label, name = argument.split("=", 1)
        models[label] = f"{name}:{random_weights(name, folder)}"
    return models


def measure(options: argparse.Namespace, models: dict[str, str]) -> None:
    """Run rounds until the time is over, or until no picture is left."""
    ends = time.monotonic() + 60 * options.minutes
    for number, size in enumerate(options.rounds):
        done = {row["label"] for row in read(options.file) if row["round"] == number}
        for label, model in models.items():
            rows = read(options.file)
            left = ends - time.monotonic()
            row = None if label in done else measurement(label, model, size, options, rows, left)
            if row is None:
                continue
            row |= {"label": label, "size": size, "round": number, "threads": options.threads}
            row |= {"environment": environment_line("torch")}
            with options.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(label, size, row.get("seconds", row.get("error")), flush=True)


def measurement(
    label: str,
    model: str,
    size: str,
    options: argparse.Namespace,
    rows: list[dict[str, Any]],
    left: float,
) -> dict[str, Any] | None:
    """Measure one network in a process; None if it was measured, or without time or pictures."""
    needed = expected_seconds(label, model, size, rows)
    is_known = any(row["label"] == label and row["size"] == size for row in rows)
    if needed > options.timeout and not is_known:
        return {"error": f"about {needed / 60:.0f} min"}
    if is_known and (needed == 0 or needed > options.once_over):
        return None
    takes_pairs = size == SMALL and "{set}" in model and bool(options.data)
    work = pictures(label, options, count=options.pictures) if takes_pairs else []
    while len(work) > 1 and len(work) * needed > left:
        work.pop()
    if max(len(work), 1) * needed > left or (takes_pairs and not work):
        return None
    if not work and options.data:
        model = model.replace("{set}", options.data[0].name)
    task = {"label": label, "model": model, "size": size, "threads": options.threads}
    task |= {"work": work, "keep": str(options.keep or ""), "limit_gib": options.limit_gib}
    return in_a_process(task, options.file, timeout=min(options.timeout * max(len(work), 2), left))


def expected_seconds(label: str, model: str, size: str, rows: list[dict[str, Any]]) -> float:
    """Return the seconds of a picture from those measured so far, 0 if none was."""
    measured = {
        other: [value for row in rows if (row["label"], row["size"]) == (label, other)
                for value in row.get("seconds", [])]
        for other in SIZES
    }  # fmt: skip
    if measured[size] or not measured[SMALL]:
        return float(np.median(measured[size] or [0.0]))
    return float(np.median(measured[SMALL])) * work_ratio(model, size)


def work_ratio(model: str, size: str) -> float:
    """Return how much more a size costs than 481x321: by operations of a rival, else by pixels."""
    name, is_rival, _ = model.partition(":")
    if is_rival:
        from derain.rivals.complexity import count_gmacs

        many, few = (count_gmacs(name, height=h, width=w) for h, w in (SIZES[size], SIZES[SMALL]))
        return many / few
    return float(np.prod(SIZES[size]) / np.prod(SIZES[SMALL]))


def pictures(label: str, options: argparse.Namespace, *, count: int) -> list[tuple[str, str]]:
    """Return (folder of pairs, name) of pictures that are not kept yet, `count` of each set.

    The sets alternate.
    """
    chosen: list[list[tuple[str, str]]] = []
    for data in options.data:
        names = sorted(pair.name.rsplit("/", 1)[-1] for pair in find_pairs(data).pairs)
        names.sort(key=lambda name: name not in options.first)
        missing = [name for name in names if not kept(options.keep, label, data, name).exists()]
        chosen.append([(str(data), name) for name in missing[:count]])
    longest = max(map(len, chosen))
    return [of_set[index] for index in range(longest) for of_set in chosen if index < len(of_set)]


def random_preset(name: str, folder: Path) -> Path:
    """Write derain's network of a preset with random weights as ONNX, and return its path."""
    import torch

    from derain.export.export import export
    from derain.network.configuration import preset
    from derain.network.generator import PLNLIN

    torch.manual_seed(0)
    path = folder / f"{name}.onnx"
    export(PLNLIN(preset(name)).eval(), path, card={})
    return path


def random_weights(name: str, folder: Path) -> Path:
    """Write random weights of a rival for a run, and return their path."""
    import torch

    from derain.rivals import build

    network = build(name)
    path = folder / f"{name}.pth"
    torch.save({network.official_name(k): v for k, v in network.state_dict().items()}, path)
    return path


def in_a_process(task: dict[str, Any], file: Path, *, timeout: float) -> dict[str, Any]:
    """Return one measurement, or the error that ended it, such as a full memory."""
    try:
        finished = subprocess.run(
            [sys.executable, __file__, str(file), "--one", json.dumps(task)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"more than {timeout:.0f} s"}
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
        return {"error": last}
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def measure_here(
    *,
    label: str,
    model: str,
    size: str,
    threads: int,
    work: list[tuple[str, str]],
    keep: str,
    limit_gib: float,
) -> dict[str, Any]:
    """Restore pictures; return the seconds of each and the peak memory of this process."""
    limit = int(limit_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    noise = np.random.default_rng(0).random((*SIZES[size], 3), dtype=np.float32)
    spent: list[float] = []
    own: list[float] = []
    others: list[float] = []
    restorers: dict[str, Restorer] = {}
    for data, name in work or [("", "")]:
        chosen = model.replace("{set}", Path(data).name)
        if chosen not in restorers:
            restorers[chosen] = Restorer(chosen, threads=threads)
            restorers[chosen](noise[:128, :128])
        image = noise
        if data:
            (pair,) = (pair for pair in find_pairs(Path(data)).pairs if pair.name.endswith(name))
            image = pair.load()[0].astype(np.float32) / 255
        began, busy_began, own_began = time.perf_counter(), busy_seconds(), time.process_time()
        # a rival's result is kept as it is, not clamped; this size is always one tile
        restored = raw(restorers[chosen], image) if data else restorers[chosen](image)
        spent.append(round(time.perf_counter() - began, 3))
        own.append(round(time.process_time() - own_began, 3))
        others.append(round((busy_seconds() - busy_began - own[-1]) / spent[-1], 2))
        if data:
            write_picture(kept(Path(keep), label, Path(data), name), restored)
    engine = restorers[chosen].engine
    return {
        "seconds": spent,
        "cpu_seconds": own,
        "cores_of_others": others,
        "peak_mib": round(peak_mib()),
        "engine": f"{engine.name}, {engine.device}",
    }


def busy_seconds() -> float:
    """Return the time that all processors have worked since the start, in seconds."""
    user, nice, system, _, _, irq, soft_irq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def print_table(rows: Iterable[dict[str, Any]]) -> None:
    """Print medians by candidate: seconds, peak memory and number of pictures at each size."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["label"], row["size"]), []).append(row)
    labels = dict.fromkeys(label for label, _ in groups)
    titles = [f"{size}: {title}" for size in SIZES for title in ("s", "MiB", "times")]
    print(f"| network | {' | '.join(titles)} |")
    print("|---" * (len(titles) + 1) + "|")
    for label in labels:
        cells = []
        for size in SIZES:
            group = groups.get((label, size), [])
            timed = [row for row in group if "seconds" in row]
            if timed:
                spent = [value for row in timed for value in row["seconds"]]
                peak = max(row["peak_mib"] for row in timed)
                cells += [f"{np.median(spent):.2f}", f"{peak:,}", str(len(spent))]
            else:
                cells += [group[-1]["error"] if group else "not measured", "", ""]
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
