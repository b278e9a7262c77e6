"""Collect a recipe, the package, weights and pictures into one folder: see README.md beside it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import derain
from derain.data.pairs.folder import select_pairs
from derain.data.training_pictures import background_paths
from derain.network.weights_file import load_network, save_weights
from derain.train.recipe import Recipe
from derain.train.recipe_file import read_recipe

SETTINGS = [(95, 1280), (92, 800), (90, 640), (88, 512), (85, 448), (80, 400), (75, 360)]
"""(WebP quality, longest side of a background in pixels), from the best on."""
MIB = 2**20


def main() -> None:
    """Pack, and print what was packed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("output", type=Path, help="folder to create")
    parser.add_argument("overrides", nargs="*", help="key=value")
    parser.add_argument("--data-root", help="data.root of the recipe")
    parser.add_argument("--weights", type=Path, help="weights to start from: a file or a name")
    parser.add_argument("--limit-mib", type=float, default=35.0)
    options = parser.parse_args()
    overrides = [*options.overrides]
    if options.data_root:
        overrides.append(f"data.root={options.data_root}")
    if options.output.exists():
        sys.exit(f"{options.output}: exists; choose a new folder")
    recipe = read_recipe(options.recipe, overrides)
    pack(recipe, options.output, weights=options.weights, limit_mib=options.limit_mib)


def pack(recipe: Recipe, output: Path, *, weights: Path | None, limit_mib: float) -> None:
    """Write the folder; its pictures and weights have at most `limit_mib` MiB."""
    output.mkdir(parents=True)
    ignored = shutil.ignore_patterns("models", "__pycache__", "page")
    shutil.copytree(Path(derain.__file__).parent, output / "derain", ignore=ignored)
    (output / "derain/weights/models").mkdir()
    shutil.copy(Path(__file__).with_name("run.py"), output / "run.py")
    taken = 0.0
    if weights is not None:
        _copy_weights(weights, output / "start.safetensors")
        taken = (output / "start.safetensors").stat().st_size / MIB
    for quality, longest_px in SETTINGS:
        shutil.rmtree(output / "data", ignore_errors=True)
        data = _pack_pictures(recipe, output / "data", quality=quality, longest_px=longest_px)
        size = sum(path.stat().st_size for path in (output / "data").rglob("*.webp")) / MIB
        if size + taken <= limit_mib:
            break
    else:
        sys.exit(f"the pictures do not fit {limit_mib} MiB; name fewer folders")
    packed = dataclasses.replace(
        recipe,
        data=data,
        validation=dataclasses.replace(recipe.validation, pairs=()),
    )
    (output / "recipe.json").write_text(json.dumps(packed.as_dict(), indent=1))
    print(
        f"{output}: pictures {size:.1f} MiB (quality {quality}, {longest_px} px), "
        f"weights {taken:.1f} MiB"
    )


def _copy_weights(weights: Path, target: Path) -> None:
    """Copy a weights file, or write one from a shipped model or an exported network."""
    if weights.suffix == target.suffix:
        shutil.copy(weights, target)
        return
    network, card = load_network(weights)
    save_weights(target, network, configuration=network.configuration, card=card, half=True)


def _pack_pictures(recipe: Recipe, folder: Path, *, quality: int, longest_px: int):
    """Re-encode every picture of the recipe; return its `data` section for the new folders."""
    data = recipe.data
    pairs = []
    for number, source in enumerate(data.pairs):
        name = f"pairs/{number}"
        for pair in select_pairs(source).pairs:
            # the number of a frame, the last one in its name, shows which frames are neighbours
            file = pair.name.replace("/", "_") + ".webp"
            for side, image in zip(("rainy", "clean"), pair.load(), strict=True):
                _save(image, folder / name / side / file, quality=quality)
        pairs.append(dataclasses.replace(source, folder=name, layout="", exclude=(), only=()))
    backgrounds = background_paths(data.backgrounds, exclude=data.exclude)
    for index, path in enumerate(backgrounds):
        with Image.open(path) as image:
            image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
            if min(image.size) >= data.crop_px:
                _save(image.convert("RGB"), folder / f"clean/{index:05d}.webp", quality=quality)
    for index, path in enumerate(background_paths(data.hard)):
        with Image.open(path) as image:
            _save(image.convert("RGB"), folder / f"hard/{index:05d}.webp", quality=quality)
    for index, path in enumerate(background_paths(data.streaks)):
        with Image.open(path) as image:
            _save(image.convert("L"), folder / f"streaks/{index:05d}.webp", quality=quality)
    return dataclasses.replace(
        data,
        root="data",
        pairs=tuple(pairs),
        backgrounds=("clean",) if backgrounds else (),
        streaks=("streaks",) if data.streaks else (),
        hard=("hard",) if data.hard else (),
        exclude=(),
    )


def _save(image: np.ndarray | Image.Image, path: Path, *, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, quality=quality, method=4)


if __name__ == "__main__":
    main()
