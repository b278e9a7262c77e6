import math

import pytest
import torch
from torch.nn import functional as F

from derain.network.swin import SwinBlock, shift_mask, window_merge, window_partition

WINDOW, SHIFT = 7, 3


def slow_block(block, x):
    """The Swin block pixel by pixel: each attends to those pixels that share its window and, if shifted, its side of the wrap."""
    _, c, height, width = x.shape
    tokens = block.attention_norm(x[0].permute(1, 2, 0))
    q, k, v = block.attention.qkv(tokens).split(c, dim=-1)
    heads = block.attention.heads
    table = block.attention.position_bias.view(2 * WINDOW - 1, 2 * WINDOW - 1, heads)
    mixed = torch.zeros_like(tokens)
    s = block.shift_px

    def place(i, size):
        """Window and side of the wrap of row (or column) i after the cyclic shift."""
        shifted = (i - s) % size
        return shifted // WINDOW, shifted >= size - s and s > 0, shifted % WINDOW

    for i in range(height):
        for j in range(width):
            (wi, side_i, pi), (wj, side_j, pj) = place(i, height), place(j, width)
            seen = [
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
                        for a, b in seen
                    ]
                )
                weights = logits.softmax(0)
                mixed[i, j, part] = sum(
                    w * v[a, b, part] for w, (a, b) in zip(weights, seen, strict=True)
                )
    y = x[0].permute(1, 2, 0) + block.attention.projection(mixed)
    first, last = block.mlp[0], block.mlp[2]
    y = y + last(F.gelu(first(block.mlp_norm(y))))
    return y.permute(2, 0, 1)[None]


@pytest.mark.parametrize("shift_px", [0, SHIFT])
@pytest.mark.parametrize("heads", [1, 2])
def test_block_equals_an_independent_one_written_pixel_by_pixel(shift_px, heads, stirred):
    torch.manual_seed(0)
    block = stirred(
        SwinBlock(4, window_px=WINDOW, shift_px=shift_px, heads=heads, mlp_ratio=2), by=0.3
    )
    x = torch.randn(1, 4, 14, 21)
    with torch.no_grad():
        torch.testing.assert_close(block(x), slow_block(block, x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(7, 7), (14, 21), (1, 1), (8, 13), (49, 3)])
@pytest.mark.parametrize("shift_px", [0, SHIFT])
def test_block_keeps_any_size(size, shift_px):
    block = SwinBlock(4, window_px=WINDOW, shift_px=shift_px, heads=1, mlp_ratio=2)
    assert block(torch.randn(2, 4, *size)).shape == (2, 4, *size)


def test_pixel_cannot_see_across_the_wrap(stirred):
    block = stirred(SwinBlock(4, window_px=WINDOW, shift_px=SHIFT, heads=1, mlp_ratio=2), by=0.3)
    x = torch.randn(1, 4, 21, 21, requires_grad=True)
    block(x)[0, :, 0, 0].sum().backward()
    seen = x.grad[0].abs().sum(0) > 0
    assert seen[:SHIFT, :SHIFT].all()  # its own corner of the shifted window
    assert not seen[SHIFT:].any()
    assert not seen[:, SHIFT:].any()


def test_shifted_windows_join_what_unshifted_ones_separate(stirred):
    block = stirred(SwinBlock(4, window_px=WINDOW, shift_px=SHIFT, heads=1, mlp_ratio=2), by=0.3)
    x = torch.randn(1, 4, 21, 21, requires_grad=True)
    block(x)[0, :, 6, 6].sum().backward()
    assert x.grad[0, :, 7, 7].abs().sum() > 0


def test_partition_and_merge_are_inverse():
    x = torch.randn(2, 14, 21, 5)
    torch.testing.assert_close(window_merge(window_partition(x, WINDOW), 14, 21), x, atol=0, rtol=0)


def test_mask_blocks_only_the_last_row_and_column_of_windows():
    mask = shift_mask(21, 14, window_px=WINDOW, shift_px=SHIFT).view(3, 2, 49, 49)
    assert (mask[:2, :1] == 0).all()
    assert (mask[2] < 0).flatten(1).any(1).all()
    assert (mask[:, 1] < 0).flatten(1).any(1).all()
