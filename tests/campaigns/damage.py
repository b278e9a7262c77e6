"""Damaged files of all kinds: derain refuses each with one sentence, or restores it.

Each case damages a small valid file, and runs the command line on it in a process with a time and
a memory limit. From the root of the repository (Linux):

    PYTHONPATH=tests python -m campaigns.damage FOLDER [--limit 10000] [--seed 1] [--processes 1]

A second run into the same folder continues; `results.jsonl` has a line for each case.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

from campaigns.mutations import damage
from campaigns.watchdog import WatchedWorker, limit_memory, serve_cases

CASES = 10_000
SHARES = {
    **dict.fromkeys((".png", ".jpg", ".webp", ".tif", ".gif", ".avif", ".heic"), 9),
    ".bmp": 5,
    **dict.fromkeys((".mp4", ".mkv", ".avi"), 2),
    ".y4m": 6,
    ".onnx": 5,
    ".safetensors": 5,
    ".toml": 5,
    ".ckpt": 2,
    ".jsonl": 1,
    ".txt": 3,
}
"""Weights of the kinds of files."""
WEIGHTS_AND_RUNS = {".onnx", ".safetensors", ".ckpt", ".jsonl"}
BAD = ("lost", "crashed", "hung")


def draw_case(number: int, seed: int) -> dict[str, Any]:
    """Return the kind of a case, and the seed of its damage."""
    rng = random.Random(f"{seed} {number}")
    (suffix,) = rng.choices(list(SHARES), list(SHARES.values()))
    return {"number": number, "suffix": suffix, "seed": rng.getrandbits(32)}


class Damager:
    """Runs cases in this process."""

    def __init__(self, folder: Path) -> None:
        from campaigns.damage_sources import make_sources
        from filelock import FileLock

        from derain import Restorer
        from derain.inference.clip_restorer import ClipRestorer

        self.folder = folder
        with FileLock(folder / "sources.lock"):
            self.sources = make_sources(folder / "sources")
        network = self.sources["network"][0]
        self.restorers = {
            "load": Restorer(network, precision="float32"),
            "load_for_clips": ClipRestorer(network, precision="float32"),
        }
        self.log = folder / f"stderr-{os.getpid()}"
        self.command_line = QuickCommandLine()

    def run(self, case: dict[str, Any]) -> dict[str, Any]:
        """Damage a file and use it; return the status and, unless it is good, the reason."""
        rng, suffix = random.Random(case["seed"]), case["suffix"]
        source = rng.choice(self.sources[suffix])
        name, data = damage(source.read_bytes(), suffix, rng)
        work = self.folder / f"work-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        (work / f"in{suffix}").write_bytes(data)
        arguments, outputs = self._command(suffix, data, work, rng)
        before = set(_files(work))
        with captured_stderr(self.log), self._patched(suffix), self.command_line.replaced():
            code, error = call_main(arguments, data if suffix == ".y4m" else b"")
        stderr = self.log.read_text(errors="replace")
        left = {*_files(work)} - before
        is_verbose = arguments[0] == "train"
        status, details = judge(
            code, error, stderr, left=left, outputs=outputs, is_verbose=is_verbose
        )
        digest = hashlib.sha256(data).hexdigest()[:12]
        return {**case, "damage": name, "sha256": digest, "status": status, "details": details}

    def _patched(self, suffix: str) -> AbstractContextManager[object]:
        """Save time, and read recipes without training: a damaged one may name any folder."""
        if suffix == ".toml":
            return patch("derain.train.loop.setup")
        if suffix in WEIGHTS_AND_RUNS:
            return nullcontext()
        methods = {name: Mock(return_value=restorer) for name, restorer in self.restorers.items()}
        return patch.multiple("derain.cli.options.Network", **methods)

    def _command(
        self, suffix: str, data: bytes, work: Path, rng: random.Random
    ) -> tuple[list[str], list[Path]]:
        """Return the command, and the files that it writes if it succeeds."""
        source, network = work / f"in{suffix}", str(self.sources["network"][0])
        options = ["-q", "--model", network, "--precision", "float32"]
        match suffix:
            case ".mp4" | ".mkv" | ".avi":
                target = work / f"out{suffix}"
                return ["video", str(source), "-o", str(target), *options], [target]
            case ".y4m":
                return ["video", "-", "-o", "-", *options], []
            case ".onnx":
                target = work / "out.png"
                photo = str(self.sources[".png"][0])
                return ["restore", photo, "-o", str(target), "-q", "-m", str(source)], [target]
            case ".safetensors":
                targets = [work / "out.onnx", work / "out.safetensors"]
                return ["export", str(source), str(targets[0]), "--no-check"], targets
            case ".toml":
                return ["train", str(source)], []
            case ".ckpt" | ".jsonl":
                run = shutil.copytree(self.sources["run"][0], work / "run")
                source.rename(run / ("state.ckpt" if suffix == ".ckpt" else "log.jsonl"))
                target = work / "losses.png"
                if suffix == ".jsonl":
                    return ["plot", "losses", str(run), "-o", str(target)], [target]
                recipe = str(self.sources["recipe"][0])
                from helpers.train_commands import FEW_TENSORS  # imports torch

                settings = [f"record.folder={run}", *FEW_TENSORS]
                return ["train", recipe, "--resume", *settings], []
            case ".txt":
                return ["data", "check", str(work)], []
        target = work / f"out{rng.choice([suffix, suffix, '.png', '.tif'])}"
        return ["restore", str(source), "-o", str(target), *options], [target]


class QuickCommandLine:
    """Runs commands as `derain` does, and parses each list of arguments once.

    Parsing would take half of the time of a case.
    """

    def __init__(self) -> None:
        from derain.cli.main import build_app

        self._parse = cache(build_app().parse_args)

    def parse(self, arguments: Sequence[str]) -> Any:
        """Return the function of a command, and its arguments."""
        command, bound, _ = self._parse(tuple(arguments))
        return command, bound

    def __call__(self, arguments: Sequence[str]) -> object:
        command, bound = self.parse(arguments)
        return command(*bound.args, **bound.kwargs)

    def replaced(self) -> AbstractContextManager[object]:
        """Let `derain` use this within a `with` block."""
        return patch("derain.cli.main.build_app", return_value=self)


def call_main(arguments: list[str], stdin: bytes) -> tuple[int | None, str]:
    """Return the exit code of `derain`, and the exception that it raised in place of one."""
    from derain.cli.main import main

    streams = sys.stdin, sys.stdout
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    sys.stdout = io.TextIOWrapper(io.BytesIO())
    try:
        return main(arguments), ""
    except SystemExit as end:
        return int(end.code or 0), ""
    except BaseException as error:  # the campaign continues
        return None, f"{type(error).__name__}: {error}"
    finally:
        sys.stdin, sys.stdout = streams


def judge(
    code: int | None,
    error: str,
    stderr: str,
    *,
    left: set[Path],
    outputs: list[Path],
    is_verbose: bool,
) -> tuple[str, list[str]]:
    """Return the status of a case and the reasons for it.

    `left` are the files that the command left behind, `outputs` those that it should write. A
    verbose command may print more than its problem.
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    if code is None or "bug in derain" in stderr:
        return "crashed", [error, *lines[-3:]]
    if code == 0:
        missing = [path.name for path in outputs if path not in left]
        unreadable = [path.name for path in outputs if path in left and not is_readable(path)]
        bad = missing + unreadable
        return ("lost", bad + lines[-3:]) if bad else ("restored", [])
    if code != 1:
        return "lost", [f"exit code {code}", *lines[-3:]]
    partial = {path for path in left if "_partial" in path.name and is_readable(path)}
    problems = [f"left {path.name}" for path in left - {*outputs} - partial]
    problems += [f"left {path.name}" for path in left & {*outputs} if not is_readable(path)]
    sentences = [line for line in lines if line.startswith("derain: ")]
    others = [] if sentences == lines or is_verbose else lines
    if len(sentences) != 1 or ";" not in sentences[0] or others:
        problems += ["not one sentence", *lines[-5:]]
    return ("lost", problems) if problems else ("refused", sentences)


def is_readable(path: Path) -> bool:
    """True if other readers can open the file."""
    if path.suffix in {".onnx", ".safetensors"}:
        return path.stat().st_size > 0
    try:
        if path.suffix in {".mp4", ".mkv", ".avi"}:
            import av

            with av.open(str(path)) as clip:
                return next(clip.decode(video=0), None) is not None
        from PIL import Image

        try:
            with Image.open(path) as image:
                image.load()
        except Image.UnidentifiedImageError:
            import tifffile  # reads 16 bits of grey with transparency

            tifffile.imread(path)
    except Exception:  # whatever a decoder raises
        return False
    return True


@contextmanager
def captured_stderr(path: Path) -> Iterator[None]:
    """Write descriptor 2 to a file: that of Python and of all libraries."""
    saved = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "run" not in path.parts)


def work(folder: Path) -> None:
    """Answer the cases of `WatchedWorker`."""
    import faulthandler

    import torch

    torch.set_num_threads(1)  # threads that wait for each other compute too
    faulthandler.enable()
    damager = Damager(folder)
    for suffix in (".png", ".mp4", ".safetensors"):  # import everything
        damager.run({"number": -1, "suffix": suffix, "seed": 0})
    limit_memory()
    for case, answer in serve_cases():
        answer(damager.run(case))


def run_campaign(
    folder: Path, *, cases: range, seed: int, processes: int = 1
) -> list[dict[str, Any]]:
    """Run the cases that `results.jsonl` does not have yet; return all results."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "results.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    done = {json.loads(line)["number"] for line in lines}
    pending = iter([number for number in cases if number not in done])

    def run_pending() -> None:
        worker = WatchedWorker(["-m", "campaigns.damage", str(folder), "--work"])
        try:
            while (number := next(pending, None)) is not None:
                case = draw_case(number, seed)
                file.write(json.dumps({**case, **worker.ask(case)}) + "\n")
                file.flush()
        finally:
            worker.close()

    with log.open("a") as file, ThreadPoolExecutor(processes) as pool:
        for result in [pool.submit(run_pending) for _ in range(processes)]:
            result.result()
    return [json.loads(line) for line in log.read_text().splitlines()]


def main() -> int:
    """Run the campaign; return 1 if a case hung, crashed, or lost something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.folder)
        return 0
    results = run_campaign(
        options.folder,
        cases=range(options.limit),
        seed=options.seed,
        processes=options.processes,
    )
    for result in results:
        if result["status"] in BAD:
            print(*result.values())
    for suffix in SHARES:
        counts = Counter(r["status"] for r in results if r["suffix"] == suffix)
        print(f"{suffix:13}", *(f"{name} {count}" for name, count in counts.items()))
    counts = Counter(result["status"] for result in results)
    names = ("refused", "restored", *BAD)
    print(f"tried {len(results)}", *(f"{name} {counts[name]}" for name in names))
    return int(any(counts[name] for name in BAD))


if __name__ == "__main__":
    sys.exit(main())
