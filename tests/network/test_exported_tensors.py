"""An exported network holds the trained tensors, whatever its configuration."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.networks import TINY, make_network
from safetensors.torch import load_file

import derain.network
from derain.errors import WeightsError
from derain.export.export import export
from derain.network.configuration import PAPER, PRESETS
from derain.network.generator import PLNLIN
from derain.network.weights_file import load_network, load_weights, save_weights
from derain.weights.exported_tensors import HEADS, KEY, locate
from derain.weights.library import SHIPPED, shipped_names
from derain.weights.parameter_shapes import DEFAULTS, parameter_shapes


def without_heads(tensors):
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(HEADS)}


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def whole_export(network, tmp_path_factory):
    """The path of an exported network with its heads, not to be changed."""
    path = tmp_path_factory.mktemp("export") / "x.onnx"
    return export(network, path, card={"steps": 3}, half=False)


@pytest.fixture
def exported(whole_export, tmp_path):
    """The path of an exported network without its heads."""
    return Path(shutil.copy(whole_export, tmp_path))


def test_tensors_of_the_network_and_its_heads_are_read(whole_export, network):
    _, tensors, _ = load_weights(whole_export)
    expected = network.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_half_precision_tensors_are_read(network, tmp_path):
    _, tensors, _ = load_weights(export(network, tmp_path / "x.onnx", card={}, half=True))
    expected = network.state_dict()
    assert all(torch.equal(tensors[name], expected[name].half().float()) for name in expected)


def test_each_tensor_of_an_export_is_stored_once(whole_export, network):
    heads = load_file(whole_export.with_suffix(".safetensors"))
    assert heads.keys() == network.state_dict().keys() - without_heads(network.state_dict()).keys()


def test_network_without_heads_loads_with_new_heads(exported, network):
    loaded, card = load_network(exported)
    x = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))
    assert card == {"steps": 3}


def test_heads_without_their_network_are_rejected(whole_export, tmp_path):
    heads = shutil.copy(whole_export.with_suffix(".safetensors"), tmp_path)
    with pytest.raises(WeightsError, match=r"holds the heads only; keep x\.onnx"):
        load_weights(heads)


def test_network_of_an_older_version_loads_with_its_weights(exported, network):
    """Older exports name no tensors, and all weights lie in the file beside them."""
    rewrite_metadata(exported, lambda metadata: metadata.pop(KEY))
    weights = exported.with_suffix(".safetensors")
    save_weights(weights, network, configuration=TINY, card={"steps": 3})
    _, tensors, _ = load_weights(exported)
    assert tensors.keys() == network.state_dict().keys()


def test_network_of_an_older_version_alone_is_rejected(exported):
    rewrite_metadata(exported, lambda metadata: metadata.pop(KEY))
    with pytest.raises(WeightsError, match="does not name its trained tensors"):
        load_weights(exported)


@pytest.mark.parametrize("places", ["{", "[]", '{"enter.weight":["same",["none"]]}', '{"x":1}'])
def test_damaged_places_are_rejected(places, exported):
    rewrite_metadata(exported, lambda metadata: metadata.update({KEY: places}))
    with pytest.raises(WeightsError, match="trained tensors or its card are damaged"):
        load_weights(exported)


def rewrite_metadata(path, change):
    model = onnx.load(path)
    metadata = {pair.key: pair.value for pair in model.metadata_props}
    change(metadata)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def test_tensor_that_the_graph_lacks_is_reported():
    with pytest.raises(ValueError, match=r"does not hold the parameter enter\.bias"):
        locate({"enter.bias": np.ones(3, np.float32)}, {})


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


ODD = replace(
    PAPER,
    preset="odd",
    channels=(16, 48, 32, 64),
    stages=(1, 3, 2, 1),
    unshuffle=4,
    frames=5,
    window_px=4,
    shift_px=1,
    attention_heads=2,
    mlp_ratio=3,
)


@pytest.mark.parametrize("configuration", [*PRESETS.values(), TINY, ODD], ids=lambda c: c.preset)
def test_shapes_follow_from_the_configuration(configuration):
    with torch.device("meta"):
        parameters = without_heads(PLNLIN(configuration).state_dict())
    fields = json.loads(configuration.to_json())
    expected = [(name, tuple(tensor.shape)) for name, tensor in parameters.items()]
    assert list(parameter_shapes(fields)) == expected


def test_defaults_of_older_exports_are_those_of_the_configuration():
    assert {name: getattr(PAPER, name) for name in DEFAULTS} == DEFAULTS


def metadata_of(path):
    return [(pair.key, pair.value) for pair in onnx.load(path).metadata_props]
