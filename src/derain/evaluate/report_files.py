"""Reports as files: Markdown to read, JSON for programs, CSV with a line for each picture."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from derain.data.pairs.file_names import is_picture
from derain.errors import DataError
from derain.evaluate.protocols import PROTOCOLS, Score
from derain.evaluate.provenance import Provenance
from derain.evaluate.scoring import Evaluation
from derain.evaluate.statistics import LEVEL, RESAMPLES, SEED
from derain.evaluate.summary import Summary
from derain.evaluate.tables import Table, legend, tables_of
from derain.files.atomic import check_writable
from derain.files.paths import is_folder, same_file


def markdown(
    summaries: Sequence[Summary], provenance: Provenance, *, further: Sequence[Table] = ()
) -> str:
    """The tables of every data set, then `further` ones, with problems and notes, as one Markdown text."""
    parts = [
        "# Evaluation\n",
        f"```\n{provenance.command}\n```\n",
        "\n".join(f"- {line}" for line in provenance.lines) + "\n",
    ]
    for summary in summaries:
        for table in tables_of(summary):
            parts += [f"## {table.title}\n", table.markdown()]
        for title, lines in (("Not scored", summary.problems), ("Notes", summary.notes)):
            if lines:
                parts += [
                    f"## {summary.data}: {title.lower()}\n",
                    "\n".join(f"- {line}" for line in lines) + "\n",
                ]
    if summaries:
        parts += [
            "## How to read this\n",
            "\n".join(f"- {line}" for line in legend(summaries)) + "\n",
        ]
    for table in further:
        parts += [f"## {table.title}\n", table.markdown()]
    return "\n".join(parts)


def as_json(
    summaries: Sequence[Summary],
    evaluations: Sequence[Evaluation],
    provenance: Provenance,
    *,
    further: Sequence[Table] = (),
) -> str:
    """Everything that the tables say, the `further` ones as they are printed, and the score of every picture.

    `null` stands where there is no finite number. A picture whose `psnr` is null equals the clean one under that protocol.
    """
    data = [
        {
            **asdict(summary),
            "pictures": {
                row.name: {
                    result.sample: {
                        "mae": result.mae,
                        "niqe": result.niqe,
                        "scores": _as_dicts(result.scores),
                    }
                    for result in row.results
                }
                for row in evaluation.rows
            },
        }
        for summary, evaluation in zip(summaries, evaluations, strict=True)
    ]
    report = {
        "provenance": asdict(provenance),
        "protocols": {name: asdict(protocol) for name, protocol in PROTOCOLS.items()},
        "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        "data": data,
        "tables": [asdict(table) for table in further],
    }
    return json.dumps(_finite(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(evaluations: Sequence[Evaluation]) -> str:
    """One line for each data set, candidate and picture; an infinite PSNR is written `inf`, and nothing what there is not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    protocols = (
        list(dict.fromkeys(name for one in evaluations for name in one.protocols))
        if evaluations
        else list(PROTOCOLS)
    )
    writer.writerow(
        [
            "data",
            "candidate",
            "picture",
            *(f"{p} {m}" for p in protocols for m in ("PSNR", "SSIM")),
            "MAE",
            "NIQE",
        ]
    )
    for evaluation in evaluations:
        for row in evaluation.rows:
            for result in row.results:
                scores = [
                    result.scores.get(protocol, Score(math.nan, math.nan)) for protocol in protocols
                ]
                figures = [
                    *(figure for score in scores for figure in (score.psnr, score.ssim)),
                    result.mae,
                    result.niqe,
                ]
                written = ["" if math.isnan(figure) else f"{figure:.6f}" for figure in figures]
                writer.writerow([evaluation.data, row.name, result.sample, *written])
    return text.getvalue()


def check_paths(*paths: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Make the folders of reports before hours of measuring, and refuse a path that none can be written to. Raises DataError."""
    known: set[Path] = set()
    for path in filter(None, paths):
        if is_folder(path):
            raise DataError(f"{path}: is a folder; give a file in it")
        if is_picture(path):
            raise DataError(
                f"{path}: has the name of a picture; give a report a name such as report{path.suffix}.md"
            )
        if any(same_file(path, read) for read in inputs):
            raise DataError(
                f"{path}: is read, and would be replaced by a report; give the report a name of its own"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{path}: its folder cannot be made ({error.strerror}); give a file somewhere else"
            ) from error
        if path.resolve() in known:
            raise DataError(
                f"{path}: two reports would be written there; give each a file of its own"
            )
        known.add(path.resolve())
        check_writable(path)


def _as_dicts(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {name: asdict(score) for name, score in scores.items()}


def _finite(value: Any) -> Any:
    """JSON knows neither infinity nor NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
