"""Output on stderr. Each message is one line, whatever characters a file name contains."""

from __future__ import annotations

import unicodedata

from rich import console as rich_console

ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that are escaped: control characters, surrogates, line and paragraph ends."""


def plain_console(*, stderr: bool = False) -> rich_console.Console:
    """Return a console that prints text verbatim: no colours for numbers, no wrapping, no emoji."""
    return rich_console.Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


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
