"""Receiving a photo: its bytes and pixels are counted before anything is decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from derain.errors import MissingExtraError, PictureError
from derain.serve.problems import Problem, disk_problem
from derain.serve.settings import Settings

CHUNK_BYTES = 1 << 20
MAX_FIELDS = 8
"""Fields and files of a form that are read; a better message than that of the parser follows."""
FILES = ("photo", "mask")
"""Parts of a form that are files; all others are fields."""


@dataclass(frozen=True)
class Upload:
    """A photo in the request's own folder, and the form's fields."""

    path: Path
    fields: dict[str, str]
    mask: Path | None = None


async def receive(
    request: Request, folder: Path, settings: Settings, *, allowed: Collection[str]
) -> Upload:
    """Write the body, or the files of a multipart form, into `folder`.

    `allowed` has the names of a form's files and fields. Raises Problem: 400 for a malformed form,
    408 for a slow client, 413 for too many bytes, 422 for a part that is unknown, repeated or
    of the wrong kind, 503 for a full disk.
    """
    receiving = _receive(request, folder, settings, allowed)
    try:
        return await asyncio.wait_for(receiving, settings.upload_s)
    except asyncio.TimeoutError:  # the builtin one, an OSError, from Python 3.11 on
        text = f"the upload took more than {settings.upload_s:g} s; send a smaller photo"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, text, headers={"Connection": "close"}) from None
    except OSError as error:
        raise disk_problem(error) from error


async def _receive(
    request: Request, folder: Path, settings: Settings, allowed: Collection[str]
) -> Upload:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.max_upload_bytes:
        raise _too_large(settings)
    path = folder / "photo"
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        with path.open("wb") as file:
            async for chunk in _limited(request, settings):
                file.write(chunk)
        if not path.stat().st_size:
            raise Problem(HTTPStatus.BAD_REQUEST, "the body is empty; send a photo")
        return Upload(path, {})
    parser = MultiPartParser(
        request.headers,
        _limited(request, settings),
        max_files=MAX_FIELDS,
        max_fields=MAX_FIELDS,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"malformed form: {error.message}") from error
    except (ValueError, KeyError) as error:  # of the parser library, for lying headers
        raise Problem(HTTPStatus.BAD_REQUEST, f"malformed form: {error}") from error
    try:
        sent, fields = _sort(form, allowed)
        for name, part in sent.items():
            await _save(part, folder / name)
        return Upload(path, fields, folder / "mask" if "mask" in sent else None)
    finally:
        await form.close()


def _sort(form: FormData, allowed: Collection[str]) -> tuple[dict[str, UploadFile], dict[str, str]]:
    """Return the files and the fields of a form. Raises Problem (400, 422)."""
    parts = [(name, part) for name, part in form.multi_items() if not _is_left_empty(part)]
    names = [name for name, _ in parts]
    if "photo" not in names:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form has no file named `photo`; add it")
    files: dict[str, UploadFile] = {}
    fields: dict[str, str] = {}
    for name, part in parts:
        if name not in allowed:
            raise _wrong_part(f"the form has an unknown field; choose from {', '.join(allowed)}")
        if names.count(name) > 1:
            raise _wrong_part(f"{name}: is in the form several times; send one")
        if isinstance(part, UploadFile):
            if name not in FILES:
                raise _wrong_part(f"{name}: must not be a file; send it as {name}=VALUE")
            files[name] = part
        else:
            if name in FILES:
                raise _wrong_part(f"{name}: must be a file; send it as {name}=@FILE")
            fields[name] = part
    return files, fields


def _is_left_empty(part: UploadFile | str) -> bool:
    """Return whether a browser sent the part for a choice of files in which nothing was chosen."""
    return isinstance(part, UploadFile) and not part.filename and not part.size


def _wrong_part(text: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text)


async def _save(sent: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        while chunk := await sent.read(CHUNK_BYTES):
            file.write(chunk)


async def _limited(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the body, and raise a Problem as soon as it is too large."""
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > settings.max_upload_bytes:
                raise _too_large(settings)
            yield chunk
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the client closed the connection") from None


def _too_large(settings: Settings) -> Problem:
    text = f"the upload has more than {settings.max_upload_mib} MiB; send a smaller file"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, headers={"Connection": "close"})


def check_photo(path: Path, settings: Settings) -> str:
    """Return the format of a photo, a key of PICTURE_FORMATS, from its header alone.

    Raises Problem: 413 for too many pixels, 415 for anything that is not a photo.
    """
    from derain.pictures.open_image import open_image, picture_errors
    from derain.pictures.reader import FORMAT_ALIASES, count_image_frames

    try:
        with picture_errors(path), path.open("rb") as file, open_image(file) as image:
            pixels = image.width * image.height * count_image_frames(image)
            kind = FORMAT_ALIASES.get(str(image.format), str(image.format))
    except (PictureError, MissingExtraError) as error:
        text = str(error).replace(str(path), path.name)  # "photo" or "mask"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text) from error
    if pixels > settings.max_megapixels * 1e6:
        text = (
            f"the photo has {pixels / 1e6:.1f} megapixels, and this server accepts up to "
            f"{settings.max_megapixels:g}; send a smaller one"
        )
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    return kind
