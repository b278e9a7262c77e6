"""`derain serve`: what it makes of its options."""

from __future__ import annotations

import pytest

from derain.cli.main import main

pytest.importorskip("fastapi")
from derain.serve import server


@pytest.fixture
def served(monkeypatch):
    """The settings with which servers would have run."""
    served = []
    monkeypatch.setattr(server, "run", lambda settings, **_: served.append(settings))
    return served


@pytest.mark.parametrize("token", ["secret\n", " secret\r\n"])
def test_token_loses_the_line_break_of_its_file(served, monkeypatch, token):
    monkeypatch.setenv("DERAIN_TOKEN", token)
    assert main(["serve", "--no-page"]) == 0
    assert served[0].token == "secret"


@pytest.mark.parametrize("token", ["", "\n"])
def test_empty_token_is_rejected(served, token, capsys):
    assert main(["serve", "--token", token]) == 1
    assert "--token: is empty; set DERAIN_TOKEN" in capsys.readouterr().err
    assert served == []
