"""Loaders of the official code for PyTorch.

Modules that it imports for training only are replaced by empty ones. What runs on a GPU only is
interpreted, as described at the loader.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from official_network import Official, of_module
from torch import Tensor, nn

EXPECTED_LINES = 16
"""Lines of the CUDA kernel: four directions, each with a start, a loop and two assignments."""


def load_prenet(checkout: Path) -> dict[str, Official]:
    """Four networks of csdwren/PReNet, which take R, G, B and return (restored, all stages)."""
    for name in ("torchvision", "cv2"):
        sys.modules[name] = MagicMock()
    sys.path.insert(0, str(checkout))
    networks = importlib.import_module("networks")
    names = {"prenet": "PReNet", "prenet_r": "PReNet_r", "prn": "PRN", "prn_r": "PRN_r"}
    return {
        ours: of_module(getattr(networks, theirs)(6, False), lambda net, rainy: net(rainy)[0])
        for ours, theirs in names.items()
    }


def load_spanet(checkout: Path) -> dict[str, Official]:
    """stevewongv/SPANet; its data loader reads B, G, R. Python interprets the CUDA kernel."""
    kernel = _interpret_irnn((checkout / "IRNN_Forward_cuda.cu").read_text())
    sys.modules["irnn"] = types.SimpleNamespace(irnn=lambda: kernel)
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("SPANet").SPANet()
    return {"spanet": of_module(network, lambda net, rainy: net(rainy.flip(1))[1].flip(1))}


def _interpret_irnn(source: str) -> Callable[..., tuple[Tensor, ...]]:
    """Translate the body of the CUDA kernel to Python, for all channels of one picture at once."""
    body = source[source.index("// left") : source.rindex("}", 0, source.rindex("}"))]
    body = body[: body.rindex("}")]
    lines, depth = [], 0
    for raw in body.splitlines():
        line = raw.split("//")[0].strip().removesuffix(";")
        line = (
            line.replace(" ", "").replace("(inti=", "(int i=").replace("channels,height,width", "")
        )
        line = re.sub(r"\bINDEX\(b,c,([^,]+),([^,]+),\)", r":,\1,\2", line)
        line = line.replace("[index]", "[:, h, w]").replace("[c]", "")
        line = re.sub(r"=\(?(\S+?)>0\)?\?\(?\S+?:0$", r"=np.maximum(\1,0)", line)
        loop = re.fullmatch(r"for\(int i=(.+?);i(<=|>=)(\w+);i(\+\+|--)\)", line)
        if loop:
            start, _, stop, step = loop.groups()
            way = 1 if step == "++" else -1
            lines.append(f"for i in range({start}, {stop} + {way}, {way}):")
        elif line in {"{", "}"}:
            depth += 1 if line == "{" else -1
        elif line:
            assert "=" in line, f"not understood: {raw}"
            lines.append("    " * depth + line)
    assert len(lines) == EXPECTED_LINES, lines
    code = compile("\n".join(lines), "IRNN_Forward_cuda.cu", "exec")

    def kernel(x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        feature = x[0].numpy()
        ways = ("up", "right", "down", "left")
        values = {"np": np, "input_feature": feature, "height": x.shape[2], "width": x.shape[3]}
        for kind, group in (("weight", parameters[:4]), ("bias", parameters[4:])):
            values |= {
                f"{kind}_{way}": p.numpy().ravel() for way, p in zip(ways, group, strict=True)
            }
        values |= {f"output_{way}": feature.copy() for way in ways}
        for h in range(x.shape[2]):
            for w in range(x.shape[3]):
                exec(code, values | {"h": h, "w": w})
        return tuple(torch.from_numpy(values[f"output_{way}"])[None] for way in ways)

    return kernel


def load_nledn(checkout: Path) -> dict[str, Official]:
    """AlexHex7/NLEDN: the network predicts the rain layer."""
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("lib.NLEDN").NLEDN()
    return {"nledn": of_module(network, lambda net, rainy: rainy - net(rainy))}


def load_hct_ffn(checkout: Path) -> dict[str, Official]:
    """cschenxiang/HCT-FFN: works on 0..255 and returns (restored, stage 2, stage 1)."""
    sys.path.insert(0, str(checkout / "code"))
    path = checkout / "code/model/hct-ffn.py"
    spec = importlib.util.spec_from_file_location("hct_ffn", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Rainnet(types.SimpleNamespace(n_feats=32, n_resblocks=3))
    return {"hct-ffn": of_module(network, lambda net, rainy: net(255 * rainy)[0] / 255)}


def load_rescan(checkout: Path) -> dict[str, Official]:
    """XiaLiPKU/RESCAN: predicts the rain layer of B, G, R in every stage."""
    sys.path.insert(0, str(checkout / "config"))
    module = importlib.import_module("model")
    module.F.sigmoid, module.F.tanh = torch.sigmoid, torch.tanh
    return {
        "rescan": of_module(
            module.RESCAN(), lambda net, rainy: rainy - net(rainy.flip(1))[-1].flip(1)
        )
    }


def load_rcdnet(checkout: Path) -> dict[str, Official]:
    """hongwang01/RCDNet: works on 0..255 and returns (first, backgrounds, rain layers)."""
    folder = checkout / "RCDNet_code/for_syn/src"
    sys.path.insert(0, str(folder))
    with contextlib.chdir(folder):  # it reads the initial kernels
        module = importlib.import_module("model.rcdnet")
    network = module.Mainnet(types.SimpleNamespace(stage=17, num_M=32, num_Z=32))
    return {"rcdnet": of_module(network, lambda net, rainy: net(255 * rainy)[1][-1] / 255)}


def load_dcsfn(checkout: Path) -> dict[str, Official]:
    """Ohraincu/DCSFN: its data loader reads B, G, R."""
    network = _import_with_settings(checkout / "config", "model").Net()
    return {"dcsfn": of_module(network, _of_reversed_channels)}


def load_wang(checkout: Path) -> dict[str, Official]:
    """supersupercong/Online-updated-...: its data loader reads B, G, R; other scales are unused."""
    for name in ("torchvision", "torchvision.models"):
        sys.modules[name] = MagicMock()
    network = _import_with_settings(checkout, "model").ODE_DerainNet()

    def restore(net: nn.Module, rainy: Tensor) -> Tensor:
        half, quarter = (torch.nn.functional.avg_pool2d(rainy, factor) for factor in (2, 4))
        smallest = torch.zeros(1, 3, 32, 32)  # results at these scales are for the loss
        scales = [x if min(x.shape[2:]) >= 32 else smallest for x in (half, quarter)]
        return net(rainy.flip(1), *scales)[0].flip(1)

    return {"wang": of_module(network, restore)}


def load_ssid_kd(checkout: Path) -> dict[str, Official]:
    """cuiyixin555/SSID-KD: its data loader reads B, G, R."""
    sys.modules["torchvision"] = MagicMock()
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("model").ODE_DerainNet()
    return {
        "ssid-kd": of_module(network, lambda net, rainy: net(rainy.flip(1))[0].flip(1)),
    }


def load_mprnet(checkout: Path) -> dict[str, Official]:
    """swz30/MPRNet: returns (stage 3, 2, 1); its demo extends pictures to multiples of 8."""
    sys.path.insert(0, str(checkout / "Deraining"))
    network = importlib.import_module("MPRNet").MPRNet()
    return {"mprnet": of_module(network, lambda net, rainy: net(rainy)[0], multiple_px=8)}


def load_swinir(checkout: Path) -> dict[str, Official]:
    """JingyunLiang/SwinIR with its settings for colour denoising."""
    layers = types.SimpleNamespace(
        DropPath=lambda _: nn.Identity(),
        to_2tuple=lambda size: size if isinstance(size, tuple) else (size, size),
        trunc_normal_=nn.init.trunc_normal_,
    )
    sys.modules |= {"timm": MagicMock(), "timm.models": MagicMock(), "timm.models.layers": layers}
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("models.network_swinir").SwinIR(
        upscale=1,
        in_chans=3,
        img_size=128,
        window_size=8,
        img_range=1.0,
        depths=[6] * 6,
        embed_dim=180,
        num_heads=[6] * 6,
        mlp_ratio=2,
        upsampler="",
        resi_connection="1conv",
    )
    return {"swinir": of_module(network, lambda net, rainy: net(rainy))}


def load_syn2real(checkout: Path) -> dict[str, Official]:
    """rajeevyasarla/Syn2Real: reads pictures in -1..1 and returns (restored, features)."""
    for name in ("torchvision", "torchvision.models"):
        sys.modules[name] = MagicMock()
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("model").DeRain_v2()
    return {
        "syn2real": of_module(network, lambda net, rainy: net(2 * rainy - 1)[0], multiple_px=16)
    }


def _of_reversed_channels(network: nn.Module, rainy: Tensor) -> Tensor:
    return network(rainy.flip(1)).flip(1)


def _import_with_settings(folder: Path, name: str) -> types.ModuleType:
    """Import a module whose settings list the files of a data set, which is not here."""
    sys.path.insert(0, str(folder))
    with patch("os.listdir", return_value=[]):
        importlib.import_module("settings")
    return importlib.import_module(name)
