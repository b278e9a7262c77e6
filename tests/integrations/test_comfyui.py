"""The ComfyUI node, against a stub of the V3 API."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import derain  # noqa: E402

PACKAGE = Path(__file__).parents[2] / "integrations/comfyui/comfyui_derain/__init__.py"


class Schema(SimpleNamespace):
    """Holds what a node declares."""


def kind(name):
    """A type of the stub: `io.Image.Input("image", ...)` records its arguments."""

    def record(direction):
        def make(*arguments, **options):
            return SimpleNamespace(
                id=arguments[0] if arguments else None, kind=name, direction=direction, **options
            )

        return staticmethod(make)

    return type(name, (), {"Input": record("input"), "Output": record("output")})


@pytest.fixture
def node(monkeypatch):
    io = SimpleNamespace(
        ComfyNode=type("ComfyNode", (), {}),
        Schema=Schema,
        NodeOutput=lambda *results: SimpleNamespace(result=results),
        **{name: kind(name) for name in ("Image", "Float", "Combo", "Mask")},
    )
    latest = ModuleType("comfy_api.latest")
    latest.io, latest.ComfyExtension = io, type("ComfyExtension", (), {})
    monkeypatch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    specification = importlib.util.spec_from_file_location("comfyui_derain", PACKAGE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def darkening(node, networks, monkeypatch):
    """The node, with a network that subtracts 0.25."""
    monkeypatch.setattr(
        node, "_restorer", lambda model: derain.Restorer(networks / "darkening.onnx")
    )
    return node.RemoveRain


def test_entrypoint_lists_the_node(node):
    extension = asyncio.run(node.comfy_entrypoint())
    assert asyncio.run(extension.get_node_list()) == [node.RemoveRain]


def test_inputs_are_the_parameters(node):
    schema = node.RemoveRain.define_schema()
    assert [entry.id for entry in schema.inputs] == ["image", "strength", "model", "mask"]


def test_models_are_the_shipped_ones(node):
    (model,) = [e for e in node.RemoveRain.define_schema().inputs if e.id == "model"]
    assert {"best", "fast"} <= set(model.options)


def test_batch_is_restored(darkening):
    image = torch.full((3, 20, 30, 3), 0.75)
    (restored,) = darkening.execute(image, 1.0, "best").result
    torch.testing.assert_close(restored, torch.full((3, 20, 30, 3), 0.5))


def test_strength_is_a_share(darkening):
    (restored,) = darkening.execute(torch.full((1, 20, 30, 3), 0.75), 0.5, "best").result
    torch.testing.assert_close(restored, torch.full((1, 20, 30, 3), 0.625))


def test_one_mask_serves_the_batch(darkening):
    mask = torch.zeros(1, 20, 30)
    mask[:, :, 15:] = 1
    (restored,) = darkening.execute(torch.full((2, 20, 30, 3), 0.75), 1.0, "best", mask).result
    np.testing.assert_allclose(restored[:, :, :15].numpy(), 0.75)
    np.testing.assert_allclose(restored[:, :, 15:].numpy(), 0.5)


def test_values_outside_the_range_are_clipped(darkening):
    (restored,) = darkening.execute(torch.full((1, 20, 30, 3), 1.5), 1.0, "best").result
    torch.testing.assert_close(restored, torch.full((1, 20, 30, 3), 0.75))


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (1, 1, 20, 30)])
def test_mask_has_any_shape_that_nodes_give(darkening, shape):
    mask = torch.ones(shape)
    (restored,) = darkening.execute(torch.full((2, 20, 30, 3), 0.75), 1.0, "best", mask).result
    torch.testing.assert_close(restored, torch.full((2, 20, 30, 3), 0.5))


def test_mask_outside_the_range_is_clipped(darkening):
    mask = torch.full((1, 20, 30), 1.5)
    (restored,) = darkening.execute(torch.full((1, 20, 30, 3), 0.75), 1.0, "best", mask).result
    torch.testing.assert_close(restored, torch.full((1, 20, 30, 3), 0.5))
