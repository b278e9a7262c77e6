"""Muon: orthogonal updates for matrices and kernels, AdamW's for the rest."""

import pytest
import torch
from torch import nn

from derain.network import PLNLIN, PLNLINConfiguration
from derain.train.muon import Muon, orthogonal
from derain.train.optimisers import make_optimiser
from derain.train.recipe import Optimiser


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 64, 16), (1, 32, 40)])
def test_singular_values_are_about_one(shape):
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert 0.6 < values.min() < values.max() < 1.3


def test_matrices_are_independent():
    matrices = torch.randn(4, 16, 40)
    torch.testing.assert_close(orthogonal(matrices)[2:3], orthogonal(matrices[2:3]))


def one_step(kind, parameter, gradient, **settings):
    moved = nn.Parameter(parameter.clone())
    moved.grad = gradient.clone()
    kind([{"params": [moved], "weight_decay": 0.0}], lr=1e-2, **settings).step()
    return moved.detach() - parameter


@pytest.mark.parametrize("shape", [(16,), (169, 1), (16, 3, 3, 3), (3, 16, 3, 3)])
def test_vectors_and_picture_channels_are_updated_like_adamw(shape):
    parameter, gradient = torch.randn(shape), torch.randn(shape)
    torch.testing.assert_close(
        one_step(Muon, parameter, gradient), one_step(torch.optim.AdamW, parameter, gradient)
    )


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (64, 16)])
def test_update_is_as_large_as_adamws(shape):
    move = one_step(Muon, torch.zeros(shape), torch.randn(shape))
    assert 0.2 * 1e-2 * 0.3 < move.square().mean().sqrt() < 0.2 * 1e-2 * 1.3


def test_gradient_scale_does_not_matter():
    parameter, gradient = torch.randn(16, 16, 3, 3), torch.randn(16, 16, 3, 3)
    torch.testing.assert_close(
        one_step(Muon, parameter, gradient), one_step(Muon, parameter, 100 * gradient)
    )


def test_weights_decay_before_the_step():
    parameter = nn.Parameter(torch.ones(16, 16))
    parameter.grad = torch.zeros(16, 16)
    Muon([{"params": [parameter], "weight_decay": 0.1}], lr=0.5).step()
    torch.testing.assert_close(parameter.detach(), torch.full((16, 16), 0.95))


def test_position_biases_neither_decay_nor_are_orthogonalised():
    network = PLNLIN(
        PLNLINConfiguration(
            preset="tiny",
            channels=(8, 8, 8, 8),
            stages=(1, 1, 1, 1),
            head_stages=1,
            attention_heads=4,
        )
    )
    biases = [p for name, p in network.named_parameters() if name.endswith("position_bias")]
    optimiser = make_optimiser(
        network, Optimiser(name="muon", weight_decay=0.5, learning_rate=1e-2)
    )
    before = [bias.detach().clone() for bias in biases]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    assert biases[0].shape == (169, 4)
    assert all(torch.equal(a, b) for a, b in zip(before, biases, strict=True))
    assert all("momentum" not in optimiser.state[bias] for bias in biases)
    assert any(group["weight_decay"] == 0.5 for group in optimiser.param_groups)


def test_closure_computes_the_gradient():
    parameter, gradient = torch.randn(16, 16), torch.randn(16, 16)
    moved = nn.Parameter(parameter.clone())

    def closure():
        loss = (moved * gradient).sum()
        loss.backward()
        return loss.item()

    optimiser = Muon([{"params": [moved], "weight_decay": 0.0}], lr=1e-2)
    assert optimiser.step(closure) == pytest.approx((parameter * gradient).sum().item())
    torch.testing.assert_close(moved.detach() - parameter, one_step(Muon, parameter, gradient))
