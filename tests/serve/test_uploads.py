"""Receiving a photo: parts of a form, slow clients, full disks and the count of pixels."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures_in_memory import decode
from PIL import Image

pytest.importorskip("fastapi")
from starlette.requests import Request

from derain.serve import uploads
from derain.serve.interface import RESTORE_FIELDS
from derain.serve.problems import Problem
from derain.serve.settings import Settings


def part(name: str, data: bytes, filename: str | None = None) -> bytes:
    """Return a part of a form; a file if it has a name."""
    suffix = "" if filename is None else f'; filename="{filename}"'
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{suffix}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def post(client, *parts: bytes):
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    content = b"".join(parts) + b"--edge--\r\n"
    return client.post("/v1/restore", content=content, headers=headers)


def receive(folder: Path, body: bytes, *, kind: str = "image/png", stalls: bool, **settings):
    """Return the upload of a client that sends `body`, and perhaps never ends it."""
    chunks = [{"type": "http.request", "body": body, "more_body": stalls}]

    async def next_chunk():
        return chunks.pop() if chunks else await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    request = Request(scope, next_chunk)
    return asyncio.run(
        uploads.receive(request, folder, Settings(**settings), allowed=RESTORE_FIELDS)
    )


@pytest.mark.parametrize("name", ["photo", "mask"])
@pytest.mark.parametrize("text", [b"", b"picture.png"])
def test_text_is_not_a_file(client, photo, name, text):
    parts = [part("photo", photo, "photo")] if name == "mask" else []
    response = post(client, *parts, part(name, text))
    assert response.status_code == 422
    assert response.json()["detail"] == f"{name}: must be a file; send it as {name}=@FILE"


@pytest.mark.parametrize("name", ["strength", "model", "format"])
def test_file_is_not_a_field(client, photo, name):
    response = post(client, part("photo", photo, "photo"), part(name, b"1", "value.txt"))
    assert response.status_code == 422
    assert response.json()["detail"] == f"{name}: must not be a file; send it as {name}=VALUE"


@pytest.mark.parametrize("name", ["photo", "mask", "strength"])
def test_repeated_part_is_rejected(client, photo, name):
    repeated = part(name, b"1", None if name == "strength" else "file")
    response = post(client, part("photo", photo, "photo"), repeated, repeated)
    assert response.status_code == 422
    assert response.json()["detail"] == f"{name}: is in the form several times; send one"


def test_empty_file_input_sends_no_mask(client, photo):
    response = post(client, part("photo", photo, "photo.png"), part("mask", b"", ""))
    np.testing.assert_array_equal(decode(response.content), decode(photo) - 64)


def test_empty_file_input_sends_no_photo(client):
    response = post(client, part("photo", b"", ""))
    assert response.status_code == 400
    assert "no file named `photo`" in response.json()["detail"]


@pytest.fixture
def python_310(monkeypatch):
    """Let asyncio raise an exception of its own, as before Python 3.11."""

    class OwnTimeoutError(Exception):
        pass

    async def wait_for(awaitable, timeout):
        awaitable.close()
        raise OwnTimeoutError

    monkeypatch.setattr(asyncio, "TimeoutError", OwnTimeoutError)
    monkeypatch.setattr(asyncio, "wait_for", wait_for)


def test_slow_upload_is_408(tmp_path):
    with pytest.raises(Problem, match=r"the upload took more than 0\.01 s") as caught:
        receive(tmp_path, b"half", stalls=True, upload_s=0.01)
    assert caught.value.status == 408


def test_slow_upload_is_408_in_python_310(tmp_path, python_310):
    with pytest.raises(Problem, match=r"the upload took more than 60 s"):
        receive(tmp_path, b"half", stalls=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=edge"])
def test_full_disk_is_503(tmp_path, kind):
    (tmp_path / "photo").symlink_to("/dev/full")
    body = part("photo", bytes(2**20), "photo") + b"--edge--\r\n"
    with pytest.raises(Problem, match="temporary folder: the disk is full; free some") as caught:
        receive(tmp_path, body, kind=kind, stalls=False)
    assert caught.value.status == 503


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.full((height, width, 3), 128, np.uint8))


def save_mpo(path: Path) -> None:
    picture(400, 200).save(path, "MPO", save_all=True, append_images=[picture(400, 200)])


def save_heic(path: Path) -> None:
    heif = pytest.importorskip("pillow_heif").from_pillow(picture(400, 200))
    heif.add_from_pillow(picture(400, 200))
    heif.save(path)


@pytest.mark.parametrize(("save", "kind"), [(save_mpo, "JPEG"), (save_heic, "HEIC")])
def test_pixels_of_previews_do_not_count(tmp_path, save, kind):
    save(tmp_path / "photo")
    assert uploads.check_photo(tmp_path / "photo", Settings(max_megapixels=0.1)) == kind
