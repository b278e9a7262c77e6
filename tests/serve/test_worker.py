"""What the worker process reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from derain.serve.messages import Task
from derain.serve.worker import Worker


class Connection:
    """Keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, event):
        self.sent.append(event)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("'NoneType' object is None", "'NoneType' object is None"),
        ("/a/photo.1: is corrupt", "photo: is corrupt"),
    ],
)
def test_message_names_the_photo_and_is_otherwise_kept(text, told):
    connection = Connection()
    task = Task(Path("/a/photo.1"), Path("/a/restored.png"), None, "fast", 1.0)
    Worker(connection, {})._fail(task, text, is_fault_of_input=False)
    assert connection.sent[0].detail == told
