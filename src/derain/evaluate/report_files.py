"""Reports as files: Markdown to read, JSON for programs, CSV with one line per picture."""

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
from derain.evaluate.tables import Table, all_tables, legend
from derain.files.atomic import check_writable
from derain.files.paths import is_folder, same_file


def as_markdown(
    summaries: Sequence[Summary], provenance: Provenance, *, extra_tables: Sequence[Table] = ()
) -> str:
    """Return all tables of every data set, with problems and notes, as Markdown."""
    parts = [
        "# Evaluation\n",
        f"```\n{provenance.command}\n```\n",
        _bullets(provenance.lines),
    ]
    for summary in summaries:
        for table in all_tables(summary):
            parts += [f"## {table.title}\n", table.markdown()]
        for title, lines in (("not scored", summary.problems), ("notes", summary.notes)):
            if lines:
                parts += [f"## {summary.data}: {title}\n", _bullets(lines)]
    if summaries:
        parts += ["## How to read this\n", _bullets(legend(summaries))]
    for table in extra_tables:
        parts += [f"## {table.title}\n", table.markdown()]
    return "\n".join(parts)


def as_json(
    summaries: Sequence[Summary],
    evaluations: Sequence[Evaluation],
    provenance: Provenance,
    *,
    extra_tables: Sequence[Table] = (),
) -> str:
    """Return the contents of all tables and the scores of every picture as JSON.

    `null` stands for a number that is not finite: a picture whose `psnr` is null is identical to
    the clean one under that protocol. The extra tables are stored as printed.
    """
    data = [
        {
            **asdict(summary),
            "pictures": {
                row.name: {
                    result.sample: {
                        "mae": result.mae,
                        "niqe": result.niqe,
                        "scores": {name: asdict(score) for name, score in result.scores.items()},
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
        "tables": [asdict(table) for table in extra_tables],
    }
    return json.dumps(_finite(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return one line for each data set, candidate and picture.

    An infinite PSNR is written `inf`; missing figures are empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    protocols = (
        list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.protocols))
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
                cells = ["" if math.isnan(figure) else f"{figure:.6f}" for figure in figures]
                writer.writerow([evaluation.data, row.name, result.sample, *cells])
    return text.getvalue()


def check_paths(*paths: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Create the folders of reports, and reject unwritable paths before hours of measuring.

    Raises DataError.
    """
    seen: set[Path] = set()
    for path in filter(None, paths):
        if is_folder(path):
            raise DataError(f"{path}: is a folder; give a file in it")
        if is_picture(path):
            raise DataError(
                f"{path}: has the name of a picture; choose a name such as report{path.suffix}.md"
            )
        if any(same_file(path, input_path) for input_path in inputs):
            raise DataError(
                f"{path}: is an input and would be overwritten by a report; choose another name"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{path}: its folder cannot be created ({error.strerror}); write to another folder"
            ) from error
        if path.resolve() in seen:
            raise DataError(f"{path}: is given for two reports; choose a file for each")
        seen.add(path.resolve())
        check_writable(path)


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _finite(value: Any) -> Any:
    """Replace infinity and NaN, which JSON lacks, by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
