"""Figure 4: feature maps of the local, the non-local and the fusion branch of a PLNLIM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from derain.errors import DataError
from derain.network.configuration import LEVELS
from derain.network.generator import PLNLIN
from derain.network.plnlim import PLNLIM
from derain.network.weights_file import load_network

BRANCHES = {"local": "local", "nonlocal_": "non-local", "fusion": "fusion"}
"""Titles of the branches by their names in PLNLIM."""
SHOWN_PERCENTILES = (0.5, 99.5)
"""Range of a map that is shown; extreme values are clipped."""
MAX_PX = 4_000_000
"""Pixels of the largest picture: 8.6 megapixels took 12 GB."""


def branch_maps(
    network: PLNLIN, rainy: NDArray[np.float32], *, module: str, level: int, stage: int
) -> dict[str, NDArray[np.float32]]:
    """Return the mean absolute feature of each branch, (H, W), by its name in PLNLIM.

    `module` is "encoder" or "decoder", `stage` 1 to N of its PLNLIM at `level`; `rainy` is
    (H, W, 3) in 0..1, and stands for all frames of a network for clips. Raises DataError if there
    is no such module, level or stage, for a network without branches, and for a picture above 4
    megapixels.
    """
    if module not in ("encoder", "decoder") or not 1 <= level <= LEVELS:
        raise DataError(
            f"{module} {level}: no such module; choose encoder or decoder, and a level from 1 to 4"
        )
    plnlim = getattr(network, module)[level - 1]
    if not isinstance(plnlim, PLNLIM):
        raise DataError(
            f"the unit {network.configuration.unit!r} has no branches; use weights with a PLNLIM"
        )
    stages = len(plnlim.to_local) + 1
    if not 1 <= stage <= stages:
        raise DataError(f"stage {stage}: {module} {level} has stages 1 to {stages}; choose one")
    height, width = rainy.shape[:2]
    if height * width > MAX_PX:
        raise DataError(
            f"a picture of {width}x{height} needs too much memory; crop it to 4 megapixels"
        )
    branches = [name for name in BRANCHES if hasattr(plnlim, name)]  # Table 3 (a) has no fusion
    maps: dict[str, Tensor] = {}
    hooks = [
        getattr(plnlim, name)[stage - 1].register_forward_hook(_recorder(maps, name))
        for name in branches
    ]
    frames = torch.from_numpy(rainy).permute(2, 0, 1).repeat(network.configuration.frames, 1, 1)
    try:
        with torch.no_grad():
            network(frames[None])
    finally:
        for hook in hooks:
            hook.remove()
    scale = network.configuration.unshuffle * 2 ** (level - 1)
    rows, columns = -(-height // scale), -(-width // scale)  # without the padding
    return {name: maps[name][0].abs().mean(dim=0)[:rows, :columns].numpy() for name in branches}


def draw_features(
    weights: str | Path,
    rainy: NDArray[np.float32],
    *,
    module: str = "encoder",
    level: int = 1,
    stage: int = 2,
) -> Figure:
    """Draw the rainy picture and the map of each branch, each map scaled to its own range."""
    network, _ = load_network(weights)
    maps = branch_maps(network, rainy, module=module, level=level, stage=stage)
    height, width = rainy.shape[:2]
    figure = Figure(figsize=(4 * (1 + len(maps)), 4 * height / width + 0.4), layout="constrained")
    panels = figure.subplots(1, 1 + len(maps))
    panels[0].imshow(rainy)
    panels[0].set_title("rainy")
    for panel, (name, values) in zip(panels[1:], maps.items(), strict=True):
        low, high = np.percentile(values, SHOWN_PERCENTILES)
        panel.imshow(values, cmap="viridis", vmin=low, vmax=high)
        panel.set_title(f"{BRANCHES[name]}, {module} {level}, stage {stage}")
    for panel in panels:
        panel.set_axis_off()
    return figure


def _recorder(
    maps: dict[str, Tensor], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """Return a forward hook that stores the output of its module in `maps`."""

    def record(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        maps[name] = output

    return record
