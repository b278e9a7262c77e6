"""The results of the rows of an ablation, as Markdown and as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

PaperScore = tuple[float, float] | None
COLUMNS = ("generator_parameters", "discriminator_parameters", "steps", "made", "failure")
"""Fields of a result that are columns of the CSV file under their own names."""


@dataclass(frozen=True)
class RowResult:
    """The result of one row."""

    label: str
    generator_parameters: int
    discriminator_parameters: int
    steps: int
    validation: dict[str, tuple[float, float]]
    """PSNR in dB and SSIM, protocol `paper`, of each validation folder."""
    printed: PaperScore
    """PSNR and SSIM in the paper, for Rain200H."""
    made: str = ""
    """Date, version and precision."""
    failure: str = ""
    """Reason why there is no validation."""


def as_markdown(results: Sequence[RowResult]) -> str:
    """Return the results as a table, beside the scores that the paper prints for Rain200H."""
    folders = next((list(r.validation) for r in results if r.validation), [])
    if len(folders) == 2:
        folders.remove("mean")  # the mean of one folder is that folder
    head = ["row", "G parameters", "D parameters", "steps", *folders]
    head.append("printed (Rain200H, full training)")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for result in results:
        scores = ["failed"] * len(folders)
        if result.validation:
            pairs = [result.validation[folder] for folder in folders]
            scores = [f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in pairs]
        cells = [
            result.label,
            f"{result.generator_parameters:,}",
            f"{result.discriminator_parameters:,}",
            f"{result.steps:,}",
            *scores,
            f"{result.printed[0]:.3f} / {result.printed[1]:.4f}" if result.printed else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    failures = [f"- {result.failure}" for result in results if result.failure]
    return "\n".join([*lines, *(["", *failures] if failures else [])]) + "\n"


def as_csv(results: Sequence[RowResult]) -> str:
    """Return the results as CSV, with a line for each row and validation folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *COLUMNS, "set", "psnr", "ssim", "paper_psnr", "paper_ssim"])
    for result in results:
        values = [result.label, *(getattr(result, column) for column in COLUMNS)]
        for folder, scores in result.validation.items() or [("", ("", ""))]:
            writer.writerow([*values, folder, *scores, *(result.printed or ("", ""))])
    return text.getvalue()
