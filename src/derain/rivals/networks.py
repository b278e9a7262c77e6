"""The networks that can be built, by the name that `NAME:PATH` gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from derain.errors import WeightsError
from derain.rivals.checkpoint import Fit, load_into, read_checkpoint
from derain.rivals.dcsfn import DCSFN
from derain.rivals.ddn import DDN
from derain.rivals.dualgcn import DualGCN
from derain.rivals.hct_ffn import HCTFFN
from derain.rivals.mprnet import MPRNet
from derain.rivals.mspfn import MSPFN, MSPFNBaseline
from derain.rivals.nledn import NLEDN
from derain.rivals.prenet import PReNet
from derain.rivals.rcdnet import RCDNet
from derain.rivals.rescan import RESCAN
from derain.rivals.rival import Rival
from derain.rivals.spanet import SPANet
from derain.rivals.ssid_kd import SSIDKD
from derain.rivals.swinir import SwinIR
from derain.rivals.syn2real import Syn2Real
from derain.rivals.wang import Wang

NETWORKS: dict[str, Callable[..., Rival]] = {
    "prenet": PReNet,
    "prenet_r": partial(PReNet, recursive=True),
    "prn": partial(PReNet, recurrent=False),
    "prn_r": partial(PReNet, recurrent=False, recursive=True),
    "spanet": SPANet,
    "nledn": NLEDN,
    "hct-ffn": HCTFFN,
    "rescan": RESCAN,
    "ddn": DDN,
    "sirr": DDN,
    "rcdnet": RCDNet,
    "dcsfn": DCSFN,
    "mspfn": MSPFN,
    "mspfn_m17n1": MSPFNBaseline,
    "syn2real": Syn2Real,
    "mprnet": MPRNet,
    "dualgcn": DualGCN,
    "swinir": SwinIR,
    "ssid-kd": SSIDKD,
    "wang": Wang,
}
"""Name -> network with random weights; arguments change its shape."""


def build(name: str, **options: Any) -> Rival:
    """Return a network with random weights. Raises WeightsError for an unknown name.

    `options` are the arguments of its class; without them, it is the published network.
    """
    if name not in NETWORKS:
        raise WeightsError(f"{name}: unknown rival network; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name](**options)


def load(name: str, path: str | Path) -> Rival:
    """Return a network with the weights of its official checkpoint, in evaluation mode.

    `path` is the file as published, see `checkpoint.read_checkpoint`, or weights that were trained
    here (`weights_file`). Raises WeightsError for an unknown name and for a file that does not fit;
    the message lists what is missing and unknown.
    """
    return load_with_fit(name, path)[0]


def load_with_fit(name: str, path: str | Path) -> tuple[Rival, Fit]:
    """Return the network of `load`, and how its checkpoint fits."""
    checkpoint = read_checkpoint(path)
    if name in NETWORKS and checkpoint.kind not in {None, name}:
        raise WeightsError(
            f"{path}: holds the weights of {checkpoint.kind}; use {checkpoint.kind}:{path}"
        )
    network = build(name, **checkpoint.options)
    fit = load_into(network, checkpoint, path=path)
    return network.eval(), fit
