"""Exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of `derain`."""

    SUCCESS = 0
    FAILURE = 1
    """Something failed; stderr says what."""
    USAGE = 2
    """The command line is not valid."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, as shells report it."""

    @classmethod
    def of_run(cls, *, has_failures: bool, is_interrupted: bool) -> ExitCode:
        """Return the code of a run over several inputs; an interruption outranks failures."""
        if is_interrupted:
            return cls.INTERRUPTED
        return cls.FAILURE if has_failures else cls.SUCCESS
