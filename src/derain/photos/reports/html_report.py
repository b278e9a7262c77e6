"""HTML report of a batch: one page with a slider between before and after for each picture.

The page needs no other file: its style and its pictures are part of it.
"""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from derain.errors import PictureError
from derain.photos.jobs import Job
from derain.photos.preview import Preview, make_preview_of_files
from derain.photos.reports.report_file import ReportFile
from derain.photos.summary import Summary
from derain.photos.worker import PhotoResult

MAX_PICTURES = 300
"""Browsers struggle with the more than 100 MB that a longer page would have."""
FAILURE = '<section class="failed"><h2>{name}</h2><p>{error}</p></section>\n'
WITHOUT_PICTURE = "<section><h2>{name}</h2><p>{caption}</p></section>\n"


class HtmlReport:
    """A page that is written during the batch; a context manager around it.

    The file appears, complete, when the block ends, even through an error or Ctrl-C.
    """

    def __init__(self, path: Path, header: str, *, is_compared: bool = False) -> None:
        """`header` is a line of plain text below the title: versions, model, time.

        `is_compared`: results show rainy and restored side by side. Raises DerainError.
        """
        self._file = ReportFile(path)
        self._header = header
        self._is_compared = is_compared
        self._existing: list[Job] = []
        self._shown = 0
        self._hidden = 0
        self._summary: Summary | None = None
        self._picture = _resource("html_report_picture.html")

    def __enter__(self) -> HtmlReport:
        head = _resource("html_report_head.html")
        style = _resource("html_report.css")
        self._file.write(head.format(style=style, header=html.escape(self._header)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        hidden = f"<p>{self._hidden} more are not shown.</p>\n" if self._hidden else ""
        summary = "" if self._summary is None else f"<p>{self._summary}</p>\n"
        self._file.write(f"{hidden}{summary}</body>\n</html>\n")
        self._file.commit()

    def add_result(self, result: PhotoResult) -> None:
        """Show one picture, or why it failed. Not thread-safe."""
        if result.error is not None:
            self.add_failure(result.source, result.error)
        elif self._has_room():
            seconds = sum(result.seconds.values())
            caption = f"{result.width} x {result.height} pixels, {seconds:.1f} s"
            self._show(result.source, caption, result.preview)

    def add_failure(self, source: Path, error: str) -> None:
        """Show the problem of an input."""
        if self._has_room():
            self._file.write(
                FAILURE.format(name=html.escape(str(source)), error=html.escape(error))
            )

    def add_existing(self, job: Job) -> None:
        """Show an existing result, as it is on disk, after the new ones."""
        self._existing.append(job)

    def discard(self) -> None:
        """Remove the file."""
        self._file.discard()

    def finish(self, summary: Summary) -> None:
        """Show the existing results, without pictures after Ctrl-C, and set the last line."""
        self._summary = summary
        for job in self._existing:
            if self._has_room():
                self._show_existing(job, with_picture=not summary.was_interrupted)

    def _has_room(self) -> bool:
        if self._shown == MAX_PICTURES:
            self._hidden += 1
            return False
        self._shown += 1
        return True

    def _show_existing(self, job: Job, *, with_picture: bool) -> None:
        caption, preview = "existing result, not restored again", None
        if with_picture:
            try:
                preview = make_preview_of_files(
                    job.source, job.target, is_compared=self._is_compared
                )
            except PictureError as error:
                caption += f"; cannot be shown: {error}"
        self._show(job.source, caption, preview)

    def _show(self, source: Path, caption: str, preview: Preview | None) -> None:
        name, caption = html.escape(str(source)), html.escape(caption)
        if preview is None:
            self._file.write(WITHOUT_PICTURE.format(name=name, caption=caption))
            return
        self._file.write(
            self._picture.format(
                name=name,
                caption=caption,
                width=preview.width,
                height=preview.height,
                rainy=_data_url(preview.rainy),
                restored=_data_url(preview.restored),
            )
        )


def _resource(name: str) -> str:
    return files("derain.photos.reports").joinpath(name).read_text(encoding="utf-8")


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
