"""Ray, and pictures for it."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from derain.cli.main import main


@pytest.fixture(scope="session")
def ray():
    """The module; without it, tests fail in CI and are skipped elsewhere."""
    if os.environ.get("CI"):
        import ray
    else:
        ray = pytest.importorskip("ray", reason="needs `pip install 'derain[ray]'`")
    yield ray
    ray.shutdown()


@pytest.fixture
def pictures(tmp_path, rng):
    """`pictures(count)` writes a folder with that many small pictures, in two subfolders."""

    def write(count):
        folder = tmp_path / "in"
        for index in range(count):
            path = folder / f"{'ab'[index % 2]}/{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        return folder

    return write


@pytest.fixture
def restore(networks, tmp_path):
    """`restore(source, output, *options)` returns the exit code and the JSON report."""

    def run(source, output, *options):
        report = tmp_path / "report.json"
        model = str(networks / "darkening.onnx")
        arguments = [str(source), "-o", str(output), "--model", model, "--json", str(report)]
        code = main(["restore", *arguments, *options])
        return code, json.loads(report.read_text())

    return run
