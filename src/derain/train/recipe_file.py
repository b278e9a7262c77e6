"""Recipes as TOML files: read, checked, with every value overridable as `section.key=value`."""

from __future__ import annotations

import difflib
import json
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from derain.errors import DerainError, RecipeError
from derain.files.messages import explain_read_error
from derain.network.configuration import PAPER, PRESETS, PLNLINConfiguration, preset
from derain.rivals.configuration import RivalConfiguration
from derain.train.recipe import PLNLIN_TAG, RIVAL_TAG, Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VALIDATOR = TypeAdapter(Recipe)
INVALID = (ValueError, RecursionError)
"""Exceptions of tomllib, whose own class does not cover too long numbers and too deep nesting."""
NETWORKS = {PLNLIN_TAG: PLNLINConfiguration, RIVAL_TAG: RivalConfiguration}
TOML_WORDS = {"Input ": "", "String ": "", "an object": "a table"}
"""Pydantic's words -> words for a value of a TOML file."""

BACKSLASHES = "write paths of Windows with / or in single quotes"
"""Remedy for a backslash that TOML takes for the start of another character."""


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML file and apply `section.key=value` overrides, whose values are TOML.

    A bare word in an override is a string. Folders of data become absolute: see `resolve_folders`.
    Raises RecipeError for an unreadable file, an unknown key (suggesting the right one), a wrong
    type, a value out of range, and values that contradict each other.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin with a mark
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; the project's own are in recipes/") from None
    except OSError as error:
        raise RecipeError(f"{path}: {explain_read_error(error)}") from None
    except INVALID as error:
        raise RecipeError(f"{path}: cannot be read as TOML ({error}); {_remedy(error)}") from None
    for override in overrides:
        apply_override(values, override)
    try:
        return build_recipe(values, base=path.parent)
    except DerainError as error:
        raise RecipeError(f"{path}: {error}") from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in the nested dictionary `values`."""
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"{override!r} is not an override; write section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except INVALID as error:
        if text.lstrip()[:1] in {"[", "{"} and _remedy(error) == BACKSLASHES:
            raise RecipeError(f"{key}={text}: is not TOML ({error}); {BACKSLASHES}") from None
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{override!r}: {section} is not a section; write section.key=value")
    values[last] = value


def _remedy(error: Exception) -> str:
    """Return the remedy for an exception of tomllib."""
    words = ("Unescaped", "hex value")  # for "C:\data" and "C:\Users"
    return BACKSLASHES if any(word in str(error) for word in words) else "correct it"


def build_recipe(values: Mapping[str, Any], *, base: Path) -> Recipe:
    """Check nested plain values and build the recipe from them. `base` is the recipe's folder."""
    network = values.get("network", {})
    if isinstance(network, Mapping) and network.get("kind") == PLNLIN_TAG:
        network = {key: value for key, value in network.items() if key != "kind"}
    if isinstance(network, Mapping) and "kind" not in network:
        name = str(network.get("preset", PAPER.preset))
        # a network with its own shape may have its own name
        is_custom = {"channels", "stages"} <= set(network) and name not in PRESETS
        network = asdict(PAPER if is_custom else preset(name)) | dict(network)
    # as JSON, because strict validation of Python objects rejects lists in the place of tuples
    text = json.dumps({**values, "network": network}, default=str)
    try:
        recipe = VALIDATOR.validate_json(text)
    except ValidationError as error:
        raise RecipeError(explain_validation(error)) from None
    return resolve_folders(recipe, base)


def explain_validation(error: ValidationError) -> str:
    """Return one sentence for the first error: the key, the fact, the remedy."""
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    if location[:1] == ("network",) and location[1:2] in {(PLNLIN_TAG,), (RIVAL_TAG,)}:
        location = ("network", *location[2:])  # pydantic names the kind of network here
    *parents, last = location or ("the recipe",)
    key = _key_name(location) or "the recipe"
    if first["type"] == "unexpected_keyword_argument":
        known = [field.name for field in fields(_section_type(first["loc"][:-1]))]
        close = difflib.get_close_matches(str(last), known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key {key!r}; {remedy}"
    if first["type"] == "missing":
        return f"{_key_name(parents) or 'the recipe'}: the key {last!r} is missing; add it"
    fact = first["msg"]
    for theirs, ours in TOML_WORDS.items():
        fact = fact.replace(theirs, ours)
    return f"{key} = {first['input']!r} {fact}; correct it"


def _key_name(location: Sequence[int | str]) -> str:
    """Return a location as it is written in a recipe: data.pairs[0].folder."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return name.removeprefix(".")


def _section_type(location: Sequence[int | str]) -> Any:
    """Return the dataclass that describes the section at `location`."""
    kind: Any = Recipe
    for part in location:
        if part in {PLNLIN_TAG, RIVAL_TAG}:
            kind = NETWORKS[str(part)]
        elif is_dataclass(kind):
            kind = typing.get_type_hints(kind)[str(part)]
        else:  # an item of a tuple
            kind = typing.get_args(kind)[0]
    return kind


def resolve_folders(recipe: Recipe, base: Path) -> Recipe:
    """Return the recipe with absolute folders of data.

    They are relative to `data.root`, which is relative to the current folder, or to `base` if
    there is no root. Absolute folders stay.
    """

    def absolute(folder: str) -> str:
        _check_path(folder)
        return str((root / folder).resolve())

    for folder in (recipe.data.root or "", recipe.record.folder):
        _check_path(folder)
    root = base if recipe.data.root is None else Path(recipe.data.root)

    data, validation = recipe.data, recipe.validation
    data = replace(
        data,
        root=None,  # it has done its work: another root with the same folders is the same recipe
        pairs=tuple(replace(pairs, folder=absolute(pairs.folder)) for pairs in data.pairs),
        backgrounds=tuple(map(absolute, data.backgrounds)),
        streaks=tuple(map(absolute, data.streaks)),
        hard=tuple(map(absolute, data.hard)),
    )
    pairs = tuple(replace(pairs, folder=absolute(pairs.folder)) for pairs in validation.pairs)
    return replace(recipe, data=data, validation=replace(validation, pairs=pairs))


def _check_path(text: str) -> None:
    """Raise RecipeError for a path in which TOML took a backslash for another character."""
    if any(char < " " for char in text):
        raise RecipeError(f"{text!r}: has a control character; {BACKSLASHES}")
