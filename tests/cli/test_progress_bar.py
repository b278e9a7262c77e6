"""The progress bar of photos and clips."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from derain.cli.progress_bar import ProgressBar


def shown(*, total: float | None, amounts: list[float], seconds: float = 0.5, **options) -> str:
    """Return everything that a bar prints while amounts arrive, `seconds` apart."""
    text, now = io.StringIO(), [0.0]
    console = Console(file=text, force_terminal=options.get("is_terminal", True), width=100)
    console.get_time = lambda: now[0]
    bar = ProgressBar("frames", console=console, is_quiet=options.get("is_quiet", False))
    bar.restart(total)
    with bar:
        for amount in amounts:
            now[0] += seconds
            bar.advance(amount)
    return text.getvalue()


def test_count():
    assert " 2/10 " in shown(total=10, amounts=[1, 1])


def test_count_of_an_unknown_total():
    assert " 2/? " in shown(total=None, amounts=[1, 1])


def test_shares_of_a_picture_add_up():
    assert " 1/1 " in shown(total=1, amounts=[0.1] * 10)


@pytest.mark.parametrize(("seconds", "rate"), [(0.5, "2.0 frames/s"), (4, "15.0 frames/min")])
def test_rate(seconds, rate):
    assert rate in shown(total=10, amounts=[1, 1, 1], seconds=seconds)


def test_restart_sets_the_count_to_zero():
    text = io.StringIO()
    bar = ProgressBar("frames", console=Console(file=text, force_terminal=True), is_quiet=False)
    bar.restart(5)
    bar.advance()
    bar.restart(7)
    with bar:
        pass
    assert "0/7" in text.getvalue()
    assert "/5" not in text.getvalue()


@pytest.mark.parametrize("options", [{"is_quiet": True}, {"is_terminal": False}])
def test_bar_is_hidden(options):
    assert "/10" not in shown(total=10, amounts=[1], **options)
