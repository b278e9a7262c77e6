"""One page that opens from the disk: the tables, and the worst and best pictures beside what they should look like."""

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
from derain.evaluate.tables import Table, decibels, legend, number, similarity, tables_of

SHOWN = 3
"Pictures at either end of the ranking of a candidate."

SHOWN_PX = 960
"The longest side of a picture on the page; larger ones are reduced, and the page says so."

ERROR_LEVELS = (8, 16, 32, 64, 128)
"The errors, in levels of 255, one of which is drawn white: the same on all pictures of a data set."


@dataclass(frozen=True)
class GalleryEntry:
    """A picture of the page: what one candidate made of one sample."""

    candidate: str
    place: str
    "worst or best"
    result: Result
    rainy: Image | None
    restored: Image
    clean: Image | None
    untouched: Result | None
    "What the rainy picture itself reached."


def select_gallery(
    experiment: Experiment, evaluation: Evaluation, *, shown: int = SHOWN
) -> Iterator[GalleryEntry]:
    """For each candidate its worst and best pictures, by PSNR under the first protocol, or else by NIQE.

    They are restored once more.
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
        worst = ranked[: min(shown, (len(ranked) + 1) // 2)]
        best = ranked[len(worst) :][::-1][:shown]
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


def page(
    shows: Iterable[tuple[Summary, Iterable[GalleryEntry]]],
    provenance: Provenance,
    *,
    further: Sequence[Table] = (),
) -> str:
    """The whole page as HTML with everything inside it: no script, no file beside it, nothing from the network.

    Exhibits are taken one by one: the pictures of one are in memory at a time, and JPEGs of the rest.
    """
    summaries = []
    body = [
        "<h1>Evaluation</h1>",
        f"<pre>{html.escape(provenance.command)}</pre>",
        f"<p>{'<br>'.join(map(html.escape, provenance.lines))}</p>",
    ]
    for summary, shown in shows:
        summaries.append(summary)
        tables = list(tables_of(summary))
        body += [_table(tables[0], level=2), *_lines("Not scored", summary.problems)]
        body += [
            f"<details><summary>{html.escape(table.title)}</summary>{_table(table, level=3)}</details>"
            for table in tables[1:]
        ]
        body += [*_lines("Notes", summary.notes), *_gallery(summary, shown)]
    body += [
        *_lines("How to read this", legend(summaries)),
        *(_table(table, level=2) for table in further),
    ]
    style = files("derain.evaluate").joinpath("html_report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>derain: evaluation</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def error_of(restored: Image, clean: Image) -> npt.NDArray[np.float64]:
    """(H, W): the absolute error of the saved pictures in levels of 255, the mean of the channels."""
    return np.asarray(np.abs(eight_bit(restored).astype(np.int16) - eight_bit(clean)).mean(axis=2))


def error_map(error: npt.NDArray[np.floating], *, white: int) -> npt.NDArray[np.uint8]:
    """(H, W) -> (H, W, 3): from black, which is no error, through red and yellow to white: `white` levels of 255 and more."""
    return eight_bit(np.clip(3 * error[..., None] / white - np.arange(3), 0, 1))


def white_level(high_errors: Iterable[float]) -> int:
    """The level at which hardly any error is cut off, given that of each picture which one pixel of a hundred exceeds."""
    worst = max(high_errors, default=0.0)
    return next((level for level in ERROR_LEVELS if level >= worst), ERROR_LEVELS[-1])


@dataclass(frozen=True)
class _RenderedEntry:
    """What the page keeps of an exhibit: JPEGs, and the error at their size, whose colours follow from all exhibits."""

    head: str
    figures: list[str]
    error: npt.NDArray[np.float32] | None
    high_error: float
    alt: str


def _drawn(exhibit: GalleryEntry) -> _RenderedEntry:
    sample = exhibit.result.sample
    scores = f"<p>{html.escape(_scores(exhibit.result))}</p>" if exhibit.result.scores else ""
    captioned = (
        (exhibit.rainy, f"rainy{_short(exhibit.untouched)}"),
        (exhibit.restored, f"restored{_short(exhibit.result)}"),
        (exhibit.clean, "clean"),
    )
    error = None if exhibit.clean is None else error_of(exhibit.restored, exhibit.clean)
    return _RenderedEntry(
        f"<section><h3>{html.escape(f'{exhibit.candidate}, {exhibit.place}: {sample}')}</h3>{scores}",
        [
            _figure(image, caption, alt=f"{caption}: {sample}")
            for image, caption in captioned
            if image is not None
        ],
        None
        if error is None
        else np.asarray(_reduced(PillowImage.fromarray(error.astype(np.float32)))),
        0.0 if error is None else float(np.quantile(error, 0.99)),
        f"error: {sample}",
    )


def _gallery(summary: Summary, shown: Iterable[GalleryEntry]) -> Iterator[str]:
    drawn = [_drawn(exhibit) for exhibit in shown]
    if not drawn:
        return
    by = f"PSNR, protocol <code>{summary.protocols[0]}</code>" if summary.protocols else "NIQE"
    yield f"<h2>{html.escape(summary.data)}: worst and best pictures by {by}</h2>"
    yield f"<p>Pictures are JPEG on this page, and at most {SHOWN_PX} pixels long: the figures are of the originals."
    white = white_level(one.high_error for one in drawn)
    if summary.protocols:
        yield (
            " Error: the absolute one, mean of the channels, in levels of 255: "
            f'<span class="scale">0 <span></span> {white} and more</span>'
        )
    yield "</p>"
    for one in drawn:
        error = (
            []
            if one.error is None
            else [_figure(error_map(one.error, white=white), "error", alt=one.alt)]
        )
        yield "\n".join([one.head, "<div>", *one.figures, *error, "</div></section>"])


def _scores(result: Result) -> str:
    """Every figure of a picture on one line."""
    scores = [
        f"{name} {decibels(score.psnr)} / {similarity(score.ssim)}"
        for name, score in result.scores.items()
    ]
    return "; ".join(
        [
            *scores,
            *(
                f"{name} {number(figure, 2)}"
                for name, figure in (("MAE", result.mae), ("NIQE", result.niqe))
            ),
        ]
    )


def _short(result: Result | None) -> str:
    """For a caption: the figures by which pictures are ranked, so that the gain is seen beside the picture."""
    if result is None:
        return ""
    score = next(iter(result.scores.values()), None)
    if score is None:
        return f", NIQE {number(result.niqe, 2)}"
    return f", {decibels(score.psnr)}{'' if score.psnr == math.inf else ' dB'} / {similarity(score.ssim)}"


def _figure(image: Image, caption: str, *, alt: str) -> str:
    picture = _reduced(PillowImage.fromarray(np.ascontiguousarray(eight_bit(image))))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=90, subsampling=0)
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<figure><img src="{source}" {size} alt="{html.escape(alt)}"><figcaption>{html.escape(caption)}</figcaption></figure>'


def _reduced(picture: PillowImage.Image) -> PillowImage.Image:
    picture.thumbnail((SHOWN_PX, SHOWN_PX))
    return picture


def _table(table: Table, *, level: int) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in table.rows
    )
    notes = "".join(f"<li>{_text(note)}</li>" for note in table.notes)
    return (
        f'<h{level}>{_text(table.title)}</h{level}>\n<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>\n" + (f"<ul>{notes}</ul>" if notes else "")
    )


def _lines(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield (
            f"<h3>{title}</h3><ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"
        )


def _text(text: str) -> str:
    """Text as HTML; `names` in backticks are code, as in Markdown."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")
