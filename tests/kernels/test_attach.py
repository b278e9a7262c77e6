"""Attaching the kernels and describing them, without compiling them."""

import copy
import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.networks import make_network
from torch import nn

from derain import kernels
from derain.kernels.build import _build_lock
from derain.network.blocks import SFT, Fusion
from derain.network.configuration import SMALL
from derain.network.swin import SwinBlock


@pytest.fixture
def compile_to(monkeypatch):
    """A function that makes `load_library` return its argument."""

    def patch(library):
        monkeypatch.delenv("DERAIN_KERNELS", raising=False)
        for module in ("build", "attach"):
            monkeypatch.setattr(f"derain.kernels.{module}.load_library", lambda: library)

    return patch


@pytest.fixture
def library(compile_to):
    """Stands for the compiled operators, on a processor with a matrix unit."""
    compile_to(SimpleNamespace(use_matrix_unit=lambda enabled: enabled))


@pytest.fixture
def network(library):
    """A network with its kernels attached."""
    network = make_network()
    kernels.accelerate(network)
    return network


def attached(network):
    return [module for module in network.modules() if "forward" in vars(module)]


def test_all_supported_modules_are_accelerated(network):
    kinds = SwinBlock | SFT | Fusion | nn.Conv2d
    supported = [module for module in network.modules() if isinstance(module, kinds)]
    assert attached(network) == supported


def test_networks_are_not_accelerated_by_default(library):
    assert attached(make_network()) == []


def test_eager_detaches_the_kernels(network):
    kernels.accelerate(network, "eager")
    assert attached(network) == []


def test_environment_variable_disables_the_kernels(library, monkeypatch):
    monkeypatch.setenv("DERAIN_KERNELS", "eager")
    network = make_network()
    kernels.accelerate(network)
    assert attached(network) == []


def test_environment_variable_overrides_only_auto(library, monkeypatch):
    monkeypatch.setenv("DERAIN_KERNELS", "eager")
    assert kernels.describe(SMALL, "vector") == "C++ kernels"


@pytest.mark.parametrize(
    ("module", "count", "channels"),
    [(SFT(32), 2, 16), (SFT(16), 2, 32), (Fusion(32, 16), 3, 16), (Fusion(48, 16), 2, 16)],
    ids=["wide-sft", "narrow-sft", "too-many-maps", "too-few-maps"],
)
def test_maps_that_do_not_fit_the_layer_are_rejected(library, module, count, channels):
    kernels.accelerate(module)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        module(*[torch.zeros(1, channels, 7, 7)] * count)


def test_without_a_compiler_nothing_is_attached(compile_to):
    compile_to(None)
    network = make_network()
    kernels.accelerate(network)
    assert attached(network) == []


def test_unsupported_calls_use_the_reference(network):
    """The kernels are for gradients only."""
    x = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(network(x), make_network()(x))


def test_torch_compile_captures_the_reference(library):
    layer, x = nn.Conv2d(16, 16, 3, padding=1), torch.rand(1, 16, 7, 7)
    expected = layer(x)
    kernels.accelerate(layer)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), expected)


def test_state_dict_has_the_same_keys(network):
    assert list(network.state_dict()) == list(make_network().state_dict())


def test_deep_copy_is_accelerated_and_independent(network):
    duplicate = copy.deepcopy(network)
    modules = attached(duplicate)
    assert len(modules) == len(attached(network))
    assert all(module.forward.module is module for module in modules)


def test_pickle_holds_the_reference(network):
    data = pickle.dumps(network)
    assert b"derain.kernels" not in data
    restored, x = pickle.loads(data), torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(restored(x), make_network()(x))


@pytest.mark.parametrize(
    ("choice", "path"),
    [
        ("auto", "C++ kernels with AMX"),
        ("vector", "C++ kernels"),
        ("eager", "PyTorch operations"),
    ],
)
def test_choice_is_described(library, choice, path):
    assert kernels.describe(SMALL, choice) == path


def test_missing_kernels_are_described(compile_to):
    compile_to(None)
    assert kernels.describe(SMALL).startswith("PyTorch operations (")


def test_unsupported_settings_are_described(library):
    wide = replace(SMALL, channels=(16, 32, 50, 66), attention_heads=2)
    expected = "; PyTorch operations for attention_heads = 2, 66 channels"
    assert kernels.describe(wide).endswith(expected)


def test_unsupported_discriminator_is_described_only_if_used(library):
    wide = replace(SMALL, discriminator_channels=(16, 32, 48, 66), discriminator_unit="swin")
    assert "PyTorch" not in kernels.describe(wide)
    assert kernels.describe(wide, with_discriminator=True).endswith(
        "; PyTorch operations for 66 channels, unit swin"
    )


def test_lock_of_a_killed_process_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    with _build_lock() as folder:
        (folder / "lock").touch()  # PyTorch's, for which it would wait forever
    with _build_lock() as folder:
        assert not (folder / "lock").exists()
