"""The rows of the paper's ablations, Tables 1 and 3 to 7, as changes to a recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.parameter_matching import count_parameters, match_parameters
from derain.train.ablation.results import PaperScore
from derain.train.manners import get_manner
from derain.train.recipe import Recipe


@dataclass(frozen=True)
class AblationRow:
    """One row of a table, as changes to the recipe that all rows share."""

    label: str
    """Its name in the paper."""
    overrides: tuple[str, ...] = ()
    printed: PaperScore = None
    """PSNR and SSIM in the paper for Rain200H, if it prints them."""
    unit: str = "plnlim"
    """Unit of the generator."""
    discriminator_unit: str = "plnlim"
    manner: str = "mcddl"

    @property
    def parts(self) -> dict[str, str]:
        """Units and manner that differ from the paper's, by key of the recipe."""
        parts = {
            "network.unit": self.unit,
            "network.discriminator_unit": self.discriminator_unit,
            "adversarial.manner": self.manner,
        }
        return {key: name for key, name in parts.items() if name not in ("plnlim", "mcddl")}

    @property
    def name(self) -> str:
        """Name of the row's folder, made of its changes."""
        changes = [*(f"{key}={name}" for key, name in self.parts.items()), *self.overrides]
        return "_".join(change.partition(".")[2].replace("=", "-") for change in changes) or "ours"


OURS = (30.164, 0.9227)
TABLES = {
    "table1": [
        AblationRow("classical: final layer, image only", manner="classical"),
        AblationRow("MSG-GAN: images of every scale, final layer", manner="msg-gan"),
        AblationRow("side layers, image only", manner="deep-image"),
        AblationRow("final layer, with content", manner="content-final"),
        AblationRow("ours: side layers, with content", (), OURS),
    ],
    "table3": [
        AblationRow("(a) without fusion branch", unit="without-fusion"),
        AblationRow("(b) concatenation for SFT", unit="concatenation"),
        AblationRow("(c) both local", unit="both-local"),
        AblationRow("(d) both non-local", unit="both-nonlocal"),
        AblationRow("(e) without interaction", unit="without-interaction"),
        AblationRow("(f) ours", (), OURS),
    ],
    "table4": [
        AblationRow("local: residual blocks", unit="residual", printed=(29.866, 0.9190)),
        AblationRow("non-local: Swin blocks", unit="swin", printed=(29.948, 0.9194)),
        AblationRow("ours: PLNLIM", (), OURS),
    ],
    "table5": [
        AblationRow("without hierarchical supervision", ("loss.alpha=0.0",)),
        AblationRow("ours: with it", (), OURS),
    ],
    "table6": [
        AblationRow(
            "discriminator of residual blocks", (), (29.983, 0.9174), discriminator_unit="residual"
        ),
        AblationRow(
            "discriminator of Swin blocks", (), (29.992, 0.9175), discriminator_unit="swin"
        ),
        AblationRow("ours: discriminator of PLNLIMs", (), OURS),
    ],
    "table7": [
        *(
            AblationRow(
                f"r = {r}", (f"adversarial.discriminator_every={r}",), OURS if r == 5 else None
            )
            for r in (1, 3, 5, 7, 9)
        ),
        AblationRow(
            "r = 1/5", ("adversarial.generator_every=5", "adversarial.discriminator_every=1")
        ),
    ],
}
"""Rows by table. Values that the text does not name (r other than 5) are ours."""


def row_overrides(row: AblationRow, base: Recipe) -> list[str]:
    """Return the overrides of a row for the recipe `base`, with the channels of both networks."""
    overrides = [*row.overrides, *(f"{key}={json.dumps(name)}" for key, name in row.parts.items())]
    if row.parts:
        network = row_network(row, base)
        overrides.append(f"network.channels={list(network.channels)}")
        overrides.append(f"network.discriminator_channels={list(network.discriminator_channels)}")
    return overrides


def row_network(row: AblationRow, base: Recipe) -> PLNLINConfiguration:
    """Return the networks of a row.

    Their channels are chosen so that both have as many parameters as those of `base`, within 2 %.
    """
    network = replace(base.plnlin, unit=row.unit, discriminator_unit=row.discriminator_unit)
    network = match_parameters(network, target=count_parameters(PLNLIN, base.plnlin))
    if not base.loss.beta:
        return network
    return match_parameters(
        replace(network, discriminator_channels=base.plnlin.effective_discriminator_channels),
        target=count_parameters(get_manner(base.adversarial.manner).discriminator, base.plnlin),
        build=get_manner(row.manner).discriminator,
        field="discriminator_channels",
    )
