"""Options that several verbs share."""

from __future__ import annotations

import pytest

from derain.cli.options import parse_size
from derain.errors import DerainError


def test_parse_size():
    assert parse_size("1920x1080", option="--raw") == (1920, 1080)


@pytest.mark.parametrize("text", ["64", "0x8", "axb", "8x8x8", "-8x8", ""])
def test_parse_size_rejects_other_forms(text):
    with pytest.raises(DerainError, match=f"^--raw {text}: expected WIDTHxHEIGHT"):
        parse_size(text, option="--raw")
