"""An exported network holds the trained tensors, whatever its configuration."""

import json
from dataclasses import replace

import onnx
import pytest
import torch
from helpers.networks import TINY, make_network

import derain.network
from derain.errors import WeightsError
from derain.export.export import export
from derain.network.exported_tensors import HEADS, KEY, locate
from derain.network.variants import UNITS
from derain.network.weights_file import load_network, load_weights, save_weights
from derain.weights.library import SHIPPED, shipped_names

VALUES = [
    {},
    {"attention_heads": 2},
    {"window_px": 5, "shift_px": 2},
    {"unshuffle": 2},
    {"unshuffle": 4},
    {"frames": 3, "unshuffle": 2},
    *({"unit": unit} for unit in UNITS if unit != "plnlim"),
]


def without_heads(tensors):
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(HEADS)}


@pytest.fixture
def exported(tmp_path):
    """The path of an exported network without its heads, and the network."""
    network = make_network()
    path = export(network, tmp_path / "x.onnx", card={"steps": 3}, half=False)
    path.with_suffix(".safetensors").unlink()
    return path, network


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_trained_tensors_are_read_from_the_network(values, tmp_path):
    network = make_network(replace(TINY, **values))
    path = export(network, tmp_path / "x.onnx", card={}, half=False)
    _, tensors, _ = load_weights(path)
    expected = network.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_half_precision_tensors_are_read(tmp_path):
    network = make_network()
    _, tensors, _ = load_weights(export(network, tmp_path / "x.onnx", card={}, half=True))
    expected = network.state_dict()
    assert all(torch.equal(tensors[name], expected[name].half().float()) for name in expected)


def test_each_tensor_of_an_export_is_stored_once(exported, tmp_path):
    path, network = exported
    save_weights(path.with_suffix(".safetensors"), network, configuration=TINY, card={})
    again = export(network, tmp_path / "y.onnx", card={}, half=False)
    from safetensors import safe_open

    with safe_open(str(again.with_suffix(".safetensors")), framework="pt") as file:
        assert all(name.startswith(HEADS) for name in file.keys())  # noqa: SIM118


def test_network_without_heads_loads_with_new_heads(exported):
    path, expected = exported
    network, card = load_network(path)
    x = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(network(x), expected(x))
    assert card == {"steps": 3}


def test_heads_without_their_network_are_rejected(tmp_path):
    path = export(make_network(), tmp_path / "x.onnx", card={})
    path.unlink()
    with pytest.raises(WeightsError, match=r"holds the heads only; keep x\.onnx"):
        load_weights(path.with_suffix(".safetensors"))


def test_network_of_an_older_version_loads_with_its_weights(exported):
    """Older exports name no tensors, and all weights lie in the file beside them."""
    path, network = exported
    rewrite_metadata(path, lambda metadata: metadata.pop(KEY))
    save_weights(path.with_suffix(".safetensors"), network, configuration=TINY, card={"steps": 3})
    _, tensors, _ = load_weights(path)
    assert tensors.keys() == network.state_dict().keys()


def test_network_of_an_older_version_alone_is_rejected(exported):
    path, _ = exported
    rewrite_metadata(path, lambda metadata: metadata.pop(KEY))
    with pytest.raises(WeightsError, match="does not name its trained tensors"):
        load_weights(path)


@pytest.mark.parametrize("places", ["{", "[]", '{"enter.weight":["same",["none"]]}', '{"x":1}'])
def test_damaged_places_are_rejected(places, exported):
    path, _ = exported
    rewrite_metadata(path, lambda metadata: metadata.update({KEY: places}))
    with pytest.raises(WeightsError, match="trained tensors or its card are damaged"):
        load_weights(path)


def rewrite_metadata(path, change):
    model = onnx.load(path)
    metadata = {pair.key: pair.value for pair in model.metadata_props}
    change(metadata)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def test_tensor_that_the_graph_lacks_is_reported():
    with pytest.raises(ValueError, match=r"does not hold the parameter enter\.bias"):
        locate({"enter.bias": torch.ones(3)}, {})


@pytest.mark.parametrize("name", shipped_names())
def test_each_shipped_model_is_stored_once(name):
    """A weights file beside a shipped network holds heads only, or the wheel grows by half."""
    network = derain.network.load(name)
    located = json.loads(dict(metadata_of(SHIPPED / f"{name}.onnx"))[KEY])
    assert located.keys() == without_heads(network.state_dict()).keys()
    weights = SHIPPED / f"{name}.safetensors"
    if weights.is_file():
        from safetensors import safe_open

        with safe_open(str(weights), framework="pt") as file:
            assert [key for key in file.keys() if not key.startswith(HEADS)] == []  # noqa: SIM118


def metadata_of(path):
    return [(pair.key, pair.value) for pair in onnx.load(path).metadata_props]
