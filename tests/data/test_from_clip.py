"""Pairs from clips of a camera that stands still."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scenes import scene, view
from PIL import Image

from derain import rain
from derain.cli.main import main
from derain.data.from_clip import WINDOW, write_pairs
from derain.data.pairs.find import find_pairs
from derain.data.psnr import psnr_db
from derain.data.still_camera import estimate_scene, find_moving, shortest_half
from derain.errors import DataError

SIZE = (128, 96)


def clean_scene() -> np.ndarray:
    return view(scene(7), size=SIZE)


def crowded(count: int) -> list[np.ndarray]:
    """Return frames of a still camera, most of which other scenes cover."""
    frames = [clean_scene().copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[:, 48:] = view(scene(20 + index), size=SIZE)[:, 48:]
    return frames


def filmed(count: int, *, noise: float = 1.5) -> list[np.ndarray]:
    """Return frames of a still camera in moderate rain, with the noise of a sensor."""
    rng, clean = np.random.default_rng(0), clean_scene()
    settings = rain.Rain(coverage=0.3, brightness=0.2, length_px=20)
    rainy = [rain.render(clean, rain=settings, seed=seed, scale=1) for seed in range(count)]
    return [
        (image + rng.normal(0, noise, image.shape) + 0.5).clip(0, 255).astype(np.uint8)
        for image in rainy
    ]


def with_object(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Let a dark square cross the frames."""
    changed = [frame.copy() for frame in frames]
    for index, frame in enumerate(changed):
        left = 4 * index % SIZE[0]
        frame[30:54, left : left + 20] = 10
    return changed


def read(folder) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("values", "middle", "length"),
    [
        ([10, 10, 11, 10, 200], 10, 0),
        ([10, 12, 90, 200, 11], 11, 2),
        ([7, 7, 7, 9, 9, 9, 8], 8, 1),
    ],
)
def test_the_shortest_half_ignores_bright_outliers(values, middle, length):
    mean, found = shortest_half(np.array(values, np.uint8)[:, None])
    assert abs(int(mean[0]) - middle) <= 1 and found[0] == length


def test_the_scene_is_nearly_free_of_rain():
    frames, clean = filmed(30), clean_scene()
    found = estimate_scene(np.stack(frames))
    rainy_db = np.mean([psnr_db(frame, clean) for frame in frames])
    assert psnr_db(found.clean, clean) > rainy_db + 15
    assert found.is_unstable.mean() < 0.01


def test_a_moving_thing_is_found_and_rain_is_not():
    frames = with_object(filmed(30))
    found = estimate_scene(np.stack(frames))
    mask = find_moving(frames[10], found)
    assert mask[34:50, 44:56].all()
    assert mask.mean() < 0.35
    assert find_moving(filmed(30)[10], found).mean() < 0.05


def test_masked_places_agree_on_both_sides(tmp_path):
    write_pairs(with_object(filmed(30)), tmp_path, name="clip")
    rainy, clean = (read(tmp_path / side)["000010.png"] for side in ("rainy", "clean"))
    assert np.array_equal(rainy[34:50, 44:56], clean[34:50, 44:56])
    assert psnr_db(rainy, clean) < 40


def test_pairs_are_named_by_their_frames(tmp_path):
    result = write_pairs(filmed(20), tmp_path, name="clip", every=5)
    assert (result.frames, result.pairs) == (20, 4)
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == [
        "000000",
        "000005",
        "000010",
        "000015",
    ]


def test_short_rests_are_reported(tmp_path):
    result = write_pairs(filmed(WINDOW) + filmed(5), tmp_path, name="clip", every=20)
    assert (result.frames, result.unused, result.pairs) == (WINDOW + 5, 5, 3)


def test_changed_light_gives_no_pair(tmp_path):
    frames = filmed(20)
    frames[3] = (frames[3].astype(int) + 20).clip(0, 255).astype(np.uint8)
    result = write_pairs(frames, tmp_path, name="clip")
    assert (result.changed_light, result.pairs) == (1, 19)


@pytest.mark.parametrize(
    ("frames", "fact"),
    [
        (
            [view(scene(7), 1.5 * i, size=SIZE) for i in range(20)],
            "the camera moves or the scene changes",
        ),
        ([view(scene(i), size=SIZE) for i in range(20)], "the camera moves or the scene changes"),
        (crowded(20), "none of its 20 frames gives a pair"),
        ([clean_scene()] * 14, "too short .*frames: 14"),
        ([], "too short .*frames: 0"),
        ([clean_scene()] * 15 + [clean_scene()[:-8]], "its frames change their size"),
    ],
)
def test_unsuitable_clips_are_rejected(tmp_path, frames, fact):
    with pytest.raises(DataError, match=f"clip: {fact}"):
        write_pairs(frames, tmp_path, name="clip")


def test_a_failure_in_a_later_window_leaves_no_pair(tmp_path):
    panning = [view(scene(7), 1.5 * index, size=SIZE) for index in range(20)]
    with pytest.raises(DataError, match="the camera moves"):
        write_pairs(filmed(WINDOW) + panning, tmp_path, name="clip", every=20)
    assert list(tmp_path.iterdir()) == []


def test_existing_pairs_are_kept(tmp_path):
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean/1.png").touch()
    with pytest.raises(DataError, match=r"clean: is not empty; choose another -o"):
        write_pairs(filmed(15), tmp_path, name="clip")


def test_the_command_reads_a_folder_of_frames(tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(filmed(16)):
        Image.fromarray(frame).save(tmp_path / f"frames/{index}.png")
    assert main(["data", "from-clip", str(tmp_path / "frames"), "-o", str(tmp_path / "out")]) == 0
    assert "16 pairs from 16 frames" in capsys.readouterr().out
