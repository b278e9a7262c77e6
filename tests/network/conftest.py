import pytest
import torch

from derain.network import PLNLIN, PLNLINConfiguration

torch.set_num_threads(
    1
)  # these are small; two programs that spin-wait on each other are ten times slower


def move(network, by=0.05):
    """Move every parameter away from its start, where some paths return zero or the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(by * torch.randn(p.shape, generator=generator))
    return network


@pytest.fixture
def stirred():
    """A function that returns its network with every parameter moved."""
    return move


@pytest.fixture
def tiny():
    """A generator with every kind of part, four channels at the top."""
    torch.manual_seed(0)
    configuration = PLNLINConfiguration(
        preset="tiny", channels=(4, 8, 8, 12), stages=(2, 1, 2, 1), head_stages=1
    )
    return move(PLNLIN(configuration))
