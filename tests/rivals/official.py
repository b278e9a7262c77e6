"""Runs the official code of the rivals on a CPU, from a checkout of their repositories.

This repository holds none of that code.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import official_pytorch as pytorch
import official_tensorflow as tensorflow
from official_network import Official

LOADERS = {
    "networks.py": pytorch.load_prenet,
    "SPANet.py": pytorch.load_spanet,
    "lib/NLEDN.py": pytorch.load_nledn,
    "code/model/hct-ffn.py": pytorch.load_hct_ffn,
    "config/model_output_feature_map.py": pytorch.load_dcsfn,
    "config/model.py": pytorch.load_rescan,
    "RCDNet_code/for_syn/src/model/rcdnet.py": pytorch.load_rcdnet,
    "Deraining/MPRNet.py": pytorch.load_mprnet,
    "models/network_swinir.py": pytorch.load_swinir,
    "GP_new_fast.py": pytorch.load_syn2real,
    "eval_SPA.py": pytorch.load_ssid_kd,
    "aaa/attention.py": pytorch.load_wang,
    "training.py": tensorflow.load_sirr,
    "model/TEST_MSPFN_M17N1.py": tensorflow.load_mspfn,
    "models/compared_CNN/FuGCN/model.py": tensorflow.load_dualgcn,
}
"""A file of each repository -> loader of its networks."""


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def load(checkout: Path) -> dict[str, Official]:
    """Return the networks of a repository, which is recognised by its files."""
    for marker, loader in LOADERS.items():
        if (checkout / marker).exists():
            return loader(checkout)
    raise SystemExit(f"{checkout}: holds none of {', '.join(LOADERS)}")
