"""Tiny clips, each encoded once in a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("av")
from helpers.clips import write_clip


@pytest.fixture(scope="session")
def clip_cache(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`clip_cache(suffix, **settings)`: a shared clip; do not change it."""
    folder = tmp_path_factory.mktemp("clips")
    clips: dict[str, Path] = {}

    def get(suffix: str, **settings: object) -> Path:
        key = f"{suffix} {sorted(settings.items())}"
        if key not in clips:
            clips[key] = write_clip(folder / f"{len(clips)}{suffix}", **settings)
        return clips[key]

    return get


@pytest.fixture
def make_clip(tmp_path: Path, clip_cache: Callable[..., Path]) -> Callable[..., Path]:
    """`make_clip(name, ...)`: 64 x 48, 20 frames at 30 fps with a moving ramp, and a tone."""

    def make(name: str = "clip.mp4", **settings: object) -> Path:
        path = tmp_path / name
        shutil.copyfile(clip_cache(path.suffix, **settings), path)
        return path

    return make
