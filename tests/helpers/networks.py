"""Small networks with all kinds of layers, moved away from their initial state."""

import torch

from derain.network import PLNLIN, PLNLINConfiguration

# for small networks several threads are up to ten times slower: they spend their time spinning
torch.set_num_threads(1)

TINY = PLNLINConfiguration(
    preset="tiny", channels=(4, 8, 8, 12), stages=(2, 1, 1, 1), head_stages=1
)


def perturb(network, by=0.05):
    """Change every parameter of `network`; some paths initially return zero or their input."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(by * torch.randn(p.shape, generator=generator))
    return network


def make_network(configuration=TINY, *, by=0.05):
    """Build a perturbed generator in evaluation mode.

    With 16 channels and more, the values of the default grow far beyond those of a picture.
    """
    torch.manual_seed(0)
    return perturb(PLNLIN(configuration), by).eval()
