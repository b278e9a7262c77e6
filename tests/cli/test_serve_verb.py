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


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://example.org", "https://example.org"),
        ("https://Example.org/", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("chrome-extension://abc", "chrome-extension://abc"),
        ("null", "null"),
    ],
)
def test_allowed_origin_is_one_as_browsers_send_it(served, given, origin):
    assert main(["serve", "--allow-origin", given]) == 0
    assert served[0].allow_origin == origin


@pytest.mark.parametrize("given", ["*", "example.org", "https://example.org/page", "https://["])
def test_anything_but_an_origin_is_rejected(served, given, capsys):
    assert main(["serve", "--allow-origin", given]) == 1
    assert f"--allow-origin {given}: is not an origin; give" in capsys.readouterr().err
    assert served == []
