"""The HTTP interface."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from derain import __version__
from derain.serve import photo_routes, status_routes
from derain.serve.metrics import Metrics
from derain.serve.pool import Pool
from derain.serve.problems import (
    Problem,
    on_http_exception,
    on_invalid,
    on_problem,
    on_unexpected,
)
from derain.serve.reference import POLICY as REFERENCE_POLICY
from derain.serve.reference import reference_page
from derain.serve.settings import Settings

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from another host; photos are shown and packed from memory (blob:)."""
PAGE_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".txt": "text/plain",
}
"""Set explicitly: on Windows other programs set them, and browsers run no script as text/plain."""
log = logging.getLogger("derain.serve")


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Its `state` has the `Pool` and the `Metrics`."""
    app = FastAPI(
        title="derain",
        version=__version__,
        summary="Remove rain from photos.",
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
        lifespan=run_pool,
        exception_handlers={
            Problem: on_problem,
            HTTPException: on_http_exception,
            RequestValidationError: on_invalid,
            Exception: on_unexpected,
        },
    )
    app.state.pool = Pool(settings)
    app.state.metrics = Metrics(app.state.pool)
    if settings.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.allow_origin],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "X-Derain-Omissions", "X-Request-Id"],
        )
    app.add_middleware(BaseHTTPMiddleware, dispatch=observe)
    app.include_router(photo_routes.router)
    app.include_router(status_routes.router)
    app.add_api_route("/docs", reference, include_in_schema=False)
    if settings.has_page:
        for suffix, media_type in PAGE_TYPES.items():
            mimetypes.add_type(media_type, suffix)
        # a route for each file: mounted at /, they would answer for every other method of the rest
        page = StaticFiles(packages=[("derain.serve", "page")], html=True)
        names = [entry.name for entry in files("derain.serve").joinpath("page").iterdir()]
        app.routes.extend(
            Route(f"/{name}", page, methods=["GET"], name="page") for name in ["", *names]
        )
    return app


@asynccontextmanager
async def run_pool(app: FastAPI) -> AsyncIterator[None]:
    """Run the pool while the application runs."""
    pool: Pool = app.state.pool
    pool.start()
    idling = asyncio.create_task(pool.stop_when_idle())
    yield
    idling.cancel()
    with suppress(asyncio.CancelledError):
        await idling
    await pool.stop()


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
    request.app.state.metrics.count(route, status, seconds)
    log.info("%s %s %s %d %.2f s", identifier, request.method, route, status, seconds)
    response.headers["X-Request-Id"] = identifier
    response.headers["X-Content-Type-Options"] = "nosniff"
    if route == "page":
        response.headers["Content-Security-Policy"] = PAGE_POLICY
        # or browsers would keep files of an older version, and mix the two
        response.headers["Cache-Control"] = "no-cache"
    return response


async def reference(request: Request) -> HTMLResponse:
    """Return the interface as a page."""
    headers = {"Content-Security-Policy": REFERENCE_POLICY}
    return HTMLResponse(reference_page(request.app.openapi()), headers=headers)


def _route(request: Request) -> str:
    """Return the route's pattern, never the address: that could hold names."""
    if isinstance(request.scope.get("endpoint"), StaticFiles):
        return "page"
    return getattr(request.scope.get("route"), "path", "other")
