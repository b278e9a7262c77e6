"""Figure 4: what the local, the non-local and the fusion branch of a PLNLIM make of a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from derain.errors import DataError
from derain.network import PLNLIN
from derain.network.plnlim import PLNLIM
from derain.network.weights_file import load_network

BRANCHES = ("local", "nonlocal_", "fusion")
SHOWN_PERCENT = (0.5, 99.5)
MOST_PX = 4_000_000  # 8.6 megapixels took 12 GB


def branch_maps(
    network: PLNLIN, rainy: NDArray[np.float32], *, module: str, level: int, stage: int
) -> dict[str, NDArray[np.float32]]:
    """The mean absolute feature of each branch, (H, W), after `stage` (1 to N) of the PLNLIM of `module` at `level`.

    `module` is encoder or decoder, `rainy` (H, W, 3) in 0..1. Raises DataError for a module, level or stage that is not
    there, for a network without branches and for a picture above 4 megapixels.
    """
    if module not in ("encoder", "decoder") or not 1 <= level <= len(network.configuration.stages):
        raise DataError(
            f"{module} {level}: no such module; choose encoder or decoder, and a level from 1 to 4"
        )
    plnlim = getattr(network, module)[level - 1]
    if not isinstance(plnlim, PLNLIM):
        raise DataError(
            f"the unit {network.configuration.unit!r} has no branches; give weights of a PLNLIM"
        )
    branches = [
        branch for branch in BRANCHES if hasattr(plnlim, branch)
    ]  # Table 3 (a) has no fusion
    stages = len(plnlim.to_local) + 1
    if not 1 <= stage <= stages:
        raise DataError(f"stage {stage}: {module} {level} has stages 1 to {stages}; choose one")
    if rainy.shape[0] * rainy.shape[1] > MOST_PX:
        raise DataError(
            f"a picture of {rainy.shape[1]}x{rainy.shape[0]} takes too much memory whole; cut a part out of it"
        )
    seen: dict[str, Tensor] = {}
    hooks = [
        getattr(plnlim, branch)[stage - 1].register_forward_hook(_keep(seen, branch))
        for branch in branches
    ]
    try:
        with torch.no_grad():
            network(torch.from_numpy(rainy).permute(2, 0, 1)[None])
    finally:
        for hook in hooks:
            hook.remove()
    scale = 2 ** (level - 1)
    height, width = (-(-side // scale) for side in rainy.shape[:2])  # without the padding
    return {
        branch: seen[branch][0].abs().mean(dim=0)[:height, :width].numpy() for branch in branches
    }


def draw_features(
    weights: Path,
    rainy: NDArray[np.float32],
    *,
    module: str = "encoder",
    level: int = 1,
    stage: int = 2,
) -> Figure:
    """The rainy picture and the map of each branch, each map over its own range but for the extremes."""
    network, _ = load_network(weights)
    maps = branch_maps(network, rainy, module=module, level=level, stage=stage)
    height, width = rainy.shape[:2]
    figure = Figure(figsize=(4 * (1 + len(maps)), 4 * height / width + 0.4), layout="constrained")
    panels = figure.subplots(1, 1 + len(maps))
    panels[0].imshow(rainy)
    panels[0].set_title("rainy")
    for panel, (branch, found) in zip(panels[1:], maps.items(), strict=True):
        least, greatest = np.percentile(found, SHOWN_PERCENT)
        panel.imshow(found, cmap="viridis", vmin=least, vmax=greatest)
        panel.set_title(
            f"{branch.replace('nonlocal_', 'non-local')}, {module} {level}, stage {stage}"
        )
    for panel in panels:
        panel.set_axis_off()
    return figure


def _keep(seen: dict[str, Tensor], branch: str) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        seen[branch] = output

    return hook
