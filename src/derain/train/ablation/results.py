"""What the rows of an ablation came to, as Markdown and as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

PaperScore = tuple[float, float] | None
PLAIN_FACTS = ("generator_parameters", "discriminator_parameters", "steps", "made", "failure")


@dataclass(frozen=True)
class RowResult:
    """What a row came to."""

    label: str
    generator_parameters: int
    discriminator_parameters: int
    steps: int
    validation: dict[str, tuple[float, float]]
    """PSNR in dB and SSIM, protocol `paper`, of each validation folder."""
    printed: PaperScore
    made: str = ""
    """Day, version and precision."""
    failure: str = ""
    """Why there is no validation."""


def as_markdown(outcomes: Sequence[RowResult]) -> str:
    """The outcomes as a table, with what the paper prints for Rain200H beside them."""
    sets = next((list(o.validation) for o in outcomes if o.validation), [])
    if len(sets) == 2:
        sets.remove("mean")  # of one set
    head = [
        "row",
        "G parameters",
        "D parameters",
        "steps",
        *sets,
        "printed (Rain200H, full training)",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for o in outcomes:
        scores = [
            f"{o.validation[n][0]:.2f} / {o.validation[n][1]:.4f}"
            if n in o.validation
            else "failed"
            for n in sets
        ]
        printed = f"{o.printed[0]:.3f} / {o.printed[1]:.4f}" if o.printed else ""
        cells = [
            o.label,
            f"{o.generator_parameters:,}",
            f"{o.discriminator_parameters:,}",
            f"{o.steps:,}",
            *scores,
            printed,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    failures = [f"- {o.failure}" for o in outcomes if o.failure]
    return "\n".join([*lines, *(["", *failures] if failures else [])]) + "\n"


def as_csv(outcomes: Sequence[RowResult]) -> str:
    """The outcomes as comma-separated values, a line for each row and validation folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *PLAIN_FACTS, "set", "psnr", "ssim", "paper_psnr", "paper_ssim"])
    for o in outcomes:
        facts = asdict(o)
        for name, (psnr, ssim) in o.validation.items() or [("", ("", ""))]:
            writer.writerow(
                [
                    o.label,
                    *(facts[k] for k in PLAIN_FACTS),
                    name,
                    psnr,
                    ssim,
                    *(o.printed or ("", "")),
                ]
            )
    return text.getvalue()
