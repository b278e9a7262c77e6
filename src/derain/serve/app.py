"""The HTTP interface."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from derain import __version__
from derain.serve.choices import choose
from derain.serve.interface import (
    LAYER_FIELDS,
    MEDIA_TYPES,
    PHOTO_RESPONSES,
    PROBLEMS,
    RESTORE_FIELDS,
    Format,
    ModelName,
    Strength,
    photo_body,
)
from derain.serve.metrics import Metrics
from derain.serve.pool import Pool
from derain.serve.problems import (
    Problem,
    disk_problem,
    on_http_exception,
    on_invalid,
    on_problem,
    on_unexpected,
    problem_response,
)
from derain.serve.process import Event, Task
from derain.serve.reference import POLICY as REFERENCE_POLICY
from derain.serve.reference import reference_page
from derain.serve.settings import Settings
from derain.serve.uploads import check_photo, receive
from derain.suffixes import PICTURE_FORMATS
from derain.weights import picture_models

FOLDER_PREFIX = "derain-serve-"
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from another host; photos are shown and packed from memory (blob:)."""
log = logging.getLogger("derain.serve")


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Its `state.pool` is the `Pool`."""
    pool = Pool(settings)
    metrics = Metrics(pool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool.start()
        idling = asyncio.create_task(pool.stop_when_idle())
        yield
        idling.cancel()
        with suppress(asyncio.CancelledError):
            await idling
        await pool.stop()

    app = FastAPI(
        title="derain",
        version=__version__,
        summary="Remove rain from photos.",
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            RequestValidationError: on_invalid,
            Exception: on_unexpected,
        },
    )
    app.state.pool = pool
    if settings.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.allow_origin],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "X-Derain-Omissions", "X-Request-Id"],
        )

    @app.middleware("http")
    async def observe(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Give every request an id, a line in the log, and its place in the metrics."""
        identifier, start = uuid.uuid4().hex, time.monotonic()
        request.state.identifier = identifier
        try:
            response = await call_next(request)
        except Exception:
            log.exception("request %s failed", identifier)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            response = await on_unexpected(request, RuntimeError())
        else:
            status = HTTPStatus(response.status_code)
        seconds = time.monotonic() - start
        route = _route(request)
        metrics.count(route, status, seconds)
        log.info("%s %s %s %d %.2f s", identifier, request.method, route, status, seconds)
        response.headers["X-Request-Id"] = identifier
        response.headers["X-Content-Type-Options"] = "nosniff"
        if route == "page":
            response.headers["Content-Security-Policy"] = PAGE_POLICY
            # or browsers would keep files of an older version, and mix the two
            response.headers["Cache-Control"] = "no-cache"
        return response

    async def authorise(request: Request) -> None:
        """Raise a Problem unless the request carries the token."""
        if settings.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_token(given, settings.token):
            text = "the bearer token is missing or wrong; send `Authorization: Bearer TOKEN`"
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(HTTPStatus.UNAUTHORIZED, text, headers=headers)

    async def reject_other_sites(request: Request) -> None:
        """Raise a Problem for a request that a page of another site makes in a user's browser.

        Browsers hide the answer from such a page, but send its photos all the same.
        """
        is_foreign = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        is_allowed = request.headers.get("origin") == settings.allow_origin is not None
        if is_foreign and not is_allowed:
            text = "pages of other sites may not send photos; the operator can --allow-origin one"
            raise Problem(HTTPStatus.FORBIDDEN, text)

    guarded = [Depends(authorise)]
    checks = (authorise, reject_other_sites, reject_unknown_parameters)
    photo_route: dict[str, Any] = {
        "dependencies": [Depends(check) for check in checks],
        "response_class": Response,
        "responses": PHOTO_RESPONSES,
    }
    restore_body = {"requestBody": photo_body(RESTORE_FIELDS)}
    layer_body = {"requestBody": photo_body(LAYER_FIELDS)}

    @app.post("/v1/restore", **photo_route, openapi_extra=restore_body)
    async def restore(
        request: Request, strength: Strength = 1.0, model: ModelName = None, format: Format = None
    ) -> Response:
        """Restore a photo. The same kind of file comes back, with its metadata."""
        query = {"strength": str(strength), "model": model, "format": format}
        return await _answer(request, pool, query)

    @app.post("/v1/rain-layer", **photo_route, openapi_extra=layer_body)
    async def rain_layer(
        request: Request, model: ModelName = None, format: Format = None
    ) -> Response:
        """Return the rain layer of a photo: the light that rain added, on black."""
        return await _answer(request, pool, {"model": model, "format": format}, is_layer=True)

    @app.get("/v1/models", dependencies=guarded, responses={401: PROBLEMS[401]})
    async def list_models() -> dict[str, Any]:
        """List the models with their cards."""
        listed = {name: {"card": model.card} for name, model in picture_models().items()}
        return {"default": Path(settings.model).stem, "models": listed}

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Return 200 while the server is alive."""
        return {"status": "alive"}

    loading = {"description": "The network is being loaded, or the queue is full."}

    @app.get("/ready", responses={503: PROBLEMS[503] | loading})
    async def ready() -> Response:
        """Return 200 if a photo would be accepted now."""
        if pool.broken:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, pool.broken)
        if not pool.has_room:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the queue is full")
        if pool.worker_pid is not None and not pool.is_ready:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the network is being loaded")
        return JSONResponse({"status": "ready"})

    metrics_responses: dict[int | str, dict[str, Any]] = {
        200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
        401: PROBLEMS[401],
    }

    @app.get(
        "/metrics",
        dependencies=guarded,
        response_class=PlainTextResponse,
        responses=metrics_responses,
    )
    async def prometheus() -> PlainTextResponse:
        """Return the metrics for Prometheus."""
        return PlainTextResponse(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def reference() -> HTMLResponse:
        """Return the interface as a page."""
        headers = {"Content-Security-Policy": REFERENCE_POLICY}
        return HTMLResponse(reference_page(app.openapi()), headers=headers)

    if settings.has_page:
        # a route for each file: mounted at /, they would answer for every other method of the rest
        page = StaticFiles(packages=[("derain.serve", "page")], html=True)
        names = [entry.name for entry in files("derain.serve").joinpath("page").iterdir()]
        app.routes.extend(
            Route(f"/{name}", page, methods=["GET"], name="page") for name in ["", *names]
        )
    return app


def is_token(given: str, token: str) -> bool:
    """Return whether a header, decoded as Latin-1, holds the token; takes the same time for any.

    Programs send letters beyond ASCII as UTF-8 or as what the environment had; browsers as Latin-1.
    """
    sent = given.encode("latin-1").strip()  # as text, it would lose bytes that Latin-1 calls spaces
    is_equal = secrets.compare_digest(sent, token.encode(errors="surrogateescape"))
    with suppress(UnicodeEncodeError):
        is_equal |= secrets.compare_digest(sent, token.encode("latin-1"))
    return is_equal


async def reject_unknown_parameters(request: Request) -> None:
    """Raise a Problem for a parameter that the route does not have, such as a misspelt one."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            text = f"{name}: is no parameter of this address; choose from {', '.join(known)}"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text)


async def _answer(
    request: Request, pool: Pool, query: dict[str, str | None], *, is_layer: bool = False
) -> Response:
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
    """Create a folder of one request alone, which is gone with it. Raises Problem (503)."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX)
    except OSError as error:
        raise disk_problem(error) from error
    with folder as name:
        yield Path(name)


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


def _route(request: Request) -> str:
    """Return the route's pattern, never the address: that could hold names."""
    if isinstance(request.scope.get("endpoint"), StaticFiles):
        return "page"
    return getattr(request.scope.get("route"), "path", "other")
