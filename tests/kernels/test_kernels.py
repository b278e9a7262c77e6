"""The kernels against the reference in PyTorch.

The first test waits for the compiler, half a minute. On a processor with AVX-512,
`ATEN_CPU_CAPABILITY=avx2 pytest tests/kernels` tests the kernels for AVX2.
"""

import copy
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from helpers.networks import perturb
from torch import nn

from derain import kernels
from derain.kernels.build import has_matrix_unit
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.blocks import SFT, Fusion
from derain.network.configuration import SMALL
from derain.network.swin import SwinBlock

pytestmark = pytest.mark.slow  # the kernels are compiled first

CHANNELS = [16, 32, 48, 64, 7, 33, 50]  # the last three are padded
RELATIVE_NORM = {torch.float32: 1e-5, torch.bfloat16: 0.05}
"""Norm of the difference, relative to the norm of the expected tensor."""
FUSED = {"_SwinBlockBackward", "_SFTBackward", "_FusionBackward", "_ConvolutionBackward"}


@pytest.fixture
def compiled():
    """Skip without a compiler or a suitable processor, fail if compiling fails."""
    path = kernels.describe(SMALL, "vector")
    if not path.startswith("C++ kernels"):
        has_compiler = shutil.which(os.environ.get("CXX", "c++"))
        if "do not compile" in path and has_compiler:
            pytest.fail(path)
        pytest.skip(path)


@pytest.fixture(params=["auto", "vector"])
def choice(request, compiled):
    """Both ways to multiply: with the matrix unit, if there is one, and with vectors."""
    if request.param == "auto" and not has_matrix_unit():
        pytest.skip("without a matrix unit, auto is vector")
    return request.param


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    if request.param == torch.bfloat16 and not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("the processor does not multiply bfloat16")
    return request.param


@pytest.fixture
def make_block():
    def make(channels=16, *, shift_px=3, window_px=7, heads=1):
        torch.manual_seed(0)
        block = SwinBlock(
            channels, window_px=window_px, shift_px=shift_px, heads=heads, mlp_ratio=4
        )
        return perturb(block, by=0.2)

    return make


def noise(*shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return values.to(memory_format=torch.channels_last)


def make_maps(count, channels):
    return noise(count * 2, channels, 21, 14).chunk(count)


def accelerated(module, choice="vector"):
    kernels.accelerate(module, choice)
    return module


def output_and_gradients(module, *maps, dtype=torch.float32):
    """Return the output, then the gradients of the maps and of all parameters, in float32."""
    maps = [x.to(dtype).requires_grad_() for x in maps]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = module(*maps)
    assert y.dtype == dtype
    gradients = torch.autograd.grad(y, [*maps, *module.parameters()], noise(*y.shape).to(y.dtype))
    return [y.detach().float(), *(g.float() for g in gradients)]


def reference_and_kernel(module, *maps, dtype=torch.float32, choice="vector"):
    """Yield pairs of tensors: of the reference in float32, and of the kernels in `dtype`.

    In bfloat16 the reference is less accurate than the kernels.
    """
    reference = output_and_gradients(module, *maps)
    accelerated(module, choice)
    return zip(reference, output_and_gradients(module, *maps, dtype=dtype), strict=True)


def assert_close_in_norm(pairs, dtype):
    for expected, actual in pairs:
        assert (actual - expected).norm() <= RELATIVE_NORM[dtype] * expected.norm()


def is_fused(module, *maps):
    """True if a kernel computes the output, which may be cropped and permuted afterwards."""
    names, function = [], module(*(x.requires_grad_() for x in maps)).grad_fn
    while function and function.next_functions:
        names.append(function.name())
        function = function.next_functions[0][0]
    return bool(FUSED & set(names))


@pytest.mark.parametrize("shift_px", [0, 3])
@pytest.mark.parametrize("channels", CHANNELS)
def test_swin_block_matches_the_reference(choice, make_block, channels, shift_px, dtype):
    block, x = make_block(channels, shift_px=shift_px), noise(2, channels, 14, 21)
    assert_close_in_norm(reference_and_kernel(block, x, dtype=dtype, choice=choice), dtype)


@pytest.mark.parametrize("channels", CHANNELS)
def test_sft_matches_the_reference(choice, channels, dtype):
    torch.manual_seed(0)
    sft, maps = perturb(SFT(channels), by=0.2), make_maps(2, channels)
    assert_close_in_norm(reference_and_kernel(sft, *maps, dtype=dtype, choice=choice), dtype)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("channels", CHANNELS)
def test_fusion_matches_the_reference(choice, channels, count, dtype):
    torch.manual_seed(0)
    fusion, maps = Fusion(count * channels, channels), make_maps(count, channels)
    assert_close_in_norm(reference_and_kernel(fusion, *maps, dtype=dtype, choice=choice), dtype)


@pytest.fixture
def for_convolutions(compiled):
    """Skip where PyTorch computes all of a convolution."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        pytest.skip("the kernel of convolutions is for AVX2")


@pytest.mark.parametrize("size", [(7, 14), (13, 9), (1, 5), (5, 1)])
@pytest.mark.parametrize(("channels", "out"), [(16, 16), (64, 32), (48, 64), (128, 64)])
def test_convolution_matches_the_reference(for_convolutions, channels, out, size):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(channels, out, 3, padding=1), noise(3, channels, *size)
    assert_close_in_norm(reference_and_kernel(layer, x), torch.float32)
    assert is_fused(layer, x)


def test_convolution_is_the_same_in_several_threads(for_convolutions):
    layer, x = nn.Conv2d(32, 48, 3, padding=1), noise(1, 32, 7, 9)
    torch.set_num_threads(3)
    try:
        assert_close_in_norm(reference_and_kernel(layer, x), torch.float32)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("frozen", ["weight", "bias", "x"])
def test_convolution_with_something_frozen_has_the_other_gradients(for_convolutions, frozen):
    layer, x = accelerated(nn.Conv2d(16, 32, 3, padding=1)), noise(1, 16, 5, 4).requires_grad_()
    tensors = {**dict(layer.named_parameters()), "x": x}
    expected = torch.autograd.grad(layer(x).square().sum(), list(tensors.values()))
    tensors[frozen].requires_grad_(False)
    layer(x).square().sum().backward()
    for (name, tensor), gradient in zip(tensors.items(), expected, strict=True):
        assert tensor.grad is None if name == frozen else torch.equal(tensor.grad, gradient)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 5, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 3, 3, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
    ],
    ids=str,
)
def test_other_convolutions_use_the_reference(for_convolutions, layer):
    assert not is_fused(accelerated(layer), noise(1, 16, 7, 7))


def test_one_picture_without_a_batch_uses_the_reference(for_convolutions):
    layer, x = nn.Conv2d(16, 16, 3, padding=1), noise(1, 16, 7, 9)[0]
    expected = layer(x)
    assert torch.equal(accelerated(layer)(x), expected)


@pytest.mark.parametrize("size", [(7, 7), (7, 21), (14, 7)])
def test_single_rows_and_columns_of_windows_wrap(compiled, make_block, size):
    for expected, actual in reference_and_kernel(make_block(), noise(1, 16, *size)):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_large_logits_do_not_overflow(compiled, make_block):
    block = make_block(shift_px=0)
    with torch.no_grad():
        block.attention.qkv.weight *= 30
    expected, actual = next(iter(reference_and_kernel(block, noise(1, 16, 14, 14))))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", ["first", "scale", "shift"])
def test_nan_in_the_weights_of_an_sft_is_not_hidden(compiled, layer):
    sft, maps = SFT(16), make_maps(2, 16)
    with torch.no_grad():
        getattr(sft, layer).weight[0, 0] = torch.nan
    expected, actual = next(iter(reference_and_kernel(sft, *maps)))
    assert torch.equal(actual.isnan(), expected.isnan())


@pytest.mark.parametrize("threads", [1, 3])
def test_results_are_reproducible_bit_for_bit(compiled, make_block, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        block, x = accelerated(make_block(32)), noise(2, 32, 28, 28)
        first, second = (output_and_gradients(block, x) for _ in range(2))
        assert all(map(torch.equal, first, second))
    finally:
        torch.set_num_threads(before)


def test_memory_order_does_not_matter(compiled, make_block):
    block, x = accelerated(make_block()), noise(2, 16, 14, 21)
    expected, actual = (output_and_gradients(block, maps) for maps in (x, x.contiguous()))
    torch.testing.assert_close(actual, expected)


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
def test_unsupported_blocks_use_the_reference(compiled, make_block, block, shape):
    assert not is_fused(accelerated(make_block(**block)), noise(*shape))


def test_supported_block_is_fused(compiled, make_block):
    assert is_fused(accelerated(make_block()), noise(1, 16, 14, 14))


def test_unbounded_sft_uses_the_reference(compiled):
    assert is_fused(accelerated(SFT(16)), *make_maps(2, 16))
    assert not is_fused(accelerated(SFT(16, bounded=False)), *make_maps(2, 16))


def test_fusion_of_four_maps_uses_the_reference(compiled):
    assert is_fused(accelerated(Fusion(48, 16)), *make_maps(3, 16))
    assert not is_fused(accelerated(Fusion(64, 16)), *make_maps(4, 16))


@pytest.mark.parametrize(
    ("name", "count", "channels"), [("swin", 1, 20), ("sft", 2, 16), ("fusion", 3, 16)]
)
def test_frozen_parameters_leave_map_gradients_unchanged(choice, make_block, name, count, channels):
    """The discriminator is frozen in the generator's step and only passes the gradient on."""
    modules = {"swin": make_block(20), "sft": SFT(16), "fusion": Fusion(48, 16)}
    module = accelerated(modules[name], choice)
    maps = [x.requires_grad_() for x in make_maps(count, channels)]
    expected = torch.autograd.grad(module(*maps).square().sum(), maps)
    module.requires_grad_(False)
    actual = torch.autograd.grad(module(*maps).square().sum(), maps)
    assert all(map(torch.equal, actual, expected))


def test_without_gradients_the_reference_computes(compiled, make_block):
    x = noise(1, 16, 14, 14)
    with torch.no_grad():
        assert torch.equal(accelerated(make_block())(x), make_block()(x))


@pytest.fixture
def network():
    torch.manual_seed(0)
    shape = {"channels": (4, 4, 4, 4), "stages": (2, 1, 1, 1), "head_stages": 1}
    return PLNLIN(PLNLINConfiguration(**shape))


def test_accelerated_network_matches_the_reference(compiled, network):
    x = torch.rand(1, 3, 56, 56)
    expected = network(x)
    actual = accelerated(network)(x)
    assert not torch.equal(actual, expected)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_deep_copy_is_accelerated_and_independent(compiled, make_block):
    block, x = accelerated(make_block()), noise(1, 16, 14, 14)
    duplicate = copy.deepcopy(block)
    with torch.no_grad():
        block.mlp[2].bias += 1
    assert is_fused(duplicate, x)
    assert not torch.allclose(duplicate(x), block(x))


def test_pickle_holds_the_reference(compiled, make_block):
    block, x = accelerated(make_block()), noise(1, 16, 14, 14)
    data = pickle.dumps(block)
    assert b"derain.kernels" not in data
    restored = pickle.loads(data)
    assert not is_fused(restored, x)
    assert torch.equal(restored(x), make_block()(x))


PROGRAM = """
import torch
from derain import kernels
from derain.network.configuration import SMALL
from derain.network.swin import SwinBlock
print(kernels.describe(SMALL))
block = SwinBlock(16, window_px=7, shift_px=3, heads=1, mlp_ratio=4)
kernels.accelerate(block)
block(torch.zeros(1, 16, 14, 14)).sum().backward()
"""


@pytest.mark.parametrize("compiler", ["missing", "failing"])
def test_without_a_compiler_the_reference_computes(compiler, tmp_path):
    """In a process of its own, because each process looks for the extension once."""
    path = tmp_path / "c++"
    if compiler == "failing":  # as on macOS without the developer tools
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    environment = os.environ | {"CXX": str(path), "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("PyTorch operations (")
