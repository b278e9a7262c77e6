import importlib.util
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from derain.cli.main import main
from derain.errors import DataError
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.weights_file import save_weights
from derain.plot.features import branch_maps
from derain.plot.figure_file import save_figure
from derain.plot.losses import draw_losses, read_curves, smoothed


@pytest.fixture
def runs(tmp_path):
    for name, layers in (("ours", (1, 2, 3, 4)), ("classical", (4,))):
        (tmp_path / name).mkdir()
        events = [
            {"event": "train", "step": s, **{f"side_{k}": s / k for k in layers}}
            for s in range(1, 9)
        ]
        (tmp_path / name / "log.jsonl").write_text(
            "".join(json.dumps(event) + "\n" for event in events)
        )
    return [tmp_path / "ours", tmp_path / "classical"]


@pytest.fixture
def network():
    return PLNLIN(
        PLNLINConfiguration(
            preset="tiny", channels=(4, 4, 4, 4), stages=(2, 1, 1, 1), head_stages=1
        )
    ).eval()


def test_curves_are_those_of_the_log(runs):
    assert read_curves(runs[1]) == {4: (list(range(1, 9)), [s / 4 for s in range(1, 9)])}


def test_there_is_a_panel_for_each_layer_and_a_line_for_each_run_that_judges_there(runs):
    panels = draw_losses(runs).axes
    assert [len(panel.lines) for panel in panels] == [1, 1, 1, 2]


def test_a_run_has_one_colour_in_all_panels_and_in_the_legend(runs):
    figure = draw_losses(runs[::-1])  # first the one that judges at the last layer alone
    (legend,) = figure.legends
    colours = {
        text.get_text(): line.get_color()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert len(set(colours.values())) == 2
    assert all(
        colours[line.get_label()] == line.get_color()
        for panel in figure.axes
        for line in panel.lines
    )


def test_smoothing_is_a_running_mean():
    assert smoothed([1, 2, 3, 4], over=2) == [1, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("text", ["", '{"event": "train", "step": 1, "pixel": 0.5}', "nonsense"])
def test_log_without_adversarial_losses_is_refused(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"log\.jsonl"):
        read_curves(tmp_path)


def test_there_is_a_map_for_each_branch_at_the_size_of_the_level(network):
    maps = branch_maps(
        network, np.zeros((40, 61, 3), np.float32), module="decoder", level=2, stage=1
    )
    assert {name: found.shape for name, found in maps.items()} == dict.fromkeys(
        ("local", "nonlocal_", "fusion"), (20, 31)
    )


@pytest.mark.parametrize("wrong", [{"module": "middle"}, {"level": 5}, {"stage": 3}])
def test_what_the_network_does_not_have_is_refused(network, wrong):
    with pytest.raises(DataError, match="choose"):
        branch_maps(
            network,
            np.zeros((56, 56, 3), np.float32),
            **{"module": "encoder", "level": 1, "stage": 1} | wrong,
        )


def test_no_run_is_refused():
    with pytest.raises(DataError, match="no run is given"):
        draw_losses([])


@pytest.mark.parametrize("name", ["a.xyz", "none/a.png"])
def test_figure_that_cannot_be_written_is_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match=r"a\.\w+: "):
        save_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_spoilt_lines_of_a_log_are_passed_over(runs):
    clean = read_curves(runs[0])
    path = runs[0] / "log.jsonl"
    path.write_text(
        '3\n{"side_1": 0.3}\n{"step": 1, "side_1": "x"}\nnot json\n'
        + path.read_text()
        + '{"step": 9, "side_1": 1'
    )
    assert read_curves(runs[0]) == clean


@pytest.mark.parametrize("verb", [["losses"], ["features", "photo.png"]])
@pytest.mark.parametrize("name", ["a.gif", "none/a.png", "folder.png"])
def test_where_a_figure_goes_is_looked_at_first(verb, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert main(["plot", *verb, "-o", name]) == 1
    assert name in capsys.readouterr().err


def test_a_figure_is_written_through_a_link(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "far.png")
    save_figure(Figure(), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "far.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("missing", "extras"),
    [({"torch", "matplotlib"}, "train,plot"), ({"torch"}, "train"), ({"matplotlib"}, "plot")],
)
def test_all_extras_that_are_missing_are_named_at_once(missing, extras, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else real(name)
    )
    assert main(["plot", "losses", "run"]) == 1
    assert f"pip install 'derain[{extras}]'" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_verbs_draw(runs, network, tmp_path, suffix):
    save_weights(tmp_path / "w.safetensors", network, configuration=network.configuration, card={})
    Image.new("RGB", (60, 50)).save(tmp_path / "photo.png")
    assert main(["plot", "losses", *map(str, runs), "-o", str(tmp_path / f"a.{suffix}")]) == 0
    arguments = [
        "--weights",
        str(tmp_path / "w.safetensors"),
        "--output",
        str(tmp_path / f"b.{suffix}"),
    ]
    assert main(["plot", "features", str(tmp_path / "photo.png"), *arguments]) == 0
    head = b"\x89PNG" if suffix == "png" else b"<?xml"
    assert all((tmp_path / f"{name}.{suffix}").read_bytes().startswith(head) for name in "ab")
