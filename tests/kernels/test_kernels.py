"""The kernels against the reference in PyTorch. The first test that needs them waits for the compiler, half a minute.

On a processor with AVX-512, `ATEN_CPU_CAPABILITY=avx2 pytest tests/network/test_kernels.py` tests those for AVX2.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from derain import kernels
from derain.kernels.build import _build_lock, has_matrix_unit
from derain.network.blocks import SFT, Fusion
from derain.network.configuration import SMALL
from derain.network.swin import SwinBlock

CHANNELS = [16, 32, 48, 64, 7, 33, 50]  # the last three are padded
TOLERANCES = {
    torch.float32: 1e-5,
    torch.bfloat16: 0.05,
}  # of the norm of the difference, relative to the norm


@pytest.fixture
def choose():
    yield kernels.select
    kernels.select("eager")


@pytest.fixture
def compiled(choose):
    choose("auto")
    if not kernels.describe(SMALL).startswith("C++ kernels"):
        without_compiler = not shutil.which(os.environ.get("CXX", "c++"))
        if "do not compile" not in kernels.describe(SMALL) or without_compiler:
            pytest.skip(kernels.describe(SMALL))
        pytest.fail(kernels.describe(SMALL))
    return choose


@pytest.fixture(params=["auto", "vector"])
def choice(request, compiled):
    """Each way of multiplying: the matrix unit, where there is one, and vectors."""
    if request.param == "auto" and not has_matrix_unit():
        pytest.skip("no matrix unit: auto is vector here")
    return request.param


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def dtype(request):
    if request.param == torch.bfloat16 and not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("the processor does not multiply bfloat16")
    return request.param


@pytest.fixture
def make_block(stirred):
    def make(channels=16, *, shift_px=3, window_px=7, heads=1):
        torch.manual_seed(0)
        return stirred(
            SwinBlock(channels, window_px=window_px, shift_px=shift_px, heads=heads, mlp_ratio=4),
            by=0.2,
        )

    return make


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(
        memory_format=torch.channels_last
    )


def outcome(module, *maps, dtype=torch.float32):
    """Output, and gradients of the maps and of all parameters, in float32."""
    maps = [x.to(dtype).requires_grad_() for x in maps]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = module(*maps)
    assert y.dtype == dtype
    gradients = torch.autograd.grad(y, [*maps, *module.parameters()], noise(*y.shape).to(y.dtype))
    return [y.detach().float(), *(g.float() for g in gradients)]


def by_both(choose, module, *maps, dtype=torch.float32, choice="auto"):
    """The reference's outcome in float32 (in bfloat16 it is further away than the kernels are), and the kernels' in `dtype`."""
    choose("eager")
    reference = outcome(module, *maps)
    choose(choice)
    return zip(reference, outcome(module, *maps, dtype=dtype), strict=True)


def several(count, channels):
    return noise(count * 2, channels, 21, 14).chunk(count)


def is_fused(module, *maps):
    """Whether a kernel computes a module's result, which is cut from padding and permuted afterwards."""
    names, function = [], module(*(x.requires_grad_() for x in maps)).grad_fn
    while function and function.next_functions:
        names.append(function.name())
        function = function.next_functions[0][0]
    return bool({"_SwinBlockBackward", "_SFTBackward", "_FusionBackward"} & set(names))


@pytest.mark.parametrize("shift_px", [0, 3])
@pytest.mark.parametrize("channels", CHANNELS)
def test_swin_block_and_its_gradients_are_the_reference_s(
    compiled, choice, make_block, channels, shift_px, dtype
):
    block, x = make_block(channels, shift_px=shift_px), noise(2, channels, 21, 35)
    for expected, actual in by_both(compiled, block, x, dtype=dtype, choice=choice):
        assert (actual - expected).norm() <= TOLERANCES[dtype] * expected.norm()


@pytest.mark.parametrize("channels", CHANNELS)
def test_sft_and_its_gradients_are_the_reference_s(compiled, choice, stirred, channels, dtype):
    torch.manual_seed(0)
    sft, (x, guide) = stirred(SFT(channels), by=0.2), several(2, channels)
    for expected, actual in by_both(compiled, sft, x, guide, dtype=dtype, choice=choice):
        assert (actual - expected).norm() <= TOLERANCES[dtype] * expected.norm()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("channels", CHANNELS)
def test_fusion_and_its_gradients_are_the_reference_s(compiled, choice, channels, count, dtype):
    torch.manual_seed(0)
    for expected, actual in by_both(
        compiled,
        Fusion(count * channels, channels),
        *several(count, channels),
        dtype=dtype,
        choice=choice,
    ):
        assert (actual - expected).norm() <= TOLERANCES[dtype] * expected.norm()


@pytest.mark.parametrize("size", [(7, 7), (7, 21), (14, 7)])
def test_single_rows_and_columns_of_windows_wrap_like_the_reference(compiled, make_block, size):
    for expected, actual in by_both(compiled, make_block(), noise(1, 16, *size)):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_great_logits_do_not_overflow(compiled, make_block):
    block = make_block(shift_px=0)
    with torch.no_grad():
        block.attention.qkv.weight *= 30
    expected, actual = next(iter(by_both(compiled, block, noise(1, 16, 14, 14))))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_step_twice_is_the_same_bit_for_bit(compiled, make_block, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        block, x = make_block(32), noise(2, 32, 28, 28)
        for first, second in zip(outcome(block, x), outcome(block, x), strict=True):
            assert torch.equal(first, second)
    finally:
        torch.set_num_threads(before)


def test_memory_in_another_order_gives_the_same(compiled, make_block):
    block, x = make_block(), noise(2, 16, 14, 21)
    for first, second in zip(outcome(block, x), outcome(block, x.contiguous()), strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        ({"channels": 65}, (1, 65, 14, 14)),
        ({"heads": 2}, (1, 16, 14, 14)),
        ({"window_px": 5}, (1, 16, 15, 15)),
        ({}, (1, 16, 14, 15)),
    ],
    ids=["channels", "heads", "window", "size"],
)
def test_what_the_kernels_do_not_know_the_reference_computes(compiled, make_block, block, shape):
    assert not is_fused(make_block(**block), noise(*shape))


def test_the_block_that_the_kernels_know_they_compute(compiled, make_block):
    assert is_fused(make_block(), noise(1, 16, 14, 14))


def test_an_sft_without_bounds_the_reference_computes(compiled):
    assert is_fused(SFT(16), *several(2, 16))
    assert not is_fused(SFT(16, bounded=False), *several(2, 16))


def test_gradients_of_the_maps_need_none_of_parameters(compiled, choice, make_block):
    """The discriminator in the generator's step: it is held still, and only hands the gradient on."""
    compiled(choice)
    for module, maps in (
        (make_block(20), several(1, 20)),
        (SFT(16), several(2, 16)),
        (Fusion(48, 16), several(3, 16)),
    ):
        maps = [x.requires_grad_() for x in maps]
        wanted = torch.autograd.grad(module(*maps).square().sum(), maps)
        module.requires_grad_(False)
        for expected, actual in zip(
            wanted, torch.autograd.grad(module(*maps).square().sum(), maps), strict=True
        ):
            assert torch.equal(actual, expected)


def test_a_fusion_of_four_the_reference_computes(compiled):
    assert is_fused(Fusion(48, 16), *several(3, 16))
    assert not is_fused(Fusion(64, 16), *several(4, 16))


def test_without_gradients_the_reference_computes(compiled, make_block):
    block, x = make_block(), noise(1, 16, 14, 14)
    with torch.no_grad():
        y = block(x)
    compiled("eager")
    assert torch.equal(y, block(x).detach())


def test_networks_take_the_reference_until_kernels_are_chosen(make_block):
    assert not is_fused(make_block(), noise(1, 16, 14, 14))


def test_environment_variable_outranks_the_choice(choose, monkeypatch):
    monkeypatch.setenv("DERAIN_KERNELS", "eager")
    choose("auto")
    assert kernels.describe(SMALL) == "PyTorch's operations"


def test_environment_variable_rules_the_matrix_unit_out(compiled, monkeypatch):
    monkeypatch.setenv("DERAIN_KERNELS", "vector")
    compiled("auto")
    assert kernels.describe(SMALL) == "C++ kernels"
    assert not has_matrix_unit()


def test_what_the_kernels_do_not_know_is_said(compiled):
    wide = replace(SMALL, channels=(16, 32, 50, 66), attention_heads=2)
    assert kernels.describe(wide).endswith(
        "for what they do not know: attention_heads = 2, 66 channels"
    )


def test_what_the_kernels_do_not_know_of_the_discriminator_is_said_where_there_is_one(compiled):
    wide = replace(SMALL, discriminator_channels=(16, 32, 48, 66), discriminator_unit="swin")
    assert "but" not in kernels.describe(wide)
    assert kernels.describe(wide, with_discriminator=True).endswith(
        "for what they do not know: 66 channels, the unit swin"
    )


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_compiler_the_reference_computes(fails, tmp_path):
    """In a process of its own, because an extension is looked up once in a process."""
    program = """
import torch
from derain.network import kernels
from derain.network.configuration import SMALL
from derain.network.swin import SwinBlock
kernels.choose("auto")
print(kernels.path(SMALL))
SwinBlock(16, window_px=7, shift_px=3, heads=1, mlp_ratio=4)(torch.zeros(1, 16, 14, 14)).sum().backward()
"""
    if fails:  # as the one of macOS without its tools
        (tmp_path / "none").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "none").chmod(0o755)
    environment = os.environ | {
        "CXX": str(tmp_path / "none"),
        "TORCH_EXTENSIONS_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("PyTorch's operations (")


def test_lock_of_a_process_that_was_killed_is_taken_away(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    with _build_lock() as folder:
        (folder / "lock").touch()  # PyTorch's, which waits for it without end
    with _build_lock() as folder:
        assert not (folder / "lock").exists()
