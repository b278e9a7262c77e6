"""Parameters, bodies and answers of the HTTP interface, as its OpenAPI document has them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from derain.serve.problems import MEDIA_TYPE
from derain.suffixes import PICTURE_FORMATS
from derain.weights import picture_models

MEDIA_TYPES = {name: f"image/{name.lower()}" for name in PICTURE_FORMATS}
FORMATS = {name.lower(): name for name in PICTURE_FORMATS}

STRENGTH_TEXT = "Share of the estimated rain to remove."
MODEL: dict[str, Any] = {"description": "A name from /v1/models.", "enum": [*picture_models()]}
FORMAT: dict[str, Any] = {"description": "Format of the result; as sent if omitted."}
FORMAT["enum"] = [*FORMATS]

Strength = Annotated[float, Query(ge=0, le=1, description=STRENGTH_TEXT)]
# a string without null, which a query cannot hold
ModelName = Annotated[str | None, Query(json_schema_extra={"type": "string", **MODEL})]
Format = Annotated[str | None, Query(json_schema_extra={"type": "string", **FORMAT})]

BINARY = {"type": "string", "format": "binary"}
MASK = BINARY | {"description": "Grey picture of the photo's size: white restores fully."}
LAYER_FIELDS: dict[str, Any] = {
    "photo": BINARY,
    "mask": MASK,
    "model": {"type": "string", **MODEL},
    "format": {"type": "string", **FORMAT},
}
STRENGTH = {"type": "number", "minimum": 0, "maximum": 1, "description": STRENGTH_TEXT}
RESTORE_FIELDS: dict[str, Any] = LAYER_FIELDS | {"strength": STRENGTH}


def photo_body(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a body: the photo itself, or a form with `fields`."""
    form: dict[str, Any] = {"type": "object", "required": ["photo"], "properties": fields}
    form["additionalProperties"] = False
    raw = {"schema": BINARY}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "image/*": raw,
            "application/octet-stream": raw,
        },
    }


PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for the user."},
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
    for status, description in {
        400: "The body is not a photo or a form with one.",
        401: "The bearer token is missing or wrong.",
        403: "A page of another site sent the request.",
        408: "The upload was too slow.",
        413: "Too many bytes or pixels.",
        415: "Not a photo that derain reads.",
        422: "A parameter or part is unknown or wrong, or the photo cannot be restored.",
        429: "Too many photos are waiting; Retry-After has the seconds.",
        503: "The worker died, the deadline passed, the disk is full, or the server shuts down.",
    }.items()
}
PHOTO_RESPONSES: dict[int | str, dict[str, Any]] = PROBLEMS | {
    200: {"description": "The photo.", "content": {"image/*": {"schema": BINARY}}}
}
