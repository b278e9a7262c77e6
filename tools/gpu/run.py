"""Train in a packed folder: see README.md beside pack.py. Needs torch, lightning and Pillow."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent
SAVE_MINUTES = 2.0
MARGIN_MINUTES = 0.5
"""Left for the start and the last save."""
MAX_BYTES = 16 * 2**20


def main() -> None:
    """Train, and copy the results to the output after every save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--accelerator", default="cuda")
    parser.add_argument("overrides", nargs="*", help="key=value")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    # wheels are zip files, and those without compiled parts can be imported as they are
    sys.path[:0] = [str(HERE), *map(str, sorted((HERE / "wheels").glob("*.whl")))]
    os.chdir(HERE)

    from derain.train.loop import setup
    from derain.train.recipe_file import apply_override, build_recipe

    values = json.loads((HERE / "recipe.json").read_text())
    hours = max(options.minutes - MARGIN_MINUTES, options.minutes / 2) / 60
    workers = max((os.cpu_count() or 2) - 2, 0) if options.accelerator == "cuda" else 0
    for override in (
        f"length.hours={hours}",
        "length.steps=0",
        'schedule.by="hours"',
        'record.folder="run"',
        f"record.save_every_minutes={SAVE_MINUTES}",
        f'machine.accelerator="{options.accelerator}"',
        "machine.processes=1",
        f"machine.workers={workers}",
        *options.overrides,
    ):
        apply_override(values, override)
    run = HERE / "run"
    stop = threading.Event()
    copying = threading.Thread(target=copy_now_and_then, args=(run, options.output, stop))
    copying.start()
    start = HERE / "start.safetensors"
    is_resumed = (run / "state.ckpt").exists()
    try:
        setup(
            build_recipe(values, base=HERE),
            resume=is_resumed,
            weights=start if start.exists() and not is_resumed else None,
        )
    finally:
        stop.set()
        copying.join()
        copy_results(run, options.output)


def copy_now_and_then(run: Path, output: Path, stop: threading.Event) -> None:
    """Copy the results every half minute until `stop` is set."""
    while not stop.wait(30):
        copy_results(run, output)


def copy_results(run: Path, output: Path) -> None:
    """Copy those of weights, log and recipe that exist; weights that are too large in float16."""
    for name in ("log.jsonl", "recipe.json", "weights.safetensors"):
        source, partial = run / name, output / f"{name}.part"
        if not source.exists():  # such as the weights before the first save
            continue
        if name == "weights.safetensors" and source.stat().st_size > MAX_BYTES:
            _halve(source, partial)
        else:
            shutil.copy(source, partial)
        partial.replace(output / name)


def _halve(source: Path, target: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(source, "pt") as file:
        notes = file.metadata()
        tensors = {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118
    save_file(tensors, target, metadata=notes)


if __name__ == "__main__":
    main()
