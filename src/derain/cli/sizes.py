"""Sizes as people write them."""

from __future__ import annotations

import re

from derain.errors import DerainError


def parse_size(text: str, *, option: str) -> tuple[int, int]:
    """`1920x1080` -> (width, height) in pixels. Raises DerainError, which begins with the option that the text was given to."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        raise DerainError(f"{option} {text}: is no size; write WIDTHxHEIGHT, as 1920x1080")
    return int(match[1]), int(match[2])
