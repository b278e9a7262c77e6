import math

import pytest
import torch
from helpers.networks import perturb
from torch.nn import functional as F

from derain.network.swin import SwinBlock, shift_mask, window_merge, window_partition

WINDOW, SHIFT = 7, 3


def make_block(*, shift_px=SHIFT, heads=1):
    torch.manual_seed(0)
    block = SwinBlock(4, window_px=WINDOW, shift_px=shift_px, heads=heads, mlp_ratio=2)
    return perturb(block, by=0.3)


def pixelwise_block(block, x):
    """Compute a Swin block pixel by pixel.

    Each pixel attends to those in its window and, in shifted windows, on its side of the wrap.
    """
    _, c, height, width = x.shape
    tokens = block.attention_norm(x[0].permute(1, 2, 0))
    q, k, v = block.attention.qkv(tokens).split(c, dim=-1)
    heads = block.attention.heads
    table = block.attention.position_bias.view(2 * WINDOW - 1, 2 * WINDOW - 1, heads)
    attended = torch.zeros_like(tokens)
    s = block.shift_px

    def place(i, size):
        """Window of row (or column) i after the shift, side of the wrap, position in the window."""
        shifted = (i - s) % size
        return shifted // WINDOW, shifted >= size - s and s > 0, shifted % WINDOW

    for i in range(height):
        for j in range(width):
            (wi, side_i, pi), (wj, side_j, pj) = place(i, height), place(j, width)
            visible = [
                (a, b)
                for a in range(height)
                for b in range(width)
                if place(a, height)[:2] == (wi, side_i) and place(b, width)[:2] == (wj, side_j)
            ]
            for h in range(heads):
                part = slice(h * c // heads, (h + 1) * c // heads)
                logits = torch.stack(
                    [
                        q[i, j, part] @ k[a, b, part] / math.sqrt(c // heads)
                        + table[
                            pi - place(a, height)[2] + WINDOW - 1,
                            pj - place(b, width)[2] + WINDOW - 1,
                            h,
                        ]
                        for a, b in visible
                    ]
                )
                attended[i, j, part] = sum(
                    w * v[a, b, part] for w, (a, b) in zip(logits.softmax(0), visible, strict=True)
                )
    y = x[0].permute(1, 2, 0) + block.attention.projection(attended)
    first, last = block.mlp[0], block.mlp[2]
    y = y + last(F.gelu(first(block.mlp_norm(y))))
    return y.permute(2, 0, 1)[None]


@pytest.mark.parametrize(("shift_px", "heads"), [(0, 1), (SHIFT, 2)])
def test_block_equals_a_pixelwise_one(shift_px, heads):
    block = make_block(shift_px=shift_px, heads=heads)
    x = torch.randn(1, 4, 14, 14)
    with torch.no_grad():
        torch.testing.assert_close(block(x), pixelwise_block(block, x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("heads", [1, 2])
def test_windows_of_a_batch_are_independent(heads):
    block, x = make_block(heads=heads), torch.randn(3, 4, 14, 21)
    expected = torch.cat([block(picture[None]) for picture in x])
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_float32(dtype):
    block, x = make_block(), torch.randn(1, 4, 14, 21)
    with torch.no_grad():
        expected = block(x)
        actual = block.to(dtype)(x.to(dtype)).float()
    torch.testing.assert_close(actual, expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("size", [(7, 7), (14, 21), (1, 1), (8, 13), (49, 3)])
@pytest.mark.parametrize("shift_px", [0, SHIFT])
def test_block_accepts_any_size(size, shift_px):
    assert make_block(shift_px=shift_px)(torch.randn(2, 4, *size)).shape == (2, 4, *size)


def test_pixels_do_not_attend_across_the_wrap():
    x = torch.randn(1, 4, 21, 21, requires_grad=True)
    make_block()(x)[0, :, 0, 0].sum().backward()
    visible = x.grad[0].abs().sum(0) > 0
    assert visible[:SHIFT, :SHIFT].all()  # its own corner of the shifted window
    assert not visible[SHIFT:].any()
    assert not visible[:, SHIFT:].any()


def test_shifted_windows_connect_unshifted_ones():
    x = torch.randn(1, 4, 21, 21, requires_grad=True)
    make_block()(x)[0, :, 6, 6].sum().backward()
    assert x.grad[0, :, 7, 7].abs().sum() > 0


def test_merging_undoes_partitioning():
    x = torch.randn(2, 14, 21, 5)
    assert torch.equal(window_merge(window_partition(x, WINDOW), 14, 21), x)


def test_mask_blocks_only_the_last_row_and_column_of_windows():
    mask = shift_mask(21, 14, window_px=WINDOW, shift_px=SHIFT).view(3, 2, 49, 49)
    assert (mask[:2, :1] == 0).all()
    assert (mask[2] < 0).flatten(1).any(1).all()
    assert (mask[:, 1] < 0).flatten(1).any(1).all()
