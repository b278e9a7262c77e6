import pytest
import torch
from helpers.networks import perturb
from torch.nn import functional as F

from derain.network import PAPER, PLNLIM
from derain.network.blocks import SFT, Pointwise


def equations_2_to_6(module, x):
    """Compute PLNLIM as the paper writes it, with the units of `module`."""
    stages = len(module.fusion)
    local, nonlocal_ = [module.local[0](x)], [module.nonlocal_[0](x)]
    fusion = [module.fusion[0](torch.cat([local[0], nonlocal_[0]], 1))]
    for i in range(1, stages):
        a = module.local[i](module.to_local[i - 1](local[i - 1], nonlocal_[i - 1]))
        b = module.nonlocal_[i](module.to_nonlocal[i - 1](nonlocal_[i - 1], local[i - 1]))
        local.append(a)
        nonlocal_.append(b)
        fusion.append(module.fusion[i](torch.cat([fusion[i - 1], a, b], 1)))
    end = module.end(torch.cat([fusion[-1], local[-1], nonlocal_[-1]], 1))
    return module.local[stages](local[-1]) + module.nonlocal_[stages](nonlocal_[-1]) + end


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_plnlim_is_equations_2_to_6(stages):
    torch.manual_seed(0)
    module = perturb(PLNLIM(4, stages=stages, configuration=PAPER))
    x = torch.randn(1, 4, 14, 14)
    torch.testing.assert_close(module(x), equations_2_to_6(module, x))


def test_every_second_swin_block_is_shifted():
    module = PLNLIM(4, stages=4, configuration=PAPER)
    assert [block.shift_px for block in module.nonlocal_] == [0, 3, 0, 3, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_stages_start_finite(dtype):
    torch.manual_seed(0)
    module = PLNLIM(32, stages=8, configuration=PAPER).to(dtype)
    assert torch.isfinite(module(torch.rand(1, 32, 28, 28, dtype=dtype))).all()


def test_sft_starts_as_the_identity():
    x, guide = torch.randn(2, 1, 4, 5, 6)
    torch.testing.assert_close(SFT(4)(x, guide), x)


@pytest.mark.parametrize("bounded", [True, False])
def test_sft_scales_and_shifts_by_the_guide(bounded):
    sft = perturb(SFT(4, bounded=bounded), by=0.5)
    x, guide = torch.randn(2, 1, 4, 5, 6)
    hidden = F.leaky_relu(sft.first(guide), 0.1)
    scale, shift = sft.scale(hidden[:, :4]), sft.shift(hidden[:, 4:])
    expected = x * (1 + (scale.tanh() if bounded else scale)) + shift
    torch.testing.assert_close(sft(x, guide), expected)


def test_pointwise_is_a_1x1_convolution():
    layer = Pointwise(3, 5)
    x = torch.randn(2, 3, 4, 6)
    expected = F.conv2d(x, layer.weight[:, :, None, None], layer.bias)
    torch.testing.assert_close(layer(x), expected)
