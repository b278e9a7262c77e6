"""Runs the official code of the rivals on a CPU, from a checkout of their repositories.

This repository holds none of that code. Modules that it imports for training only are replaced by
empty ones. What runs on a GPU or in TensorFlow only is interpreted, as described at each loader.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor, nn

EXPECTED_LINES = 16
"""Lines of the CUDA kernel: four directions, each with a start, a loop and two assignments."""
Restore = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Official:
    """An official network: shapes of its parameters, and a function that runs it with weights."""

    shapes: dict[str, tuple[int, ...]]
    run: Callable[[dict[str, Tensor], Tensor], Tensor]
    """(parameters, rainy (1, 3, H, W), R, G, B in 0..1) -> restored in the same form."""


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


def _of_module(network: nn.Module, restore: Callable[[nn.Module, Tensor], Tensor]) -> Official:
    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        network.load_state_dict(weights)
        with torch.inference_mode():
            return restore(network.eval(), rainy)

    return Official({name: tuple(t.shape) for name, t in network.state_dict().items()}, run)


def _load_prenet(checkout: Path) -> dict[str, Official]:
    """Four networks of csdwren/PReNet, which take R, G, B and return (restored, all stages)."""
    for name in ("torchvision", "cv2"):
        sys.modules[name] = MagicMock()
    sys.path.insert(0, str(checkout))
    networks = importlib.import_module("networks")
    names = {"prenet": "PReNet", "prenet_r": "PReNet_r", "prn": "PRN", "prn_r": "PRN_r"}
    return {
        ours: _of_module(getattr(networks, theirs)(6, False), lambda net, rainy: net(rainy)[0])
        for ours, theirs in names.items()
    }


def _load_spanet(checkout: Path) -> dict[str, Official]:
    """stevewongv/SPANet; its data loader reads B, G, R. Python interprets the CUDA kernel."""
    kernel = _interpret_irnn((checkout / "IRNN_Forward_cuda.cu").read_text())
    sys.modules["irnn"] = types.SimpleNamespace(irnn=lambda: kernel)
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("SPANet").SPANet()
    return {"spanet": _of_module(network, lambda net, rainy: net(rainy.flip(1))[1].flip(1))}


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


def _load_nledn(checkout: Path) -> dict[str, Official]:
    """AlexHex7/NLEDN: the network predicts the rain layer."""
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("lib.NLEDN").NLEDN()
    return {"nledn": _of_module(network, lambda net, rainy: rainy - net(rainy))}


def _load_hct_ffn(checkout: Path) -> dict[str, Official]:
    """cschenxiang/HCT-FFN: works on 0..255 and returns (restored, stage 2, stage 1)."""
    sys.path.insert(0, str(checkout / "code"))
    path = checkout / "code/model/hct-ffn.py"
    spec = importlib.util.spec_from_file_location("hct_ffn", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Rainnet(types.SimpleNamespace(n_feats=32, n_resblocks=3))
    return {"hct-ffn": _of_module(network, lambda net, rainy: net(255 * rainy)[0] / 255)}


def _load_rescan(checkout: Path) -> dict[str, Official]:
    """XiaLiPKU/RESCAN: predicts the rain layer of B, G, R in every stage."""
    sys.path.insert(0, str(checkout / "config"))
    module = importlib.import_module("model")
    module.F.sigmoid, module.F.tanh = torch.sigmoid, torch.tanh
    return {
        "rescan": _of_module(
            module.RESCAN(), lambda net, rainy: rainy - net(rainy.flip(1))[-1].flip(1)
        )
    }


def _load_sirr(checkout: Path) -> dict[str, Official]:
    """wwzjer/Semi-supervised-IRR: `inference` and `guided_filter` run on a stand-in for TensorFlow.

    The stand-in computes each operation at once, with torch; variables come from `weights`. The
    same graph with the same names made the checkpoints that csdwren/RecDerain calls DDN.
    """
    tensorflow = _EagerTensorFlow()
    sys.modules["tensorflow"] = tensorflow.module
    for name in ("tensorflow.python", "tensorflow.python.framework", "h5py"):
        sys.modules[name] = MagicMock()
    sys.modules["skimage.measure"] = MagicMock()
    sys.modules["cv2"] = types.SimpleNamespace(boxFilter=_box_filter)
    sys.path.insert(0, str(checkout))
    code = importlib.import_module("training")

    def run(weights: dict[str, Tensor], rainy: Tensor) -> Tensor:
        tensorflow.weights = weights
        image = rainy.permute(0, 2, 3, 1).double().numpy()
        height, width = image.shape[1:3]
        # the guided filter of testing.py is this one for one picture; it takes (width, height)
        smooth = code.guided_filter(image, 1, width=width, height=height, channel=3)
        with torch.inference_mode():
            images = [torch.from_numpy(array).float() for array in (image, image - smooth)]
            return code.inference(*images).permute(0, 3, 1, 2)

    tensorflow.weights = None
    with torch.inference_mode():
        code.inference(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8, 3))
    return {"sirr": Official(tensorflow.shapes, run)}


def _box_filter(image: np.ndarray, _: int, size: tuple[int, int], **options: object) -> np.ndarray:
    """Return sums over boxes with zeros outside, as OpenCV with `normalize=False, borderType=0`."""
    assert options == {"normalize": False, "borderType": 0}
    box = torch.ones(1, 1, size[1], size[0], dtype=torch.float64)
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None]
    return torch.conv2d(values, box, padding=(size[1] // 2, size[0] // 2))[0, 0].numpy()


class _EagerTensorFlow:
    """The few operations of TensorFlow 1 that the network uses, on (N, H, W, C)."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] | None = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._scope = ""
        tf = MagicMock()
        tf.app.flags.FLAGS = types.SimpleNamespace(
            num_channels=3, num_patches=20, image_size=64, label_size=64
        )
        tf.variable_scope, tf.get_variable, tf.Variable = self._enter, self._get, self._variable
        tf.constant = lambda value, shape, dtype: torch.full(shape, value)
        tf.ones, tf.zeros, tf.float32, tf.add = torch.ones, torch.zeros, torch.float32, torch.add
        tf.nn.conv2d, tf.nn.relu = self._conv2d, torch.relu
        tf.nn.bias_add = torch.add
        tf.nn.moments = lambda x, axes: (x.mean(axes), x.var(axes, correction=0))
        tf.nn.batch_normalization = lambda x, mean, var, offset, scale, epsilon: (
            (x - mean) * torch.rsqrt(var + epsilon) * scale + offset
        )
        self.module = tf

    @contextlib.contextmanager
    def _enter(self, name: str):
        self._scope = name
        yield
        self._scope = ""

    def _get(self, *, name: str, shape: list[int], **_: object) -> Tensor:
        return self._value(name, (shape[3], shape[2], shape[0], shape[1]))

    def _variable(self, initial: Tensor, *, trainable: bool, name: str) -> Tensor:
        return self._value(name, tuple(initial.shape))

    def _value(self, name: str, shape: tuple[int, ...]) -> Tensor:
        name = f"{self._scope}/{name}"
        self.shapes[name] = shape
        return torch.zeros(shape) if self.weights is None else self.weights[name]

    @staticmethod
    def _conv2d(x: Tensor, kernel: Tensor, strides: list[int], *, padding: str) -> Tensor:
        assert (strides, padding) == ([1, 1, 1, 1], "SAME")
        return torch.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1).permute(0, 2, 3, 1)


LOADERS = {
    "networks.py": _load_prenet,
    "SPANet.py": _load_spanet,
    "lib/NLEDN.py": _load_nledn,
    "code/model/hct-ffn.py": _load_hct_ffn,
    "config/model.py": _load_rescan,
    "training.py": _load_sirr,
}
"""A file of each repository -> loader of its networks."""
