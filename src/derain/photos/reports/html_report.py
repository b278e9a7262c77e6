"""One page that opens from the disk: each picture before and after, under a line that is moved with the mouse or the keys."""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from derain.errors import PictureError
from derain.photos.jobs import Job
from derain.photos.preview import Preview, preview_of_files
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

MOST_PICTURES = 300
"""More would make a page of more than 100 MB, which browsers open badly."""
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>derain: before and after</title>
<style>
{style}</style>
</head>
<body>
<h1>Before and after</h1>
<p>{about}</p>
<p>Left of the line is the rainy picture, right of it the restored one; the line is moved with the mouse or the arrow keys.</p>
"""
PICTURE = """<section>
<h2>{name}</h2>
<p>{facts}</p>
<div class="pair" style="--share: 50%; aspect-ratio: {width} / {height}; max-width: {width}px">
<img src="{restored}" alt="restored: {name}" width="{width}" height="{height}">
<img src="{rainy}" alt="rainy: {name}" width="{width}" height="{height}" class="before">
<input type="range" min="0" max="100" value="50" step="0.5" aria-label="share of the rainy picture in {name}"
 oninput="this.parentNode.style.setProperty('--share', this.value + '%')">
</div>
</section>
"""
FAILURE = '<section class="failed"><h2>{name}</h2><p>{error}</p></section>\n'
UNSEEN = "<section><h2>{name}</h2><p>{facts}</p></section>\n"
ALREADY_THERE = "already there, not restored again"


class HtmlReport:
    """A context manager around a batch; the page is written as records come, and appears under its name at the end."""

    def __init__(self, path: Path, about: str) -> None:
        self._file = ReportFile(path)
        self._about = about
        self._shown = self._left_out = 0
        self._summary: Summary | None = None

    def __enter__(self) -> HtmlReport:
        style = (
            files("derain.photos.reports").joinpath("html_report.css").read_text(encoding="utf-8")
        )
        self._file.write(HEAD.format(style=style, about=html.escape(self._about)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        more = f"<p>{self._left_out} more are not shown.</p>\n" if self._left_out else ""
        end = "" if self._summary is None else f"<p>{self._summary}</p>\n"
        self._file.write(f"{more}{end}</body>\n</html>\n")
        self._file.close()

    def note(self, record: PhotoResult) -> None:
        """Show one picture, or why there is none; by one thread at a time."""
        if not self._has_room():
            return
        if record.error is not None:
            self._file.write(
                FAILURE.format(
                    name=html.escape(str(record.source)), error=html.escape(record.error)
                )
            )
            return
        seconds = sum(record.seconds.values())
        self._show(
            record.source,
            f"{record.width} x {record.height} pixels, {seconds:.1f} s",
            record.preview,
        )

    def refuse(self, source: Path, error: str) -> None:
        """Tell of an input that was not begun."""
        self.note(PhotoResult(source, source, error=error))

    def skip(self, errand: Job, *, looks: bool, is_compared: bool) -> None:
        """Show a picture whose result is there, as it is on the disk, or name it only, if not `looks`."""
        if not self._has_room():
            return
        facts, small = ALREADY_THERE, None
        try:
            small = (
                preview_of_files(errand.source, errand.target, is_compared=is_compared)
                if looks
                else None
            )
        except PictureError as error:
            facts += f"; not shown, because {error}"
        self._show(errand.source, facts, small)

    def abandon(self) -> None:
        """Give up: the file does not appear."""
        self._file.abandon()

    def close(self, summary: Summary) -> None:
        """Tell what the end says."""
        self._summary = summary

    def _has_room(self) -> bool:
        if self._shown == MOST_PICTURES:
            self._left_out += 1
            return False
        self._shown += 1
        return True

    def _show(self, source: Path, facts: str, small: Preview | None) -> None:
        name, facts = html.escape(str(source)), html.escape(facts)
        if small is None:
            self._file.write(UNSEEN.format(name=name, facts=facts))
            return
        self._file.write(
            PICTURE.format(
                name=name,
                facts=facts,
                width=small.width,
                height=small.height,
                rainy=_inside(small.rainy),
                restored=_inside(small.restored),
            )
        )


def _inside(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
