"""The valid files that the campaign of damage starts from, 64 x 64 pixels at most."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from campaigns.picture_identity import (
    ANIMATIONS,
    DURATIONS_MS,
    LAYOUTS,
    METADATA,
    Case,
    make_samples,
    write_source,
)
from helpers.clips import write_clip
from helpers.networks import TINY, make_network
from helpers.toy_networks import write_copying, write_darkening
from helpers.train_commands import FEW_TENSORS, run, write_recipe
from PIL import Image

from derain.network.weights_file import save_weights

CLIPS = {
    ".mp4": {"codec": "libx264", "frames": 4},
    ".mkv": {"codec": "ffv1", "frames": 4, "sound": "flac"},
    ".avi": {"codec": "mjpeg", "layout": "yuvj420p", "frames": 4, "sound": "pcm_s16le"},
}
FINISHED_STEPS = 1


def make_sources(folder: Path) -> dict[str, list[Path]]:
    """Return the files by suffix, and `network`, `run` and `recipe`. Makes them once."""
    if not folder.exists():
        temporary = folder.with_name(f"{folder.name}-new")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_pictures(temporary)
        _write_others(temporary)
        temporary.rename(folder)
        _write_training(folder)  # a recipe has the names of its folders
    names = [path for path in sorted(folder.iterdir()) if path.is_file()]
    sources: dict[str, list[Path]] = {}
    for path in names:
        sources.setdefault(path.suffix, []).append(path)
    run_folder = folder / "run"
    sources |= {"network": [folder / "copying.onnx"], "recipe": [folder / "recipe.toml"]}
    sources |= {"run": [run_folder], ".ckpt": [run_folder / "state.ckpt"]}
    sources[".jsonl"] = [run_folder / "log.jsonl"]
    return sources


def _write_pictures(folder: Path) -> None:
    """Write every layout with all metadata, and animations."""
    for suffix, layouts in LAYOUTS.items():
        for index, (layout, coding) in enumerate(layouts):
            case = Case(suffix, layout, coding, METADATA[suffix], 6, 1, suffix)
            write_source(case, [make_samples(case, 0)], folder / f"{index:02}{suffix}")
        if suffix in {*ANIMATIONS, ".tif"}:
            layout, coding = next(key for key in layouts if key[0] in {"rgb", "palette"})
            coding = "8 little" if suffix == ".tif" else coding
            case = Case(suffix, layout, coding, METADATA[suffix], 1, len(DURATIONS_MS), suffix)
            frames = [make_samples(case, index) for index in range(case.frames)]
            write_source(case, frames, folder / f"frames{suffix}")


def _write_others(folder: Path) -> None:
    for suffix, settings in CLIPS.items():
        write_clip(folder / f"clip{suffix}", **settings)
    header = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\n"
    frame = b"FRAME\n" + bytes(range(128)) * 3
    (folder / "stream.y4m").write_bytes(header + 3 * frame)
    write_copying(folder / "copying.onnx")
    write_darkening(folder / "darkening.onnx")
    save_weights(
        folder / "weights.safetensors",
        make_network(),
        configuration=TINY,
        card={"hours": 0.1, "steps": 3, "data": ["pairs"]},
    )
    lines = [f"rainy/{index}.png clean/{index}.png" for index in range(5)]
    (folder / "list.txt").write_text("\n".join(lines))


def _write_training(folder: Path) -> None:
    data = folder / "data"
    rng = np.random.default_rng(0)
    for name in ("pairs/rainy", "pairs/clean", "rain-free"):
        (data / name).mkdir(parents=True)
        for index in range(2):
            pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(data / name / f"{index}.png")
    write_recipe(folder, data)
    text = (folder / "recipe.toml").read_text()
    text = text.replace("steps = 6", f"steps = {FINISHED_STEPS}")
    (folder / "recipe.toml").write_text(text)
    run(folder, "validation.pairs=[]", *FEW_TENSORS)
