import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.networks import TINY, make_network
from matplotlib.figure import Figure
from PIL import Image

from derain.cli.main import main
from derain.errors import DataError
from derain.network.weights_file import save_weights
from derain.plot.features import MAX_PX, branch_maps
from derain.plot.figure_file import save_figure
from derain.plot.losses import draw_losses, read_curves, running_mean

STEPS = list(range(1, 9))


@pytest.fixture
def runs(tmp_path):
    """Run folders of which the first scores at all side layers, the second at the last only."""
    for name, layers in (("ours", (1, 2, 3, 4)), ("classical", (4,))):
        (tmp_path / name).mkdir()
        events = [
            {"event": "train", "step": s, **{f"side_{k}": s / k for k in layers}} for s in STEPS
        ]
        lines = "".join(json.dumps(event) + "\n" for event in events)
        (tmp_path / name / "log.jsonl").write_text(lines)
    return [tmp_path / "ours", tmp_path / "classical"]


@pytest.fixture(scope="module")
def network():
    return make_network()


def test_curves_are_those_of_the_log(runs):
    assert read_curves(runs[1]) == {4: (STEPS, [s / 4 for s in STEPS])}


def test_damaged_lines_of_a_log_are_skipped(runs):
    expected = read_curves(runs[0])
    path = runs[0] / "log.jsonl"
    damaged = '3\n{"side_1": 0.3}\n{"step": 1, "side_1": "x"}\nnot json\n'
    path.write_text(damaged + path.read_text() + '{"step": 9, "side_1": 1')
    assert read_curves(runs[0]) == expected


@pytest.mark.parametrize("text", ["", '{"event": "train", "step": 1, "pixel": 0.5}', "nonsense"])
def test_log_without_adversarial_losses_is_rejected(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"log\.jsonl: has no adversarial losses"):
        read_curves(tmp_path)


def test_folder_without_a_log_is_rejected(tmp_path):
    with pytest.raises(DataError, match=r"log\.jsonl: cannot be read as a log"):
        read_curves(tmp_path)


def test_running_mean():
    assert running_mean([1, 2, 3, 4], window=2) == [1, 1.5, 2.5, 3.5]


def test_each_panel_has_the_runs_that_score_there(runs):
    assert [len(panel.lines) for panel in draw_losses(runs).axes] == [1, 1, 1, 2]


def test_runs_have_one_colour_in_all_panels_and_the_legend(runs):
    figure = draw_losses(runs[::-1])  # first the one that scores at the last layer only
    (legend,) = figure.legends
    texts, handles = legend.get_texts(), legend.get_lines()
    colours = {t.get_text(): h.get_color() for t, h in zip(texts, handles, strict=True)}
    assert len(set(colours.values())) == 2
    for panel in figure.axes:
        assert all(colours[line.get_label()] == line.get_color() for line in panel.lines)


def test_no_run_is_rejected():
    with pytest.raises(DataError, match="no run is given"):
        draw_losses([])


def test_maps_have_the_size_of_their_level(network):
    rainy = np.zeros((40, 61, 3), np.float32)
    maps = branch_maps(network, rainy, module="decoder", level=2, stage=1)
    shapes = {name: values.shape for name, values in maps.items()}
    assert shapes == {"local": (20, 31), "nonlocal_": (20, 31), "fusion": (20, 31)}


def test_maps_of_an_unshuffled_network_are_smaller():
    network = make_network(replace(TINY, unshuffle=2))
    rainy = np.zeros((40, 61, 3), np.float32)
    maps = branch_maps(network, rainy, module="encoder", level=2, stage=1)
    assert maps["local"].shape == (10, 16)


def test_maps_of_a_network_for_clips_show_one_picture():
    network = make_network(replace(TINY, frames=3))
    rainy = np.zeros((40, 61, 3), np.float32)
    maps = branch_maps(network, rainy, module="encoder", level=1, stage=1)
    assert maps["local"].shape == (40, 61)


@pytest.mark.parametrize("change", [{"module": "middle"}, {"level": 5}, {"stage": 3}])
def test_unknown_module_is_rejected(network, change):
    position = {"module": "encoder", "level": 1, "stage": 1} | change
    with pytest.raises(DataError, match="choose"):
        branch_maps(network, np.zeros((56, 56, 3), np.float32), **position)


def test_network_without_branches_is_rejected():
    network = make_network(replace(TINY, unit="residual"))
    with pytest.raises(DataError, match="the unit 'residual' has no branches"):
        branch_maps(network, np.zeros((8, 8, 3)), module="encoder", level=1, stage=1)


def test_huge_picture_is_rejected(network):
    rainy = np.broadcast_to(np.float32(0), (MAX_PX // 1000 + 1, 1000, 3))
    with pytest.raises(DataError, match="1000x4001 needs too much memory"):
        branch_maps(network, rainy, module="encoder", level=1, stage=1)


@pytest.mark.parametrize("name", ["a.xyz", "none/a.png"])
def test_unusable_figure_path_is_rejected(tmp_path, name):
    with pytest.raises(DataError, match=r"a\.\w+: "):
        save_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", [["losses"], ["features", "photo.png"]])
@pytest.mark.parametrize("name", ["a.gif", "none/a.png", "folder.png"])
def test_figure_path_is_checked_first(verb, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert main(["plot", *verb, "-o", name]) == 1
    assert name in capsys.readouterr().err


def test_figure_is_written_through_a_link(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "target.png")
    save_figure(Figure(), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "target.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("missing", "extras"),
    [({"torch", "matplotlib"}, "train,plot"), ({"torch"}, "train"), ({"matplotlib"}, "plot")],
)
def test_all_missing_extras_are_named(missing, extras, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name)
    )
    assert main(["plot", "losses", "run"]) == 1
    assert f"pip install 'derain[{extras}]'" in capsys.readouterr().err


HEADS = {"png": b"\x89PNG", "svg": b"<?xml"}


@pytest.mark.parametrize("suffix", HEADS)
def test_losses_are_drawn(runs, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    assert main(["plot", "losses", *map(str, runs), "-o", str(path)]) == 0
    assert path.read_bytes().startswith(HEADS[suffix])


def test_features_are_drawn(network, tmp_path):
    weights, photo, path = (tmp_path / name for name in ("w.safetensors", "p.png", "a.png"))
    save_weights(weights, network, configuration=network.configuration, card={})
    Image.new("RGB", (60, 50)).save(photo)
    assert main(["plot", "features", str(photo), "--weights", str(weights), "-o", str(path)]) == 0
    assert path.read_bytes().startswith(HEADS["png"])
