from dataclasses import replace

import pytest
import torch
from helpers.networks import TINY, make_network
from safetensors.torch import save_file

import derain.network
from derain.errors import WeightsError
from derain.network.weights_file import load_network, load_weights, save_weights


@pytest.fixture(scope="module")
def fast():
    return derain.network.load("fast")


@pytest.fixture
def path(tmp_path):
    network = make_network()
    return save_weights(
        tmp_path / "w.safetensors", network, configuration=network.configuration, card={"steps": 3}
    )


@pytest.mark.parametrize("name", ["fast", "best"])
def test_shipped_models_load_by_name(name):
    network = derain.network.load(name)
    assert network.configuration.preset == name
    assert not network.training


def test_best_is_the_default():
    assert derain.network.load().configuration.preset == "best"


def test_path_loads(path):
    expected, network = make_network(), derain.network.load(path)
    x = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(network(x), expected(x))


def test_device_is_applied(path):
    network = derain.network.load(path, device="meta")
    assert {p.device.type for p in network.parameters()} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close_to_float32(fast, dtype):
    x = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        expected = fast(x)
        actual = derain.network.load("fast").to(dtype)(x.to(dtype))
    assert actual.dtype == dtype
    assert (actual.float() - expected).abs().mean() < 0.01


@pytest.mark.slow
def test_network_compiles_to_a_single_graph():
    """Captured and traced by torch.compile; code generation, which takes minutes, is left out."""
    network = make_network(replace(TINY, stages=(1, 1, 1, 1)))
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x = torch.rand(1, 3, 57, 60)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x), atol=1e-5, rtol=1e-4)


def test_configuration_and_card_are_stored(path):
    configuration, tensors, card = load_weights(path)
    assert configuration == make_network().configuration
    assert card == {"steps": 3}
    assert tensors.keys() == make_network().state_dict().keys()


@pytest.mark.parametrize("name", ["huge", "huge.safetensors", "state.ckpt", "folder"])
def test_unknown_weights_list_the_shipped_models(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match=r"no such weights file.*best, clip, fast"):
        derain.network.load(tmp_path / name)


def test_checkpoint_names_the_weights_of_its_run(tmp_path):
    (tmp_path / "state.ckpt").touch()
    with pytest.raises(WeightsError, match=r"its weights are in .*weights\.safetensors"):
        derain.network.load(tmp_path / "state.ckpt")


def test_damaged_weights_are_rejected(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"w\.safetensors: is not a safetensors file"):
        derain.network.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("format_", [None, "2"])
def test_other_formats_are_rejected(tmp_path, format_):
    metadata = {"derain.format": format_} if format_ else {}
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match="this version reads '1'; upgrade"):
        derain.network.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["no end", "deep nesting"])
def test_damaged_header_is_rejected(text, tmp_path):
    metadata = {"derain.format": "1", "derain.configuration": text}
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match="configuration or card is damaged"):
        load_network(tmp_path / "w.safetensors")


def test_weights_of_another_network_are_rejected(tmp_path):
    network = make_network()
    configuration = derain.network.preset("small")
    path = save_weights(tmp_path / "w.safetensors", network, configuration=configuration, card={})
    with pytest.raises(WeightsError, match="does not fit the network"):
        load_network(path)


def test_missing_folder_is_named(tmp_path):
    network = make_network()
    path = tmp_path / "nowhere/w.safetensors"
    with pytest.raises(WeightsError, match=r"w\.safetensors: its folder does not exist"):
        save_weights(path, network, configuration=network.configuration, card={})
