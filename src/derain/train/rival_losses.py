"""The losses with which the authors of the rivals trained them: `loss.own = true` in a recipe.

What needs other data or other weights is left out: the terms of SIRR, Syn2Real and SSID-KD on real
photos, and Syn2Real's comparison of features of a VGG network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from derain.train.losses import ssim, without_autocast

OwnLoss = Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]
"""(outputs, rainy, clean) -> scalar. `outputs` are those of `Rival.outputs`, the result first."""
CHARBONNIER = 1e-3
WHITE = 255.0


def own_loss(kind: str, outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """Return the loss of the authors of `kind`, a name in `OWN_LOSSES`."""
    outputs = [output.float() for output in outputs]
    with without_autocast(rainy):
        return OWN_LOSSES[kind](outputs, rainy.float(), clean.float())


def _negative_ssim(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    return -ssim(outputs[0], clean)


def _absolute(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    return F.l1_loss(outputs[0], clean)


def _squared(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    return F.mse_loss(outputs[0], clean)


def _squared_in_all_stages(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    return _sum(F.mse_loss(estimate, clean) for estimate in outputs)


def _smooth(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    return F.smooth_l1_loss(outputs[0], clean)


def _spanet(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """L1, SSIM, and the squared error of the map of rain, which is the rain layer in 0..1."""
    restored, rain_map = outputs
    rain = (rainy - clean).sum(1, keepdim=True).clamp(0, 1)
    return F.l1_loss(restored, clean) + 1 - ssim(restored, clean) + F.mse_loss(rain_map, rain)


def _hct_ffn(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """Squared error on 0..255 and 0.2 (1 - SSIM), of every stage."""
    return _sum(
        WHITE**2 * F.mse_loss(estimate, clean) + 0.2 * (1 - ssim(estimate, clean))
        for estimate in outputs
    )


def _rcdnet(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """Squared errors of backgrounds and of rain layers, the last ones with more weight."""
    result, *others = outputs
    last_layer = others[-1]  # a rain layer and what it leaves have the same error
    errors = 0.1 * _sum(F.mse_loss(estimate, clean) for estimate in others)
    return F.mse_loss(result, clean) + 0.9 * F.mse_loss(last_layer, clean) + errors


def _charbonnier(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y).square() + CHARBONNIER**2).sqrt().mean()


def _mprnet(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """Charbonnier loss of the pictures and of their edges, of every stage."""
    edges = _binomial_edges(clean)
    return _sum(
        _charbonnier(estimate, clean) + 0.05 * _charbonnier(_binomial_edges(estimate), edges)
        for estimate in outputs
    )


def _mspfn(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """Charbonnier loss of the picture in -1..1 and of its Laplacian."""
    restored, clean = 2 * outputs[0] - 1, 2 * clean - 1
    edges = _charbonnier(_laplacian(restored), _laplacian(clean))
    return _charbonnier(restored, clean) + 0.05 * edges


def _wang(outputs: Sequence[Tensor], rainy: Tensor, clean: Tensor) -> Tensor:
    """SSIM of three estimates, and of those at half and at quarter size."""
    *estimates, half, quarter = outputs
    clean_half, clean_quarter = (F.avg_pool2d(clean, factor) for factor in (2, 4))
    total = _sum(-ssim(estimate, clean) for estimate in estimates)
    return total - 0.05 * ssim(half, clean_half) - 0.001 * ssim(quarter, clean_quarter)


def _binomial_edges(x: Tensor) -> Tensor:
    """Return x minus its blurred half-size copy, enlarged (the Laplacian pyramid, 5x5 kernel)."""
    row = torch.tensor([0.05, 0.25, 0.4, 0.25, 0.05], device=x.device)
    kernel = torch.outer(row, row).expand(x.shape[1], 1, 5, 5)

    def blur(maps: Tensor) -> Tensor:
        padded = F.pad(maps, (2, 2, 2, 2), mode="replicate")
        return F.conv2d(padded, kernel, groups=x.shape[1])

    sparse = torch.zeros_like(x)
    sparse[:, :, ::2, ::2] = 4 * blur(x)[:, :, ::2, ::2]
    return x - blur(sparse)


def _laplacian(x: Tensor) -> Tensor:
    kernel = torch.full((1, 1, 3, 3), -1.0, device=x.device)
    kernel[0, 0, 1, 1] = 8
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


OWN_LOSSES: dict[str, OwnLoss] = {
    **dict.fromkeys(("prenet", "prenet_r", "prn", "prn_r", "dcsfn", "ssid-kd"), _negative_ssim),
    **dict.fromkeys(("nledn", "dualgcn", "swinir"), _absolute),
    **dict.fromkeys(("ddn", "sirr"), _squared),
    **dict.fromkeys(("mspfn", "mspfn_m17n1"), _mspfn),
    "rescan": _squared_in_all_stages,
    "spanet": _spanet,
    "hct-ffn": _hct_ffn,
    "rcdnet": _rcdnet,
    "syn2real": _smooth,
    "mprnet": _mprnet,
    "wang": _wang,
}
"""Network -> loss."""
