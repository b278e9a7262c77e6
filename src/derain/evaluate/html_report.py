"""A self-contained HTML page: the tables, and the worst and best pictures of each candidate."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from derain.evaluate.experiments import Experiment
from derain.evaluate.metrics import Image
from derain.evaluate.protocols import eight_bit
from derain.evaluate.provenance import Provenance
from derain.evaluate.scoring import UNTOUCHED, Evaluation, Result
from derain.evaluate.summary import Summary
from derain.evaluate.tables import (
    Table,
    all_tables,
    format_number,
    format_psnr,
    format_ssim,
    legend,
)

GALLERY_SIZE = 3
"""Number of worst and of best pictures of each candidate."""

MAX_PICTURE_PX = 960
"""Longest side of a picture on the page; larger ones are reduced."""

ERROR_LEVELS = (8, 16, 32, 64, 128)
"""Errors in levels of 255 that may be drawn white: the same one on all pictures of a data set."""


@dataclass(frozen=True)
class GalleryEntry:
    """A picture on the page: one candidate's output for one sample."""

    candidate: str
    place: str
    """`worst` or `best`."""
    result: Result
    rainy: Image | None
    restored: Image
    clean: Image | None
    untouched: Result | None
    """Result of the rainy picture."""


def select_gallery(
    experiment: Experiment, evaluation: Evaluation, *, size: int = GALLERY_SIZE
) -> Iterator[GalleryEntry]:
    """Yield the worst and best pictures of each candidate, restored again.

    They are ranked by PSNR under the first protocol, photos by NIQE.
    """
    samples = {sample.name: sample for sample in experiment.samples}
    protocol = next(iter(evaluation.protocols), None)
    untouched = {
        result.sample: result
        for row in evaluation.rows
        if row.name == UNTOUCHED
        for result in row.results
    }
    for row in evaluation.rows:
        if row.name == UNTOUCHED:
            continue
        ranked = sorted(
            row.results,
            key=lambda result: result.scores[protocol].psnr if protocol else -result.niqe,
        )
        worst = ranked[: min(size, (len(ranked) + 1) // 2)]
        best = ranked[len(worst) :][::-1][:size]
        for place, result in [
            *(("worst", result) for result in worst),
            *(("best", result) for result in best),
        ]:
            sample = samples[result.sample]
            rainy, clean = sample.load()
            restored = experiment.candidates[row.name](sample, rainy)
            if restored is not None:
                yield GalleryEntry(
                    row.name, place, result, rainy, restored, clean, untouched.get(result.sample)
                )


def render_page(
    galleries: Iterable[tuple[Summary, Iterable[GalleryEntry]]],
    provenance: Provenance,
    *,
    extra_tables: Sequence[Table] = (),
) -> str:
    """Return the page as HTML without scripts or references to other files.

    Entries are consumed one by one, so that the pictures of only one are in memory at a time.
    """
    summaries = []
    body = [
        "<h1>Evaluation</h1>",
        f"<pre>{html.escape(provenance.command)}</pre>",
        f"<p>{'<br>'.join(map(html.escape, provenance.lines))}</p>",
    ]
    for summary, entries in galleries:
        summaries.append(summary)
        tables = all_tables(summary)
        body += [_table(tables[0], level=2), *_lines("Not scored", summary.problems)]
        body += [
            f"<details><summary>{html.escape(table.title)}</summary>"
            f"{_table(table, level=3)}</details>"
            for table in tables[1:]
        ]
        body += [*_lines("Notes", summary.notes), *_gallery(summary, entries)]
    body += [
        *_lines("How to read this", legend(summaries)),
        *(_table(table, level=2) for table in extra_tables),
    ]
    style = files("derain.evaluate").joinpath("html_report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>derain: evaluation</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def absolute_error(restored: Image, clean: Image) -> npt.NDArray[np.float64]:
    """Return (H, W): the absolute error as saved, in levels of 255, mean of the channels."""
    return np.asarray(np.abs(eight_bit(restored).astype(np.int16) - eight_bit(clean)).mean(axis=2))


def error_map(error: npt.NDArray[np.floating], *, white: int) -> npt.NDArray[np.uint8]:
    """Colour an error, (H, W) -> (H, W, 3): black (0), red, yellow, white (`white` and more)."""
    return eight_bit(np.clip(3 * error[..., None] / white - np.arange(3), 0, 1))


def white_level(high_errors: Iterable[float]) -> int:
    """Choose the level to draw white, given the 99 % quantile of the error of each picture."""
    highest = max(high_errors, default=0.0)
    return next((level for level in ERROR_LEVELS if level >= highest), ERROR_LEVELS[-1])


@dataclass(frozen=True)
class _RenderedEntry:
    """An entry as JPEGs, and its error at their size; the colours depend on all entries."""

    head: str
    figures: list[str]
    error: npt.NDArray[np.float32] | None
    high_error: float
    alt: str


def _render(entry: GalleryEntry) -> _RenderedEntry:
    sample = entry.result.sample
    title = html.escape(f"{entry.candidate}, {entry.place}: {sample}")
    scores = f"<p>{html.escape(_scores(entry.result))}</p>" if entry.result.scores else ""
    captioned = (
        (entry.rainy, f"rainy{_caption_scores(entry.untouched)}"),
        (entry.restored, f"restored{_caption_scores(entry.result)}"),
        (entry.clean, "clean"),
    )
    error = None if entry.clean is None else absolute_error(entry.restored, entry.clean)
    return _RenderedEntry(
        f"<section><h3>{title}</h3>{scores}",
        [
            _figure(image, caption, alt=f"{caption}: {sample}")
            for image, caption in captioned
            if image is not None
        ],
        None
        if error is None
        else np.asarray(_reduce(PillowImage.fromarray(error.astype(np.float32)))),
        0.0 if error is None else float(np.quantile(error, 0.99)),
        f"error: {sample}",
    )


def _gallery(summary: Summary, entries: Iterable[GalleryEntry]) -> Iterator[str]:
    rendered = [_render(entry) for entry in entries]
    if not rendered:
        return
    by = f"PSNR, protocol <code>{summary.protocols[0]}</code>" if summary.protocols else "NIQE"
    yield f"<h2>{html.escape(summary.data)}: worst and best pictures by {by}</h2>"
    yield (
        f"<p>Pictures on this page are JPEGs of at most {MAX_PICTURE_PX} pixels; "
        "the figures were computed on the originals."
    )
    white = white_level(entry.high_error for entry in rendered)
    if summary.protocols:
        yield (
            " Absolute error, mean of the channels, in levels of 255: "
            f'<span class="scale">0 <span></span> {white} and more</span>'
        )
    yield "</p>"
    for entry in rendered:
        error = (
            []
            if entry.error is None
            else [_figure(error_map(entry.error, white=white), "error", alt=entry.alt)]
        )
        yield "\n".join([entry.head, "<div>", *entry.figures, *error, "</div></section>"])


def _scores(result: Result) -> str:
    """Return all figures of a picture on one line."""
    scores = [
        f"{name} {format_psnr(score.psnr)} / {format_ssim(score.ssim)}"
        for name, score in result.scores.items()
    ]
    mae, niqe = format_number(result.mae, 2), format_number(result.niqe, 2)
    return "; ".join([*scores, f"MAE {mae}", f"NIQE {niqe}"])


def _caption_scores(result: Result | None) -> str:
    """Return the figures by which pictures are ranked, for a caption."""
    if result is None:
        return ""
    score = next(iter(result.scores.values()), None)
    if score is None:
        return f", NIQE {format_number(result.niqe, 2)}"
    unit = "" if score.psnr == math.inf else " dB"
    return f", {format_psnr(score.psnr)}{unit} / {format_ssim(score.ssim)}"


def _figure(image: Image, caption: str, *, alt: str) -> str:
    picture = _reduce(PillowImage.fromarray(np.ascontiguousarray(eight_bit(image))))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=90, subsampling=0)
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
    size = f'width="{picture.width}" height="{picture.height}"'
    return (
        f'<figure><img src="{source}" {size} alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _reduce(picture: PillowImage.Image) -> PillowImage.Image:
    picture.thumbnail((MAX_PICTURE_PX, MAX_PICTURE_PX))
    return picture


def _table(table: Table, *, level: int) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<h{level}>{_text(table.title)}</h{level}>\n<div class="table"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n"
        f"<tbody>{rows}</tbody></table></div>\n" + _list(table.notes)
    )


def _lines(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"<h3>{title}</h3>{_list(lines)}"


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _text(text: str) -> str:
    """Return text as HTML; backticks mark code, as in Markdown."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")
