"""The HTTP interface."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from derain import __version__
from derain.serve.pool import Pool
from derain.serve.problems import (
    MEDIA_TYPE,
    Problem,
    on_http_exception,
    on_invalid,
    on_problem,
    on_unexpected,
    problem_response,
)
from derain.serve.process import Event, Task
from derain.serve.settings import Settings
from derain.serve.uploads import check_photo, receive
from derain.suffixes import PICTURE_FORMATS
from derain.weights import models

FOLDER_PREFIX = "derain-serve-"
MEDIA_TYPES = {name: f"image/{name.lower()}" for name in PICTURE_FORMATS}
FORMATS = {name.lower(): name for name in PICTURE_FORMATS}
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from another host; photos are shown and packed from memory (blob:)."""
log = logging.getLogger("derain.serve")

Strength = Annotated[float, Query(ge=0, le=1, description="Share of the estimated rain to remove.")]
ModelName = Annotated[str | None, Query(description="A name from /v1/models.")]
Format = Annotated[
    str | None, Query(description=f"One of {', '.join(FORMATS)}; as sent if omitted.")
]
PHOTO_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["photo"],
                "properties": {
                    "photo": {"type": "string", "format": "binary"},
                    "mask": {
                        "type": "string",
                        "format": "binary",
                        "description": "Grey picture of the photo's size: white restores fully.",
                    },
                    "strength": {"type": "string"},
                    "model": {"type": "string"},
                    "format": {"type": "string"},
                },
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in {
        400: "The body is not a photo or a form with one.",
        401: "The bearer token is missing or wrong.",
        408: "The upload was too slow.",
        413: "Too many bytes or pixels.",
        415: "Not a photo that derain reads.",
        422: "A parameter is out of range, or the photo cannot be restored.",
        429: "Too many photos are waiting; Retry-After has the seconds.",
        503: "The worker died, the deadline passed, or the server is shutting down.",
    }.items()
}
PHOTO_RESPONSES: dict[int | str, dict[str, Any]] = PROBLEMS | {
    200: {"description": "The photo.", "content": {"image/*": {}}}
}


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
            expose_headers=["X-Derain-Omissions", "X-Request-Id"],
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
        return response

    async def authorise(request: Request) -> None:
        """Raise a Problem unless the request carries the token."""
        if settings.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_right = secrets.compare_digest(given.strip().encode(), settings.token.encode())
        if scheme.lower() != "bearer" or not is_right:
            text = "the bearer token is missing or wrong; send `Authorization: Bearer TOKEN`"
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(HTTPStatus.UNAUTHORIZED, text, headers=headers)

    guarded = [Depends(authorise)]
    photo_route: dict[str, Any] = {
        "dependencies": guarded,
        "response_class": Response,
        "responses": PHOTO_RESPONSES,
        "openapi_extra": {"requestBody": PHOTO_BODY},
    }

    @app.post("/v1/restore", **photo_route)
    async def restore(
        request: Request, strength: Strength = 1.0, model: ModelName = None, format: Format = None
    ) -> Response:
        """Restore a photo. The same kind of file comes back, with its metadata."""
        return await _answer(request, pool, strength=strength, model=model, kind=format)

    @app.post("/v1/rain-layer", **photo_route)
    async def rain_layer(
        request: Request, model: ModelName = None, format: Format = None
    ) -> Response:
        """Return the rain layer of a photo: the light that rain added, on black."""
        return await _answer(request, pool, strength=1.0, model=model, kind=format, is_layer=True)

    @app.get("/v1/models", dependencies=guarded, responses={401: PROBLEMS[401]})
    async def list_models() -> dict[str, Any]:
        """List the models with their cards."""
        listed = {name: {"card": model.card} for name, model in models().items()}
        return {"default": Path(settings.model).stem, "models": listed}

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Return 200 while the server is alive."""
        return {"status": "alive"}

    @app.get("/ready", responses={503: PROBLEMS[503]})
    async def ready() -> Response:
        """Return 200 if a photo would be accepted now."""
        if pool.broken:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, pool.broken)
        if not pool.has_room:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the queue is full")
        if pool.worker_pid is not None and not pool.is_ready:
            return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the network is being loaded")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", dependencies=guarded, responses={401: PROBLEMS[401]})
    async def prometheus() -> PlainTextResponse:
        """Return the metrics for Prometheus."""
        return PlainTextResponse(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    if settings.has_page:
        # mounted last: the interface has precedence
        app.mount("/", StaticFiles(packages=[("derain.serve", "page")], html=True), name="page")
    return app


async def _answer(
    request: Request,
    pool: Pool,
    *,
    strength: float,
    model: str | None,
    kind: str | None,
    is_layer: bool = False,
) -> Response:
    settings = pool.settings
    pool.reserve()  # before the upload, which would be in vain
    # of this request alone, and gone with it
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as name:
        upload = await receive(request, Path(name), settings)
        fields = upload.fields
        model, kind = fields.get("model", model) or settings.model, fields.get("format", kind)
        if "strength" in fields:
            strength = _strength(fields["strength"])
        if model not in {settings.model, *models()}:
            known = ", ".join(models())
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"model: unknown; choose one of {known}")
        if kind is not None and kind.lower() not in FORMATS:
            known = ", ".join(FORMATS)
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"format: unknown; choose one of {known}"
            )
        sent = await asyncio.to_thread(check_photo, upload.path, settings)
        written = FORMATS[kind.lower()] if kind else sent
        target = Path(name, f"restored{PICTURE_FORMATS[written][0]}")
        layer = Path(name, f"rain{PICTURE_FORMATS[written][0]}") if is_layer else None
        if upload.mask is not None:
            await asyncio.to_thread(check_photo, upload.mask, settings)
        identifier = request.state.identifier
        task = Task(0, upload.path, target, layer, model, strength, upload.mask, identifier)
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


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "strength: expected a number from 0 to 1")
    return value


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
    if request.scope.get("app_root_path") is not None and "route" not in request.scope:
        return "page"
    return getattr(request.scope.get("route"), "path", "other")


class Metrics:
    """Counters of one application."""

    def __init__(self, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "derain_requests", "Requests.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "derain_request_seconds", "Time of a request.", ["route"], registry=self.registry
        )
        waiting = Gauge("derain_queue", "Photos that wait.", registry=self.registry)
        waiting.set_function(lambda: pool.waiting)
        computing = Gauge(
            "derain_computing", "Photos in the network, 0 or 1.", registry=self.registry
        )
        computing.set_function(lambda: pool.computing)
        network = Gauge(
            "derain_network_seconds",
            "Time for which the network has computed.",
            registry=self.registry,
        )
        network.set_function(lambda: pool.network_seconds)
        restarts = Gauge("derain_worker_deaths", "Workers that died.", registry=self.registry)
        restarts.set_function(lambda: pool.restarts)
        memory = Gauge(
            "derain_worker_memory_bytes", "Resident memory of the worker.", registry=self.registry
        )
        memory.set_function(lambda: _resident_bytes(pool.worker_pid))

    def count(self, route: str, status: int, seconds: float) -> None:
        """Add one request."""
        self._requests.labels(route, str(int(status))).inc()
        self._seconds.labels(route).observe(seconds)


def _resident_bytes(pid: int | None) -> float:
    """Return the memory of a process from /proc; 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        if pid is not None:
            pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
            return float(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0.0
