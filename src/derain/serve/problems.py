"""Errors as `application/problem+json` (RFC 9457), with the sentences of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from derain.files.messages import explain_os_error

MEDIA_TYPE = "application/problem+json"
STRENGTH_RANGE = "strength: expected a number from 0 to 1"


class Problem(Exception):  # the term of the RFC
    """A request that fails with a status, one sentence, and headers such as Retry-After."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def disk_problem(error: OSError) -> Problem:
    """Return the problem of a server that cannot store a photo, such as a full disk."""
    text = f"the server's temporary folder: {explain_os_error(error)}"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)


def problem_response(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the response for a failed request."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        content | {"detail": detail}, status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


async def on_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, headers=error.headers)


async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer an exception of the framework, such as 404 and 405."""
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        detail = f"{request.method} {request.url.path}: {detail.lower()}; /docs lists the requests"
    return problem_response(error.status_code, detail, headers=error.headers)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer parameters that do not fit the OpenAPI document. FastAPI checks `strength` alone."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    text = STRENGTH_RANGE if place == "strength" else f"{place}: {first['msg']}"
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, text)


async def on_unexpected(request: Request, error: Exception) -> JSONResponse:
    """Answer a bug without its traceback, which goes to the log."""
    text = "internal error; the server's log has the details under this request's id"
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, text)
