"""Fuzzing of all parsers, in shares, with a report and minimised corpora.

Needs atheris, as `campaigns.fuzz` does. From the root of the repository:

    PYTHONPATH=tests python -m campaigns.fuzz_all FOLDER [--jobs 2] [--hours 3] [--resume]
        [--keep ZIP]

Each target gets shares of some minutes until it has had all of its time, which is that of the
processor. A second run into the same folder continues: `results.jsonl` has a line for each share.
After `--hours`, no share begins. At the end, the corpora are minimised into FOLDER/minimised, and
packed into ZIP with the results. On another machine, `--resume` continues those that were kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from campaigns.fuzz import KEPT, TARGETS

DONE = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
FINDING = re.compile(r"Test unit written to (\S+)")
CHECK = """
import sys
from pathlib import Path
from campaigns.fuzz import check
check(sys.argv[1], Path(sys.argv[2]).read_bytes())
"""
EPOCH = (1980, 1, 1, 0, 0, 0)
Result = dict[str, Any]


def read_log(log: str) -> Result:
    """Return the numbers in the output of libFuzzer: of the inputs, the edges and the features."""
    lines = DONE.findall(log)
    inputs, edges, features = map(int, lines[-1]) if lines else (0, 0, 0)
    finding = FINDING.search(log)
    return {
        "inputs": inputs,
        "edges": edges,
        "features": features,
        "finding": finding and finding[1],
    }


def fuzz_share(folder: Path, name: str, seconds: float) -> Result:
    """Fuzz a target for a while; return its line for the results."""
    limit = f"-max_total_time={round(seconds)}"
    command = [sys.executable, "-m", "campaigns.fuzz", name, str(folder / "corpora" / name)]
    start = time.monotonic()
    log_file = folder / f"{name}.log"
    with log_file.open("w") as log:
        process = subprocess.Popen([*command, limit], stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    text = log_file.read_text(errors="replace")
    result = {"target": name, **read_log(text), "code": os.waitstatus_to_exitcode(status)}
    result["seconds"] = round(time.monotonic() - start, 1)
    result["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 1)
    finding = result["finding"]
    result["failed"] = fails(name, Path(finding)) if finding else result["code"] != 0
    if result["code"] != 0:
        result["details"] = [line for line in text.splitlines() if "Error" in line][:3]
        shutil.copy(log_file, folder / f"{name}-failed-{time.time_ns()}.log")
    return result


def fails(name: str, finding: Path) -> bool:
    """True if an input fails again: libFuzzer counts the time in which the process is stopped."""
    command = [sys.executable, "-c", CHECK, name, str(finding)]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def minimise(folder: Path, name: str) -> list[Path]:
    """Return the inputs of the minimised corpus of a target."""
    small = folder / "minimised" / name
    shutil.rmtree(small, ignore_errors=True)
    corpus = folder / "corpora" / name
    command = [sys.executable, "-m", "campaigns.fuzz", name, corpus, "--minimise", small]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(small.iterdir())


def pack(corpora: dict[str, list[Path]], results: Path, target: Path) -> None:
    """Write minimised corpora and results into an archive; equal ones give equal archives."""
    files = {f"{name}/{path.name[:12]}": path for name, paths in corpora.items() for path in paths}
    with zipfile.ZipFile(target, "w") as file:
        for name, path in {**files, results.name: results}.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, path.read_bytes())


def read_results(folder: Path) -> list[Result]:
    """Return the results in the folder of a campaign: one for each share."""
    file = folder / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def run_target(name: str, folder: Path, *, minutes: float, share: float, end: float) -> None:
    """Fuzz a target until it has had all of its time; begin nothing after `end`."""
    results = [result for result in read_results(folder) if result["target"] == name]
    left_s = 60 * minutes - sum(result["cpu_s"] for result in results)
    while left_s > 0 and time.monotonic() < end:
        result = fuzz_share(folder, name, min(60 * share, max(left_s, 1)))
        left_s -= result["cpu_s"]
        with (folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")


def describe(name: str, results: list[Result], kept: list[Path]) -> str:
    """Return the row of a target in the report."""
    minutes = sum(result["cpu_s"] for result in results) / 60
    cells = [
        f"{minutes:.1f}",
        sum(result["inputs"] for result in results),
        max((result["edges"] for result in results), default=0),
        max((result["features"] for result in results), default=0),
        len(kept),
        sum(path.stat().st_size for path in kept),
        sum(result["failed"] for result in results),
    ]
    return " | ".join([f"| {name}", *(f"{n:,}" if isinstance(n, int) else n for n in cells)]) + " |"


def main() -> int:
    """Run the campaign; return 1 if an input failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="of the processor, for a target")
    parser.add_argument("--share", type=float, default=5, help="minutes before the next target")
    parser.add_argument("--hours", type=float, default=math.inf, help="of the whole campaign")
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--keep", type=Path, help=f"archive of the minimised corpora: {KEPT.name}")
    parser.add_argument("--resume", action="store_true", help=f"continue what {KEPT.name} has")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.resume and not read_results(folder):
        with zipfile.ZipFile(KEPT) as archive:
            archive.extract("results.jsonl", folder)
    run = partial(
        run_target,
        folder=folder,
        minutes=options.minutes,
        share=options.share,
        end=time.monotonic() + 3600 * options.hours,
    )
    with ThreadPoolExecutor(options.jobs) as threads:
        list(threads.map(run, TARGETS))
    results = read_results(folder)
    corpora = {name: minimise(folder, name) for name in TARGETS}
    if options.keep:
        pack(corpora, folder / "results.jsonl", options.keep)
    print("| target | minutes | inputs | edges | features | kept inputs | bytes | failed |")
    print("|---|---|---|---|---|---|---|---|")
    for name, paths in corpora.items():
        print(describe(name, [r for r in results if r["target"] == name], paths))
    return int(any(result["failed"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
