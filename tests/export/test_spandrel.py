"""Files for spandrel, and the package that registers the architecture, against a stub of it."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.networks import TINY, make_network
from safetensors.torch import load_file

from derain.cli.main import main
from derain.errors import WeightsError
from derain.export.export import export
from derain.export.spandrel import write_spandrel
from derain.weights.exported_tensors import HEADS

PACKAGE = Path(__file__).parents[2] / "integrations/spandrel/derain_spandrel/__init__.py"


class Architecture:
    """Holds what an architecture declares."""

    def __init__(self, *, id, name, detect):
        self.id, self.name, self.detect = id, name, detect

    def __class_getitem__(cls, _):
        return cls


class Descriptor:
    """Loads the tensors as spandrel does: all of them, and no others."""

    def __init__(self, model, state_dict, **options):
        model.load_state_dict(state_dict)
        self.model, self.options = model.eval(), options

    def __class_getitem__(cls, _):
        return cls


@pytest.fixture
def package(monkeypatch):
    """The package, imported with a stub of spandrel."""
    spandrel = SimpleNamespace(
        Architecture=Architecture,
        ArchSupport=SimpleNamespace(from_architecture=lambda a: SimpleNamespace(architecture=a)),
        ImageModelDescriptor=Descriptor,
        MAIN_REGISTRY=Registry(),
        StateDict=dict,
    )
    condition = SimpleNamespace(has_all=lambda *keys: lambda state: set(keys) <= set(state))
    monkeypatch.setitem(sys.modules, "spandrel", spandrel)
    monkeypatch.setitem(sys.modules, "spandrel.util", SimpleNamespace(KeyCondition=condition))
    spec = importlib.util.spec_from_file_location("derain_spandrel", PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Registry(list):
    """Architectures in the order of their addition."""

    add = list.append


@pytest.fixture
def model(tmp_path):
    """The path of an exported network, and the network."""
    network = make_network()
    return export(network, tmp_path / "tiny.onnx", card={}, half=False), network


def test_verb_writes_the_file(model, tmp_path, capsys):
    path = tmp_path / "spandrel.safetensors"
    assert main(["export", str(model[0]), "--for", "spandrel", "-o", str(path)]) == 0
    assert "for spandrel" in capsys.readouterr().out
    assert not any(name.startswith(HEADS) for name in load_file(path))


def test_package_restores_like_the_network(package, model, tmp_path):
    path, network = model
    write_spandrel(path, tmp_path / "s.safetensors")
    state = load_file(tmp_path / "s.safetensors")
    architecture = package.DerainArch()
    assert architecture.detect(state)
    rainy = torch.rand(1, 3, 57, 60)
    with torch.no_grad():
        assert torch.equal(architecture.load(state).model(rainy), network(rainy))


def test_other_files_are_not_detected(package, model):
    assert not package.DerainArch().detect(model[1].state_dict())


def test_architecture_is_registered_once(package):
    package.install()
    package.install()
    assert [support.architecture.id for support in package.MAIN_REGISTRY] == ["derain"]


def test_other_suffix_is_rejected(model, tmp_path):
    with pytest.raises(WeightsError, match=r"reads \.safetensors files"):
        write_spandrel(model[0], tmp_path / "x.pth")


def test_network_for_clips_is_rejected(tmp_path):
    network = make_network(replace(TINY, frames=3))
    path = export(network, tmp_path / "clip.onnx", card={})
    with pytest.raises(WeightsError, match="sees 3 frames"):
        write_spandrel(path, tmp_path / "x.safetensors")
