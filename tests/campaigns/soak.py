"""20,000 photos through one `Restorer`, as many through one command, an hour of video: no growth.

Prints memory, open files and threads five times. From the root of the repository (Linux):

    PYTHONPATH=tests python -m campaigns.soak FOLDER api --photos 20000
    PYTHONPATH=tests python -m campaigns.soak FOLDER command --photos 20000
    PYTHONPATH=tests python -m campaigns.soak FOLDER video --minutes 60
    PYTHONPATH=tests python -m campaigns.soak FOLDER writer --minutes 60

The last one writes the packets of the hour with PyAV alone, to see what FFmpeg keeps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from helpers.toy_networks import write_darkening
from PIL import Image

from derain import Restorer
from derain.cli.main import main as derain

MAX_GROWTH_MIB = 16
"""Growth of the memory between the first fifth of the work and its end."""
IN_PROGRESS = 4
"""Files and threads of the pictures that are in progress."""
FRAMES_A_SECOND = 25
SIZES = ((96, 64), (64, 96), (33, 17), (1, 1))


@dataclass(frozen=True)
class Usage:
    """Resources of this process."""

    memory_mib: float
    files: int
    threads: int

    @classmethod
    def now(cls) -> Usage:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        files, threads = (len(list(Path("/proc/self", kind).iterdir())) for kind in ("fd", "task"))
        return cls(memory, files, threads)

    def __str__(self) -> str:
        return f"{self.memory_mib:.0f} MiB, {self.files} files, {self.threads} threads"


class Meter:
    """Prints the usage at each fifth of the work."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.usages: list[Usage] = []
        self._lock = threading.Lock()

    def count(self) -> None:
        """Count one picture."""
        with self._lock:
            self.done += 1
            if self.done * 5 % self.total < 5 and len(self.usages) < self.done * 5 // self.total:
                self.usages.append(Usage.now())
                print(f"{self.done:7}: {self.usages[-1]}", flush=True)

    @property
    def has_grown(self) -> bool:
        """True if the last usage exceeds the first one."""
        first, last = self.usages[0], self.usages[-1]
        return (
            last.memory_mib > first.memory_mib + MAX_GROWTH_MIB
            or last.files > first.files + IN_PROGRESS
            or last.threads > first.threads + IN_PROGRESS
        )


def make_photos(folder: Path, count: int) -> list[Path]:
    """Write a few photos, and hard links to them."""
    photos = []
    rng = np.random.default_rng(0)
    suffixes = (".png", ".jpg", ".webp", ".tif")
    for index in range(count):
        suffix, size = suffixes[index % 4], SIZES[index // 4 % 4]
        path = folder / f"{index // 1000:03}" / f"{index:06}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index < 16:
            Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(path)
        else:
            path.hardlink_to(photos[index % 16])
        photos.append(path)
    return photos


def soak_api(folder: Path, count: int) -> Meter:
    """Read, restore and write photos in this process."""
    from derain import pictures

    photos = make_photos(folder / "in", 16)
    restorer = Restorer(write_darkening(folder / "network.onnx"), precision="float32")
    meter = Meter(count)
    for index in range(count):
        path = photos[index % 16]
        restored = restorer.restore_picture(pictures.read(path))
        pictures.write(restored, folder / f"out{path.suffix}")
        meter.count()
    return meter


def soak_command(folder: Path, count: int) -> Meter:
    """Run `derain FOLDER` once."""
    from derain.cli.photo_progress import PhotoProgress

    make_photos(folder / "in", count)
    network = write_darkening(folder / "network.onnx")
    meter = Meter(count)
    watch(PhotoProgress, "report", meter.count)
    options = ["-q", "--model", str(network), "--precision", "float32"]
    report = ["--json", str(folder / "report.json")]
    code = derain(["restore", str(folder / "in"), "-o", str(folder / "out"), *report, *options])
    written = sum(path.is_file() for path in (folder / "out").rglob("*"))
    if code != 0 or written != count:
        raise RuntimeError(f"exit code {code}, {written} of {count} photos")
    return meter


def make_long_clip(path: Path, count: int, *, on_packet: Callable[[], None] = lambda: None) -> None:
    """Write a clip whose frames repeat after a minute; only those of the minute are encoded."""
    import av

    with av.open(str(path), "w") as container:
        options = {"bf": "0", "preset": "ultrafast"}  # the packets are in the order of their times
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        x, y = np.meshgrid(np.arange(96), np.arange(64))
        packets = []
        for index in range(min(count, 60 * FRAMES_A_SECOND)):
            image = np.dstack([x + index, y + index // 2, x + y]).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_A_SECOND)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for index in range(count):
            first = packets[index % len(packets)]
            packet = av.Packet(bytes(first))
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = Fraction(1, FRAMES_A_SECOND), stream
            packet.is_keyframe = first.is_keyframe
            container.mux(packet)
            on_packet()


def soak_writer(folder: Path, minutes: float) -> Meter:
    """Write the packets of a long clip without derain."""
    meter = Meter(round(minutes * 60 * FRAMES_A_SECOND))
    make_long_clip(folder / "long.mp4", meter.total, on_packet=meter.count)
    return meter


def soak_video(folder: Path, minutes: float) -> Meter:
    """Restore one long clip."""
    from derain.video import jobs

    folder.mkdir(parents=True, exist_ok=True)
    count = round(minutes * 60 * FRAMES_A_SECOND)
    source, target = folder / "long.mp4", folder / "restored.mp4"
    if not source.exists():
        make_long_clip(source, count)
    meter = Meter(count)
    network = write_darkening(folder / "network.onnx")
    restorer = Restorer(network, precision="float32")
    (job,) = jobs.find_video_jobs([source], output=target, overwrite=True).pending
    from derain.video.frames import FrameOptions

    result = job.run(restorer, FrameOptions(), on_frame=meter.count)
    if result.frame_count != count or result.problems:
        raise RuntimeError(f"{result.frame_count} of {count} frames; {result.problems}")
    return meter


def watch(owner: type, name: str, after: Callable[[], None]) -> None:
    """Call `after` after each call of a method."""
    method = getattr(owner, name)

    def watched(*arguments: object, **options: object) -> object:
        result = method(*arguments, **options)
        after()
        return result

    setattr(owner, name, watched)


def main() -> int:
    """Run one part of the campaign; return 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=["api", "command", "video", "writer"])
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    folder = options.folder / options.part
    if options.part != "video":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    start = time.monotonic()
    match options.part:
        case "api":
            meter = soak_api(folder, options.photos)
        case "command":
            meter = soak_command(folder, options.photos)
        case "writer":
            meter = soak_writer(folder, options.minutes)
        case _:
            meter = soak_video(folder, options.minutes)
    verdict = "grew" if meter.has_grown else "flat"
    seconds = time.monotonic() - start
    print(f"{options.part}: {meter.done} pictures in {seconds:.0f} s, {verdict}")
    return int(meter.has_grown)


if __name__ == "__main__":
    sys.exit(main())
