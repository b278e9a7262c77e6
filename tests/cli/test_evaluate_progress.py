"""Progress of `derain evaluate` on stderr."""

import pytest
from rich.console import Console

from derain.cli import evaluate_progress
from derain.cli.evaluate_progress import EvaluationProgress, format_duration


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def score_pictures(count, seconds_each):
    clock = Clock()
    progress = EvaluationProgress(count, clock=clock)
    with progress.bar:
        for _ in range(count):
            clock.now += seconds_each
            progress.advance()


def test_a_line_gives_count_and_time_left(capsys):
    score_pictures(100, 4)
    assert "8 of 100 pictures scored, 6 min left" in capsys.readouterr().err.splitlines()


def test_lines_are_30_seconds_apart(capsys):
    score_pictures(100, 4)
    counts = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert counts[:3] == ["8", "16", "24"]


def test_short_runs_print_nothing(capsys):
    score_pictures(7, 4)
    assert capsys.readouterr().err == ""


def test_progress_is_not_on_stdout(capsys):
    score_pictures(100, 4)
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(
        evaluate_progress,
        "plain_console",
        lambda *, stderr: Console(stderr=stderr, force_terminal=True, width=80),
    )
    score_pictures(40, 4)
    err = capsys.readouterr().err
    assert "40/40" in err
    assert "pictures scored" not in err


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (90, "2 min"), (3599, "1 h 0 min"), (11_100, "3 h 5 min")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text
