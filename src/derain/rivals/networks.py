"""The networks that can be built, by the name that `NAME:PATH` gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from derain.errors import WeightsError
from derain.rivals.checkpoint import load_into, read_checkpoint
from derain.rivals.ddn import DDN
from derain.rivals.hct_ffn import HCTFFN
from derain.rivals.nledn import NLEDN
from derain.rivals.prenet import PReNet
from derain.rivals.rescan import RESCAN
from derain.rivals.rival import Rival
from derain.rivals.spanet import SPANet

NETWORKS: dict[str, Callable[[], Rival]] = {
    "prenet": PReNet,
    "prenet_r": lambda: PReNet(recursive=True),
    "prn": lambda: PReNet(recurrent=False),
    "prn_r": lambda: PReNet(recurrent=False, recursive=True),
    "spanet": SPANet,
    "nledn": NLEDN,
    "hct-ffn": HCTFFN,
    "rescan": RESCAN,
    "ddn": DDN,
    "sirr": DDN,
}
"""Name -> network with random weights."""


def build(name: str) -> Rival:
    """Return a network with random weights. Raises WeightsError for an unknown name."""
    if name not in NETWORKS:
        raise WeightsError(f"{name}: unknown rival network; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name]()


def load(name: str, path: str | Path) -> Rival:
    """Return a network with the weights of its official checkpoint, in evaluation mode.

    `path` is the file as published, see `checkpoint.read_checkpoint`. Raises WeightsError for an
    unknown name and for a file that does not fit; the message lists what is missing and unknown.
    """
    network = build(name)
    load_into(network, read_checkpoint(path), path=path)
    return network.eval()
