"""Lines on stderr, each of them one line whatever a file is called."""

from __future__ import annotations

import unicodedata

from rich import console as rich_console

BREAKING = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of controls, halves of signs, and ends of lines and paragraphs."""


def plain_console(*, stderr: bool = False) -> rich_console.Console:
    """Prints texts as they are: no colours for numbers, no line broken, no `:100:` in a name made a sign."""
    return rich_console.Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


class Console:
    """Says what a person sees while something runs."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.console = plain_console(stderr=True)

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.is_quiet:
            self.console.print(one_line(text), markup=False)

    def complain(self, text: str) -> None:
        """Print a problem, always."""
        self.console.print(f"derain: {one_line(text)}", markup=False)


def one_line(text: str) -> str:
    """The text with a line break, an escape sequence or the like, which names of files may hold, as `\\n` or `\\x1b`."""
    return "".join(
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in BREAKING else sign
        for sign in text
    )
