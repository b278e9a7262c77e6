"""Running the application with uvicorn: one address printed, and an orderly end."""

from __future__ import annotations

import errno
import logging
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

from derain.errors import DerainError
from derain.files.atomic import STALE_AFTER_S
from derain.serve.app import create_app
from derain.serve.photo_routes import FOLDER_PREFIX
from derain.serve.settings import Settings

PORT_ERRORS = {errno.EADDRINUSE, errno.EACCES}
"""A port that is in use, or that only the system may give: below 1024, or reserved on Windows."""


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. The running photo is finished, waiting ones get 503.

    Raises DerainError for an address that cannot be bound.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    _remove_stale_folders()
    listening = _bind(host, port)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        access_log=False,  # it would hold query strings; the application logs routes alone
        log_config=None,
        server_header=False,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Reject what waits as soon as the signal comes."""
            app.state.pool.drain()
            super().handle_exit(sig, frame)

    address, bound = listening.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    print(f"derain serves http://{shown}:{bound} (documentation: /docs)", flush=True)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again after an orderly end
        Server(config).run(sockets=[listening])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there, two servers would share the port, and its requests
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # the address that is printed takes connections from then on
    except OSError as error:
        listening.close()
        remedy = "choose another --port" if error.errno in PORT_ERRORS else "check --host"
        raise DerainError(f"{host}:{port}: cannot be bound ({error.strerror}); {remedy}") from error
    return listening


def _remove_stale_folders() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        try:
            is_stale = time.time() - folder.stat().st_mtime > STALE_AFTER_S
        except OSError:
            continue
        if is_stale:
            shutil.rmtree(folder, ignore_errors=True)
