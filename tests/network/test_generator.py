import pytest
import torch

from derain.errors import WeightsError
from derain.network import BEST, PAPER, PLNLIN, PRESETS, SMALL, PLNLINConfiguration, preset
from derain.network.generator import reflect_to_multiple
from derain.train.benchmark.step import count_macs


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_preset_starts_finite(name, dtype):
    torch.manual_seed(0)
    network = PLNLIN(preset(name)).to(dtype)
    with torch.no_grad():
        made = network.hierarchy(torch.rand(1, 3, 56, 56, dtype=dtype))
    assert all(torch.isfinite(t).all() for t in (made.restored, *made.features, *made.scales))


def test_paper_has_the_parameters_that_the_specification_counts():
    assert (
        sum(p.numel() for p in PLNLIN(PAPER).parameters()) == 2_206_819
    )  # "about 2.22 M"; the paper prints 2.25 M


def test_small_takes_150_to_200_kmac_for_a_pixel():
    assert 150e3 < count_macs(PLNLIN(SMALL), crop_px=56) / 56**2 < 200e3


def test_best_takes_about_half_of_the_papers_work_for_a_pixel():
    assert 450e3 < count_macs(PLNLIN(BEST), crop_px=56) / 56**2 < 550e3


def test_restoring_does_not_compute_the_heads(tiny):
    called = []
    for head in tiny.heads:
        head.register_forward_hook(lambda *_: called.append(1))
    tiny(torch.rand(1, 3, 56, 56))
    assert not called


def test_hierarchy_restores_the_same_picture(tiny):
    x = torch.rand(1, 3, 56, 112)
    torch.testing.assert_close(tiny.hierarchy(x).restored, tiny(x))


def test_hierarchy_has_a_feature_map_and_a_picture_for_each_level(tiny):
    made = tiny.hierarchy(torch.rand(2, 3, 112, 56))
    assert [tuple(f.shape) for f in made.features] == [
        (2, 4, 112, 56),
        (2, 8, 56, 28),
        (2, 8, 28, 14),
        (2, 12, 14, 7),
    ]
    assert [tuple(s.shape) for s in made.scales] == [
        (2, 3, 112, 56),
        (2, 3, 56, 28),
        (2, 3, 28, 14),
        (2, 3, 14, 7),
    ]


def test_gradients_reach_every_parameter(tiny):
    made = tiny.hierarchy(torch.rand(1, 3, 56, 56))
    (made.restored.square().mean() + sum(s.square().mean() for s in made.scales)).backward()
    still = [
        name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert still == []


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 300), (57, 55), (112, 112)])
def test_any_size_comes_out_as_it_went_in(tiny, size):
    with torch.no_grad():
        assert tiny(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_picture_of_whole_windows_is_not_padded():
    x = torch.rand(1, 3, 56, 112)
    assert torch.equal(reflect_to_multiple(x, 56), x)


def test_padding_reflects_as_often_as_it_takes():
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    assert reflect_to_multiple(x, 8)[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]


def test_batch_is_restored_picture_by_picture(tiny):
    x = torch.rand(2, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(tiny(x)[1:], tiny(x[1:]), atol=1e-5, rtol=1e-4)


def test_double_gradients_agree_with_finite_differences(stirred):
    configuration = PLNLINConfiguration(
        channels=(2, 2, 2, 2), stages=(1, 1, 1, 1), head_stages=1, window_px=2, shift_px=1
    )
    network = stirred(PLNLIN(configuration).double())
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    weight = network.decoder[0].nonlocal_[1].attention.position_bias

    def restored_mean(w):
        return torch.func.functional_call(
            network, {"decoder.0.nonlocal_.1.attention.position_bias": w}, (x,)
        ).mean()

    assert torch.autograd.gradcheck(restored_mean, (weight.detach().clone().requires_grad_(),))


def test_configuration_survives_json():
    assert PLNLINConfiguration.from_json(SMALL.to_json()) == SMALL


ODD_HEADS = {"attention_heads": 2, "discriminator_channels": (5, 5, 7, 8)}


@pytest.mark.parametrize(
    "values",
    [
        {"channels": (16, 32)},
        {"stages": (0, 1, 1, 1)},
        {"shift_px": 7},
        {"attention_heads": 5},
        {"colour": 1},
        ODD_HEADS,
    ],
)
def test_wrong_configuration_is_refused(values):
    with pytest.raises(WeightsError):
        PLNLINConfiguration.from_mapping(values)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(WeightsError, match="paper, small"):
        preset("huge")
