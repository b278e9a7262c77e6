"""What the campaign of faults runs: photos, large photos, a clip, and a training run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from helpers.clips import write_clip
from helpers.toy_networks import write_darkening
from helpers.train_commands import FEW_TENSORS, write_recipe
from PIL import Image

DISK_CALLS = frozenset(
    {"create", "open", "write", "read", "fsync", "rename", "link", "unlink", "mkdir"}
)


class Scenario:
    """A command with its inputs, and what its outputs must be."""

    name = ""
    calls: frozenset[str] = DISK_CALLS | {"clock", "wait", "kill"}
    """Kinds of calls that fail, and `kill`."""

    def __init__(self) -> None:
        self.expected: dict[str, str] = {}
        """Digest of each output, by its name."""

    def make_sources(self, sources: Path) -> None:
        """Write the inputs and the network, once."""
        sources.mkdir(parents=True, exist_ok=True)
        if not (sources / "network.onnx").exists():
            write_darkening(sources / "network.onnx")
        if not (sources / self.name).exists():
            temporary = sources / f"{self.name}-new"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            self.write_inputs(temporary)
            temporary.rename(sources / self.name)

    def write_inputs(self, folder: Path) -> None:
        """Write the inputs into a folder."""
        raise NotImplementedError

    def prepare(self, sources: Path, work: Path) -> None:
        """Make the work folder."""
        work.mkdir(parents=True)
        self.network = str(sources / "network.onnx")
        shutil.copytree(sources / self.name, work / "in")

    def command(self, work: Path) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def outputs(self, work: Path) -> Iterator[tuple[str, Path]]:
        """Yield (name, path) of the files that exist and that `digest` describes."""
        folder = work / "out"
        for path in sorted(folder.rglob("*")) if folder.exists() else ():
            if path.is_file() and not path.name.startswith(".derain-"):
                yield str(path.relative_to(folder)), path

    def digest(self, path: Path) -> str:
        """Return a digest of an output. Raises any exception for an unreadable one."""
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def learn(self, work: Path, sources: Path) -> None:
        """Remember the outputs of a run without faults."""
        self.expected = {name: self.digest(path) for name, path in self.outputs(work)}
        (sources / f"{self.name}.json").write_text(json.dumps(self.expected))

    def recall(self, sources: Path) -> None:
        """Read what an earlier process learnt."""
        self.expected = json.loads((sources / f"{self.name}.json").read_text())

    def find_incomplete(self, work: Path) -> list[str]:
        """Return the outputs that are not as expected."""
        return [name for name, path in self.outputs(work) if not self._is_expected(name, path)]

    def find_missing(self, work: Path) -> list[str]:
        """Return the outputs that do not exist."""
        return sorted(self.expected.keys() - dict(self.outputs(work)).keys())

    def _is_expected(self, name: str, path: Path) -> bool:
        try:
            return self.digest(path) == self.expected.get(name)
        except Exception:  # unreadable in any way
            return False


class Photos(Scenario):
    """A folder with a PNG, a JPEG, a TIFF of two pages and a GIF."""

    name = "photos"
    size = (64, 48)
    limits = ("--jobs", "2")

    def write_inputs(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 255, (2, *self.size[::-1], 3), np.uint8)
        first, second = map(Image.fromarray, pixels)
        first.save(folder / "1.png")
        first.save(folder / "2.jpg")
        (folder / "more").mkdir()
        first.save(folder / "more" / "3.tif", save_all=True, append_images=[second])
        first.save(folder / "4.gif", save_all=True, append_images=[second])

    def command(self, work: Path) -> list[str]:
        options = ["--model", self.network, "--precision", "float32", "-q", *self.limits]
        report = ["--json", str(work / "report.json")]
        return ["restore", str(work / "in"), "-o", str(work / "out"), *report, *options]


class LargePhotos(Photos):
    """Photos whose pixels take more than 1 MiB."""

    name = "large"
    size = (900, 700)
    limits = ("--jobs", "1", "--limit-mib", "128")
    calls = frozenset({"memory"})

    def write_inputs(self, folder: Path) -> None:
        x, y = np.meshgrid(np.arange(self.size[0]), np.arange(self.size[1]))
        photo = Image.fromarray(np.dstack([x % 256, y % 256, (x + y) % 256]).astype(np.uint8))
        photo.save(folder / "1.png")
        photo.save(folder / "2.jpg")
        photo.save(folder / "3.webp", lossless=True, method=0)


class Clip(Scenario):
    """A clip with sound. Unfinished ones keep the frames so far under another name."""

    name = "clip"

    def write_inputs(self, folder: Path) -> None:
        write_clip(folder / "clip.mp4", frames=12)

    def command(self, work: Path) -> list[str]:
        options = ["--model", self.network, "--precision", "float32", "-q"]
        return ["video", str(work / "in" / "clip.mp4"), "-o", str(work / "out.mp4"), *options]

    def outputs(self, work: Path) -> Iterator[tuple[str, Path]]:
        if (work / "out.mp4").exists():
            yield "out.mp4", work / "out.mp4"

    def digest(self, path: Path) -> str:
        import av

        frames = hashlib.sha256()
        with av.open(str(path)) as clip:
            for frame in clip.decode():
                frames.update(frame.to_ndarray().tobytes())
        return frames.hexdigest()

    def find_incomplete(self, work: Path) -> list[str]:
        """Return what cannot be decoded; partial clips need at least one frame."""
        import av

        bad = super().find_incomplete(work)
        for path in work.glob("*_partial*"):
            with av.open(str(path)) as clip:
                if next(clip.decode(video=0), None) is None:
                    bad.append(path.name)
        return bad


class Training(Scenario):
    """Three steps, each of which saves the state; later runs resume.

    PLNLIN has hundreds of tensors, which take most of the time of a case.
    """

    name = "training"
    settings: tuple[str, ...] = ()
    calls = frozenset({"kill"})

    def write_inputs(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("pairs/rainy", "pairs/clean", "rain-free"):
            (folder / "data" / name).mkdir(parents=True)
            for index in range(2):
                pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "data" / name / f"{index}.png")

    def prepare(self, sources: Path, work: Path) -> None:
        work.mkdir(parents=True)
        write_recipe(work, sources / self.name / "data")

    def command(self, work: Path) -> list[str]:
        settings = ["length.steps=3", "record.save_every_minutes=0.0000001", "validation.pairs=[]"]
        settings += self.settings
        resume = ["--resume"] if (work / "run" / "state.ckpt").exists() else []
        return ["train", str(work / "recipe.toml"), *settings, *resume]

    def outputs(self, work: Path) -> Iterator[tuple[str, Path]]:
        """Yield the state of a finished run only: `find_incomplete` checks the others."""
        path = work / "run" / "state.ckpt"
        if path.exists() and self._load(path)["step"] == 3:
            yield "state.ckpt", path

    def digest(self, path: Path) -> str:
        state = self._load(path)
        values = hashlib.sha256()
        for tensor in [*state["network"].values(), *state["average"]["values"]]:
            values.update(tensor.numpy().tobytes())
        return values.hexdigest()

    def find_incomplete(self, work: Path) -> list[str]:
        from derain.train.read_log import read_log

        run = work / "run"
        try:
            if (run / "weights.safetensors").exists():
                self.load_weights(run / "weights.safetensors")
            if (run / "log.jsonl").exists():
                list(read_log((run / "log.jsonl").read_text()))
            return super().find_incomplete(work)
        except Exception as error:  # whatever a reader raises
            return [f"{type(error).__name__}: {error}"]

    def load_weights(self, path: Path) -> object:
        from derain.network.weights_file import load_network

        return load_network(path)

    def _load(self, path: Path) -> dict[str, Any]:
        import torch

        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state


class RivalTraining(Training):
    """Training of a network with a few tensors, whose files are written alike."""

    name = "rival"
    settings = FEW_TENSORS
    calls = Scenario.calls

    def load_weights(self, path: Path) -> object:
        from derain.rivals import load

        return load("prn_r", path)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (Photos(), LargePhotos(), Clip(), RivalTraining(), Training())
}
