import pytest
import torch
from torch import distributed, multiprocessing

from derain.train.adversarial import (
    adversarial_loss,
    discriminator_terms,
    expectation,
    generator_terms,
)


def by_the_paper(real, fake, *, generator):
    """Return equation (8) with sigmoids and logarithms as printed, or its mirror image."""
    d_real, d_fake = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
    if generator:
        return -torch.log(1 - d_real).mean() - torch.log(d_fake).mean()
    return -torch.log(d_real).mean() - torch.log(1 - d_fake).mean()


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 1, s, s, generator=generator, requires_grad=True) for s in (8, 4)], [
        torch.randn(2, 1, s, s, generator=generator, requires_grad=True) for s in (8, 4)
    ]


def test_generator_terms_are_equation_8(scores):
    fake, real = scores
    for term, y, z in zip(generator_terms(fake, real), fake, real, strict=True):
        torch.testing.assert_close(term, by_the_paper(z, y, generator=True))


def test_discriminator_terms_mirror_equation_8(scores):
    fake, real = scores
    for term, y, z in zip(discriminator_terms(fake, real), fake, real, strict=True):
        torch.testing.assert_close(term, by_the_paper(z, y, generator=False))


def test_real_side_is_constant_in_the_generators_terms(scores):
    fake, real = scores
    sum(generator_terms(fake, real)).backward()
    assert all(z.grad is None for z in real)
    assert all(y.grad.abs().sum() > 0 for y in fake)


def test_large_scores_stay_finite():
    fake, real = [torch.full((1, 1, 2, 2), -1e4)], [torch.full((1, 1, 2, 2), 1e4)]
    assert torch.isfinite(generator_terms(fake, real)[0])


def test_layers_are_weighted():
    assert adversarial_loss(
        [torch.tensor(2.0), torch.tensor(3.0)], [0.5, 0.1]
    ).item() == pytest.approx(1.3)


def in_a_process(rank, folder, results):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    values = (torch.arange(8.0).view(2, 4) ** 2)[rank].clone().requires_grad_()
    mean = expectation(values)
    (mean * (rank + 1)).backward()
    results[rank] = (mean.item(), values.grad[0].item())
    distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_agree_on_the_expectation_and_its_gradient(tmp_path):
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(in_a_process, args=(str(tmp_path), results), nprocs=2)
        found = dict(results)
    expected = (torch.arange(8.0) ** 2).mean().item()
    assert found[0][0] == found[1][0] == pytest.approx(expected)
    # each value is an eighth of the mean, which both processes' losses (1 and 2 times the mean) see
    assert found[0][1] == found[1][1] == pytest.approx(3 / 8)
