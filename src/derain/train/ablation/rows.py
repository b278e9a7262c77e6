"""The rows of the paper's ablations, Tables 1 and 3 to 7, as what each changes in a recipe."""

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
    """One row: its name in the paper, what it changes, and the PSNR and SSIM printed for Rain200H, where they are."""

    label: str
    overrides: tuple[str, ...] = ()
    printed: PaperScore = None
    unit: str = "plnlim"
    """The generator's."""
    discriminator_unit: str = "plnlim"
    manner: str = "mcddl"

    @property
    def parts(self) -> dict[str, str]:
        """What the two networks are made of, where it is not the paper's, by key of the recipe."""
        found = {
            "network.unit": self.unit,
            "network.discriminator_unit": self.discriminator_unit,
            "adversarial.manner": self.manner,
        }
        return {key: name for key, name in found.items() if name not in ("plnlim", "mcddl")}

    @property
    def name(self) -> str:
        """Of the row's folder: what it changes."""
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
"""Rows by table. Where the text names no value (r but for 5), the values are ours."""


def row_overrides(row: AblationRow, base: Recipe) -> list[str]:
    """What a row changes in the recipe `base`, the channels of both networks among it."""
    given = [*row.overrides, *(f"{key}={json.dumps(name)}" for key, name in row.parts.items())]
    if row.parts:
        network = row_network(row, base)
        given.append(f"network.channels={list(network.channels)}")
        given.append(f"network.discriminator_channels={list(network.discriminator_channels)}")
    return given


def row_network(row: AblationRow, base: Recipe) -> PLNLINConfiguration:
    """The networks of a row, with channels so that both have as many parameters as those of `base`, within 2 %."""
    network = replace(base.network, unit=row.unit, discriminator_unit=row.discriminator_unit)
    network = match_parameters(network, wanted=count_parameters(PLNLIN, base.network))
    if not base.loss.beta:
        return network
    return match_parameters(
        replace(network, discriminator_channels=base.network.critic_channels),
        wanted=count_parameters(get_manner(base.adversarial.manner).discriminator, base.network),
        of=get_manner(row.manner).discriminator,
        field="discriminator_channels",
    )


def parameter_table(base: Recipe) -> str:
    """Parameters and channels of both networks in every row, the paper's own first, as Markdown."""
    rows = {row.name: row for rows in TABLES.values() for row in rows}
    lines = [
        "| row | G parameters | D parameters | G channels | D channels |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(rows, key=lambda name: name != "ours"):
        row = rows[name]
        network = row_network(row, base)
        counts = (
            count_parameters(PLNLIN, network),
            count_parameters(get_manner(row.manner).discriminator, network),
        )
        cells = [
            name,
            *(f"{count:,}" for count in counts),
            *(
                ", ".join(map(str, channels))
                for channels in (network.channels, network.critic_channels)
            ),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
