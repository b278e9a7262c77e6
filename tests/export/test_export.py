import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import TINY, make_network

from derain.cli.main import main
from derain.errors import WeightsError
from derain.export.export import TESTED_SIZES, export, largest_differences, read_card
from derain.inference.engines.engine import open_engine
from derain.network.variants import UNITS
from derain.network.weights_file import load_network, load_weights, save_weights
from derain.weights import find

ROOT = Path(__file__).parents[2]
SHAPE = replace(TINY, stages=(1, 2, 1, 1))
SMALLEST = replace(TINY, stages=(1, 1, 1, 1))
TOLERANCE = 2e-5
ODD_SIZE = (57, 60)
SIZES = (*TESTED_SIZES[:-1], (113, 169))
"""Of all kinds, but the last one is smaller than a whole picture."""


@pytest.fixture(scope="module")
def network():
    return make_network(SHAPE)


@pytest.fixture(scope="module")
def smallest():
    """A network for tests of everything but its numbers."""
    return make_network(SMALLEST)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tiny.onnx"
    return export(network, path, card={"hours": 1}, half=False)


@pytest.fixture
def weights(smallest, tmp_path):
    path = tmp_path / "weights.safetensors"
    return save_weights(path, smallest, configuration=smallest.configuration, card={"steps": 3})


def assert_equals_torch(network, path, *, engine="onnxruntime", sizes=(ODD_SIZE,)):
    differences = largest_differences(network, path, engine=engine, sizes=sizes)
    assert max(differences.values()) < TOLERANCE


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def differences(request, network, exported):
    return largest_differences(network, exported, engine=request.param, sizes=SIZES)


@pytest.mark.parametrize("size", SIZES)
def test_exported_network_equals_torch(differences, size):
    assert differences[size] < TOLERANCE


@pytest.fixture(
    scope="module",
    params=[
        {"attention_heads": 2, "bounded_sft": False, "window_px": 5, "shift_px": 2},
        {"shift_px": 0, "unshuffle": 2},
        {"frames": 3, "unshuffle": 4},
        *({"unit": unit} for unit in UNITS if unit != "plnlim"),
    ],
    ids=str,
)
def variant(request, tmp_path_factory):
    """A network of another configuration, and its exported file."""
    network = make_network(replace(SHAPE, **request.param))
    path = tmp_path_factory.mktemp("variant") / "x.onnx"
    return network, export(network, path, card={}, half=False)


def test_every_configuration_exports(variant):
    assert_equals_torch(*variant)


def test_trained_tensors_are_read_from_the_network(variant):
    network, path = variant
    _, tensors, _ = load_weights(path)
    expected = network.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("values", [{"attention_heads": 2}, {"unshuffle": 2, "frames": 3}])
def test_openvino_runs_other_configurations(tmp_path, values):
    network = make_network(replace(SHAPE, **values))
    path = export(network, tmp_path / "x.onnx", card={}, half=False)
    assert_equals_torch(network, path, engine="openvino", sizes=TESTED_SIZES)


def test_masks_of_a_network_for_one_size_stay_apart(exported):
    """Rows and columns of windows have a mask each; one for each window takes much memory."""
    openvino = pytest.importorskip("openvino")
    core, windows = openvino.Core(), 8
    model = core.read_model(exported)
    model.reshape([1, 3, windows * 7, windows * 7])
    operations = core.compile_model(model, "CPU").get_runtime_model().get_ordered_ops()
    sizes = [
        np.prod(operation.output(0).shape)
        for operation in operations
        if operation.get_rt_info()["layerType"] == "Const"
    ]
    assert 0 < max(sizes) < (windows * 7**2) ** 2


def test_exported_network_accepts_batches(network, exported):
    rainy = np.random.default_rng(0).random((3, 3, 40, 60), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(rainy)).numpy()
    restored = open_engine(exported, engine="onnxruntime", precision="float32")(rainy)
    np.testing.assert_allclose(restored, expected, atol=TOLERANCE)


def test_metadata_name_the_frames(tmp_path):
    network = make_network(replace(SMALLEST, frames=3))
    assert find(export(network, tmp_path / "x.onnx", card={})).frames == 3


@pytest.fixture(scope="module")
def half(smallest, tmp_path_factory):
    return export(smallest, tmp_path_factory.mktemp("half") / "half.onnx", card={}, half=True)


def test_half_weights_compute_in_float32(half):
    stored, _ = load_network(half.with_suffix(".safetensors"))
    assert_equals_torch(stored, half)


def test_half_weights_are_half_as_large(smallest, half, tmp_path):
    whole = export(smallest, tmp_path / "whole.onnx", card={}, half=False)

    def stored_bytes(path):
        return sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)

    assert stored_bytes(half) < 0.6 * stored_bytes(whole)


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_exported_files_are_a_model(exported, suffix):
    model = find(exported.with_suffix(suffix))
    assert model.card == {"hours": 1}
    assert model.multiple_px == 56


def test_verb_exports_a_model(weights, tmp_path, capsys):
    assert main(["export", str(weights), str(tmp_path / "mine.onnx"), "--no-check"]) == 0
    assert "mine.onnx: " in capsys.readouterr().out
    assert find(tmp_path / "mine.onnx").card == {"steps": 3}


def test_verb_completes_the_card(weights, tmp_path):
    card = tmp_path / "card.json"
    # editors of Windows begin with a mark
    card.write_text('\ufeff{"license": "Apache-2.0", "steps": 4}', encoding="utf-8")
    path = tmp_path / "mine.onnx"
    assert main(["export", str(weights), str(path), "--card", str(card), "--no-check"]) == 0
    assert find(path).card == {"steps": 4, "license": "Apache-2.0"}


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("[1]", "is not a JSON object"),
        ("{", "is not JSON"),
        (None, "no such file; check the spelling"),
    ],
)
def test_a_card_that_is_none_is_an_error(text, fact, weights, tmp_path, capsys):
    card = tmp_path / "card.json"
    if text is not None:
        card.write_text(text)
    path = tmp_path / "mine.onnx"
    assert main(["export", str(weights), str(path), "--card", str(card), "--no-check"]) == 1
    assert fact in capsys.readouterr().err
    assert not path.exists()


def test_a_card_is_not_for_other_programs(tmp_path, capsys):
    options = ["--for", "darktable", "--card", str(tmp_path / "card.json")]
    assert main(["export", "fast", str(tmp_path / "x.dtmodel"), *options]) == 1
    assert "--card: is for ONNX files" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["best", "fast", "clip"])
def test_cards_of_the_shipped_models_name_licence_data_limits_and_existing_pages(name):
    card = read_card(ROOT / f"recipes/cards/{name}.json")
    assert card.keys() >= {"recipe", "license", "data licenses", "limits", "documentation"}
    pages = re.findall(r"[\w/]+\.(?:md|toml)", " ".join(map(str, card.values())))
    assert pages
    assert [page for page in pages if not (ROOT / page).exists()] == []


@pytest.mark.parametrize(
    ("frames", "contract"),
    [
        (1, "(N, 3, H, W), RGB in 0..1"),
        (3, "(N, 9, H, W), RGB of the frames before, now and after"),
    ],
)
def test_the_exported_network_describes_its_input(frames, contract, tmp_path):
    shape = replace(SMALLEST, frames=frames)
    path = export(make_network(shape), tmp_path / "x.onnx", card={})
    assert f"rainy: float32 {contract}" in onnx.load(path).doc_string


def test_verb_prints_the_differences(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "derain.export.export.largest_differences", lambda network, path: {(7, 300): 1.5e-6}
    )
    assert main(["export", str(weights), str(tmp_path / "mine.onnx")]) == 0
    assert "largest difference from PyTorch at 300x7: 1.5e-06" in capsys.readouterr().out


@pytest.mark.slow
def test_verb_compares_all_sizes(weights, tmp_path, capsys):
    assert main(["export", str(weights), str(tmp_path / "mine.onnx")]) == 0
    lines = capsys.readouterr().out.count("largest difference from PyTorch at")
    assert lines == len(TESTED_SIZES)


def test_export_never_overwrites_its_weights(weights, tmp_path, capsys):
    before = weights.read_bytes()
    assert main(["export", str(weights), str(tmp_path / "weights.onnx")]) == 1
    assert "choose another name" in capsys.readouterr().err
    assert weights.read_bytes() == before


def test_output_named_like_a_shipped_model_overwrites_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "fast", "fast.onnx", "--no-check"]) == 0
    assert (tmp_path / "fast.onnx").is_file()


def test_export_never_overwrites_other_weights(smallest, weights):
    path = weights.with_suffix(".onnx")
    with pytest.raises(WeightsError, match=r"weights\.safetensors: would be overwritten"):
        export(smallest, path, card={})
    assert not path.exists()


def test_export_overwrites_an_earlier_export(smallest, tmp_path):
    for hours in (1, 2):
        export(smallest, tmp_path / "x.onnx", card={"hours": hours})
    assert find(tmp_path / "x.onnx").card == {"hours": 2}


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("fast", "exported networks are .onnx files"),
        ("nowhere/fast.onnx", "its folder does not exist; create it first"),
    ],
)
def test_unusable_path_is_rejected(smallest, tmp_path, name, fact):
    with pytest.raises(WeightsError, match=fact):
        export(smallest, tmp_path / name, card={})
    assert list(tmp_path.iterdir()) == []


def test_verb_reports_damaged_weights(tmp_path, capsys):
    (tmp_path / "weights.safetensors").write_bytes(b"nonsense")
    assert main(["export", str(tmp_path / "weights.safetensors")]) == 1
    assert "is damaged" in capsys.readouterr().err
