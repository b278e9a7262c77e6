"""The addresses that restore photos."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response

from derain.serve.choices import choose
from derain.serve.guards import authorise, reject_other_sites, reject_unknown_parameters
from derain.serve.interface import (
    LAYER_FIELDS,
    MEDIA_TYPES,
    PHOTO_RESPONSES,
    RESTORE_FIELDS,
    Format,
    ModelName,
    Strength,
    photo_body,
)
from derain.serve.messages import Event, Task
from derain.serve.pool import Pool
from derain.serve.problems import Problem, disk_problem
from derain.serve.uploads import check_photo, receive
from derain.suffixes import PICTURE_FORMATS

FOLDER_PREFIX = "derain-serve-"
router = APIRouter(
    prefix="/v1",
    dependencies=[
        Depends(check) for check in (authorise, reject_other_sites, reject_unknown_parameters)
    ],
    default_response_class=Response,
    responses=PHOTO_RESPONSES,
)


@router.post("/restore", openapi_extra={"requestBody": photo_body(RESTORE_FIELDS)})
async def restore(
    request: Request, strength: Strength = 1.0, model: ModelName = None, format: Format = None
) -> Response:
    """Restore a photo. The same kind of file comes back, with its metadata."""
    return await _answer(request, {"strength": str(strength), "model": model, "format": format})


@router.post("/rain-layer", openapi_extra={"requestBody": photo_body(LAYER_FIELDS)})
async def rain_layer(request: Request, model: ModelName = None, format: Format = None) -> Response:
    """Return the rain layer of a photo: the light that rain added, on black."""
    return await _answer(request, {"model": model, "format": format}, is_layer=True)


async def _answer(
    request: Request, query: dict[str, str | None], *, is_layer: bool = False
) -> Response:
    """Receive a photo, restore it, and return the result, or the rain layer. Raises Problem."""
    pool: Pool = request.app.state.pool
    settings = pool.settings
    # before the upload, which would be in vain
    choose(query, default=settings.model)
    with pool.reserve(), _request_folder() as folder:
        allowed = LAYER_FIELDS if is_layer else RESTORE_FIELDS
        upload = await receive(request, folder, settings, allowed=allowed)
        choices = choose(query | upload.fields, default=settings.model)
        sent = await asyncio.to_thread(check_photo, upload.path, settings)
        written = choices.format or sent
        target = folder / f"restored{PICTURE_FORMATS[written][0]}"
        layer = folder / f"rain{PICTURE_FORMATS[written][0]}" if is_layer else None
        if upload.mask is not None:
            await asyncio.to_thread(check_photo, upload.mask, settings)
        task = Task(
            source=upload.path,
            target=target,
            rain_target=layer,
            model=choices.model,
            strength=choices.strength,
            mask=upload.mask,
            request=request.state.identifier,
        )
        event = await _run_while_connected(request, pool, task)
        if event.kind == "failed":
            status = (
                HTTPStatus.UNPROCESSABLE_ENTITY
                if event.is_fault_of_input
                else HTTPStatus.SERVICE_UNAVAILABLE
            )
            raise Problem(status, event.detail)
        body = await asyncio.to_thread((layer or target).read_bytes)
    headers = {}
    if event.omissions:
        headers["X-Derain-Omissions"] = quote("; ".join(event.omissions), safe=" ;,.:'()")
    return Response(body, media_type=MEDIA_TYPES[written], headers=headers)


@contextmanager
def _request_folder() -> Iterator[Path]:
    """Create a folder of one request alone, which is gone with it. Raises Problem (503).

    On Windows, files stay that the worker still has open after a cancelled request.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    except OSError as error:
        raise disk_problem(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _run_while_connected(request: Request, pool: Pool, task: Task) -> Event:
    """Run a task; cancel it when the client closes the connection. Raises Problem."""
    running = asyncio.ensure_future(pool.run(task))
    try:
        while True:
            done, _ = await asyncio.wait({running}, timeout=0.5)
            if done:
                return running.result()
            if await request.is_disconnected():
                raise Problem(HTTPStatus.BAD_REQUEST, "the client closed the connection")
    finally:
        if not running.done():
            running.cancel()
            with suppress(asyncio.CancelledError, Problem):
                await running
