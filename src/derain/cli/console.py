"""Output on stderr and stdout. Each message is one line, whatever characters a file name contains.

A log that cannot be written does not stop the work; the exit code still reports the outcome. A
standard output that cannot be written ends the command.
"""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich import console as rich_console
from rich.measure import Measurement

from derain.cli.exit_codes import ExitCode
from derain.errors import DerainError
from derain.files.messages import explain_os_error

if TYPE_CHECKING:
    from rich.table import Table

ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that are escaped: control characters, surrogates, line and paragraph ends."""
MAX_TABLE_COLUMNS = 10_000
"""More than the width of any table."""


def plain_console(*, stderr: bool = False) -> rich_console.Console:
    """Return a console that prints text verbatim: no colours for numbers, no wrapping, no emoji.

    Text for a stderr that cannot be written is dropped.
    """
    return rich_console.Console(
        file=log_stream() if stderr else None, highlight=False, soft_wrap=True, emoji=False
    )


def print_table(table: Table, console: rich_console.Console) -> None:
    """Print a table with the `min_width` of each column, if necessary in lines beyond the width.

    A terminal wraps lines that are too long; rich would omit digits.
    """
    options = console.options.update(max_width=MAX_TABLE_COLUMNS)
    width = console.width
    console.width = max(width, Measurement.get(console, options, table).minimum)
    console.print(table, crop=False)
    console.width = width


def log_stream() -> TextIO:
    """Return stderr as a stream that never raises OSError."""
    # a program without a console has no stderr
    return cast(TextIO, _Stream(sys.stderr or io.StringIO()))


class _Stream:
    """A text stream that drops everything after its first error.

    The disk of the log is full, for example, or the program that reads it has ended.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_failed = False

    def write(self, text: str) -> int:
        """Write text, unless an earlier call failed."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless an earlier call failed."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, operation: Callable[[], object]) -> None:
        if self._has_failed:
            return
        try:
            operation()
        except OSError as error:
            self._has_failed = True
            self._discard_buffer()
            self._handle(error)

    def _handle(self, error: OSError) -> None:
        """Handle the first error, after which nothing is written."""

    def _discard_buffer(self) -> None:
        """Redirect the file to nowhere: text in its buffer would change the exit code to 120."""
        with suppress(OSError, io.UnsupportedOperation, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class ResultStream(_Stream):
    """Standard output, whose first error ends the command.

    Raises DerainError for an error of the disk, and SystemExit if the program that reads the output
    has ended, as `| head` does. Errors of data that is not text are reported where it is written.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._has_text = False

    def write(self, text: str) -> int:
        """Write text."""
        self._has_text = True
        return super().write(text)

    def _handle(self, error: OSError) -> None:
        if not self._has_text:
            return
        if isinstance(error, BrokenPipeError):
            raise SystemExit(int(ExitCode.FAILURE))
        raise DerainError(f"standard output: {explain_os_error(error)}") from error


class Console:
    """Messages to the user on stderr."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.console = plain_console(stderr=True)

    def info(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.is_quiet:
            self.console.print(one_line(text), markup=False)

    def error(self, text: str) -> None:
        """Print a problem, even if quiet."""
        self.console.print(f"derain: {one_line(text)}", markup=False)


def one_line(text: str) -> str:
    """Escape line breaks and control characters, which file names may contain."""
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in ESCAPED_CATEGORIES
        else char
        for char in text
    )
