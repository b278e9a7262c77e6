"""`derain serve`: what it makes of its options."""

from __future__ import annotations

import errno
import socket

import pytest

from derain.cli.main import main
from derain.errors import DerainError

pytest.importorskip("fastapi")
from derain.serve import server


class RecordingSocket:
    """A socket that keeps its options; `bind` raises the error of this number, if it has one."""

    def __init__(self, number=0):
        self.options, self.number = [], number

    def setsockopt(self, _, option, value):
        self.options.append((option, value))

    def bind(self, _):
        if self.number:
            raise OSError(self.number, "refused")

    def listen(self):
        pass

    def close(self):
        pass


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


@pytest.mark.parametrize(
    ("platform", "options"),
    [("linux", [(socket.SO_REUSEADDR, 1)]), ("darwin", [(socket.SO_REUSEADDR, 1)]), ("win32", [])],
)
def test_port_is_never_shared_with_another_server(platform, options, monkeypatch):
    """On Windows, the option of a quick restart lets a second program bind the port, too."""
    listening = RecordingSocket()
    monkeypatch.setattr(server.socket, "socket", lambda *_: listening)
    monkeypatch.setattr("sys.platform", platform)
    server._bind("127.0.0.1", 8000)
    assert listening.options == options


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EADDRINUSE, "choose another --port"),
        (errno.EACCES, "choose another --port"),
        (errno.EADDRNOTAVAIL, "check --host"),
    ],
)
def test_address_that_cannot_be_bound_has_a_remedy(number, remedy, monkeypatch):
    monkeypatch.setattr(server.socket, "socket", lambda *_: RecordingSocket(number))
    with pytest.raises(DerainError, match=rf"127.0.0.1:80: cannot be bound .*; {remedy}$"):
        server._bind("127.0.0.1", 80)
