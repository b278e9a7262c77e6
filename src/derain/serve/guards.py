"""Checks of a request before it is answered; each raises a Problem."""

from __future__ import annotations

import secrets
from contextlib import suppress
from http import HTTPStatus

from fastapi import Request

from derain.serve.problems import Problem


async def authorise(request: Request) -> None:
    """Raise a Problem unless the request carries the token, if the server has one."""
    token = request.app.state.pool.settings.token
    if token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_token(given, token):
        text = "the bearer token is missing or wrong; send `Authorization: Bearer TOKEN`"
        headers = {"WWW-Authenticate": "Bearer"}
        raise Problem(HTTPStatus.UNAUTHORIZED, text, headers=headers)


def is_token(given: str, token: str) -> bool:
    """Return whether a header, decoded as Latin-1, holds the token; takes the same time for any.

    Programs send letters beyond ASCII as UTF-8 or as what the environment had; browsers as Latin-1.
    """
    sent = given.encode("latin-1").strip()  # as text, it would lose bytes that Latin-1 calls spaces
    is_equal = secrets.compare_digest(sent, token.encode(errors="surrogateescape"))
    with suppress(UnicodeEncodeError):
        is_equal |= secrets.compare_digest(sent, token.encode("latin-1"))
    return is_equal


async def reject_other_sites(request: Request) -> None:
    """Raise a Problem for a request that a page of another site makes in a user's browser.

    Browsers hide the answer from such a page, but send its photos all the same.
    """
    allowed = request.app.state.pool.settings.allow_origin
    is_foreign = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
    is_allowed = request.headers.get("origin") == allowed is not None
    if is_foreign and not is_allowed:
        text = "pages of other sites may not send photos; the operator can --allow-origin one"
        raise Problem(HTTPStatus.FORBIDDEN, text)


async def reject_unknown_parameters(request: Request) -> None:
    """Raise a Problem for a parameter that the route does not have, such as a misspelt one."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            text = f"{name}: is no parameter of this address; choose from {', '.join(known)}"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text)
