"""What a request asks for, in its query and in the fields of its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from derain.serve.interface import FORMATS
from derain.serve.problems import STRENGTH_RANGE, Problem
from derain.weights import picture_models


@dataclass(frozen=True)
class Choices:
    """Valid choices of a request."""

    strength: float
    model: str
    """As `Restorer` takes it."""
    format: str | None
    """Format of the result, a key of PICTURE_FORMATS; None keeps that of the photo."""


def choose(given: Mapping[str, str | None], *, default: str) -> Choices:
    """Return the choices in `given`: strength, model, format; None or absent where none was made.

    `default` is the server's model, a name or a path. Raises Problem (422).
    """
    strength, model, kind = (given.get(name) for name in ("strength", "model", "format"))
    # a file of the operator goes by its name, which /v1/models lists
    known = {name: name for name in picture_models()} | {Path(default).stem: default}
    if model is not None and model not in known:
        raise _unknown("model", known)
    if kind is not None and kind.lower() not in FORMATS:
        raise _unknown("format", FORMATS)
    return Choices(
        strength=1.0 if strength is None else _strength(strength),
        model=default if model is None else known[model],
        format=None if kind is None else FORMATS[kind.lower()],
    )


def _unknown(name: str, known: Mapping[str, str]) -> Problem:
    text = f"{name}: unknown; choose one of {', '.join(known)}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text)


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, STRENGTH_RANGE)
    return value
