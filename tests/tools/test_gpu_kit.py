"""Packing a run, and training in the packed folder, on the CPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from derain.network.weights_file import load_network
from derain.train.recipe_file import read_recipe

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
TINY = ["network.channels=[4,4,4,4]", "network.stages=[1,1,1,1]", "network.head_stages=1"]


def load_tool(name):
    specification = importlib.util.spec_from_file_location(name, ROOT / f"tools/gpu/{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pack():
    return load_tool("pack").pack


def put_array(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture(scope="module")
def packed(pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "job"
    pack(read_recipe(ROOT / "recipes/example.toml", TINY), folder, weights=None, limit_mib=2.0)
    return folder


def test_pictures_fit_the_limit(packed):
    size = sum(path.stat().st_size for path in (packed / "data").rglob("*.webp"))
    assert 0 < size <= 2 * 2**20


def test_both_sides_are_packed(packed):
    (rainy, clean) = (sorted((packed / f"data/pairs/0/{s}").iterdir()) for s in ("rainy", "clean"))
    assert [path.name for path in rainy] == [path.name for path in clean]


def test_sizes_of_pairs_are_kept(packed):
    with Image.open(next((packed / "data/pairs/0/rainy").iterdir())) as image:
        assert min(image.size) > 200


def test_clips_and_hard_pictures_are_packed(pack, tmp_path, rng):
    for index, number in enumerate((8, 9, 10)):
        for side in ("rainy", "clean"):
            picture = rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)
            put_array(tmp_path / f"street/{side}/{number}.png", picture)
        put_array(tmp_path / f"hard/{index}.png", picture)
    overrides = ['data.pairs=[{folder="street", clip=true, only=["8", "10"]}]', "data.crop_px=56"]
    overrides += ['data.hard=["hard"]', f"data.root={tmp_path}", "data.backgrounds=[]"]
    recipe = read_recipe(ROOT / "recipes/example.toml", [*TINY, *overrides])
    pack(recipe, tmp_path / "job", weights=None, limit_mib=2.0)
    data = json.loads((tmp_path / "job/recipe.json").read_text())["data"]
    (folder,) = data["pairs"]
    assert (folder["clip"], folder["only"]) == (True, [])
    names = sorted(path.name for path in (tmp_path / "job/data/pairs/0/rainy").iterdir())
    assert names == ["10.webp", "8.webp"]
    assert len(list((tmp_path / "job/data" / data["hard"][0]).iterdir())) == 3


def test_no_room_is_an_error(pack, tmp_path):
    with pytest.raises(SystemExit, match="do not fit"):
        pack(
            read_recipe(ROOT / "recipes/example.toml"),
            tmp_path / "job",
            weights=None,
            limit_mib=0.001,
        )


def test_training_ends_in_time_with_weights(packed, tmp_path):
    command = [sys.executable, str(packed / "run.py"), "--minutes", "0.4", "--accelerator", "cpu"]
    command += ["--output", str(tmp_path / "out"), "optimiser.batch=1", "data.crop_px=56"]
    command += ["machine.kernels=eager", "machine.precision=32-true", "validation.pairs=[]"]
    subprocess.run(command, check=True, timeout=240)
    _, card = load_network(tmp_path / "out/weights.safetensors")
    assert card["steps"] > 0
    assert json.loads((tmp_path / "out/log.jsonl").read_text().splitlines()[0])


def test_results_that_exist_are_copied(tmp_path):
    tool, run, output = load_tool("run"), tmp_path / "run", tmp_path / "out"
    run.mkdir()
    output.mkdir()
    (run / "recipe.json").write_text("{}")  # the first save is minutes away
    tool.copy_results(run, output)
    assert [path.name for path in output.iterdir()] == ["recipe.json"]


def test_large_weights_are_halved(tmp_path, monkeypatch):
    tool, run, output = load_tool("run"), tmp_path / "run", tmp_path / "out"
    run.mkdir()
    output.mkdir()
    save_file({"weight": torch.ones(64)}, run / "weights.safetensors", metadata={"a": "b"})
    monkeypatch.setattr(tool, "MAX_BYTES", 100)
    tool.copy_results(run, output)
    (copied,) = output.iterdir()
    assert copied.name == "weights.safetensors"
    assert load_file(copied)["weight"].dtype == torch.float16


def test_engine_is_checked_and_timed():
    script = ROOT / "tools/gpu/check_inference.py"
    picture = ROOT / "examples/rainy/camera.jpg"
    options = ["--device", "cpu", "--model", "fast", "--size", "40x30", "--repeats", "1"]
    process = subprocess.run(
        [sys.executable, script, *options, "--picture", picture],
        capture_output=True,
        text=True,
        check=True,
    )
    exact, fast = process.stdout.splitlines()[-2:]
    assert exact.startswith("| fast | float32 | inf |")
    assert 50 < float(fast.split("|")[3]) < 90
