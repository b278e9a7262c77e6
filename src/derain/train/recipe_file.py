"""Recipes as TOML files: read, checked, with every value overridable as `section.key=value`."""

from __future__ import annotations

import difflib
import sys
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from derain.errors import DerainError, RecipeError
from derain.network.configuration import PAPER, PRESETS, preset
from derain.train.recipe import PairFolder, Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML file and apply `section.key=value` overrides, whose values are TOML (a bare word is a string).

    Folders in the recipe are relative to the file. Raises RecipeError for what cannot be read, an unknown key (suggesting the
    right one), a wrong type and values that contradict each other.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; the project's own are in recipes/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as TOML ({error}); correct it") from None
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
        raise RecipeError(f"{override!r} is no override; write section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{override!r}: {section} is no section; write section.key=value")
    values[last] = value


def build_recipe(values: Mapping[str, Any], *, base: Path) -> Recipe:
    """Check nested plain values and build the recipe from them; relative folders are taken from `base`."""
    network = values.get("network", {})
    if isinstance(network, Mapping):
        name = str(network.get("preset", PAPER.preset))
        own_shape = {"channels", "stages"} <= set(
            network
        )  # a network of the reader's own, under a name of their own
        network = asdict(PAPER if own_shape and name not in PRESETS else preset(name)) | dict(
            network
        )
    return rebased(_build(Recipe, {**values, "network": network}, ""), base)


def rebased(recipe: Recipe, base: Path) -> Recipe:
    """The recipe with its data folders made absolute."""

    def under(folder: str) -> str:
        return str((base / folder).resolve())

    def all_under(pairs: tuple[PairFolder, ...]) -> tuple[PairFolder, ...]:
        return tuple(replace(pair, folder=under(pair.folder)) for pair in pairs)

    data = replace(
        recipe.data,
        pairs=all_under(recipe.data.pairs),
        backgrounds=tuple(map(under, recipe.data.backgrounds)),
        streaks=tuple(map(under, recipe.data.streaks)),
    )
    return replace(
        recipe,
        data=data,
        validation=replace(recipe.validation, pairs=all_under(recipe.validation.pairs)),
    )


def _build(kind: type[T], values: Any, where: str) -> T:
    """Build the dataclass `kind` from a table, checking names and types all the way down."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where or 'the recipe'}: {values!r} is no table of keys and values")
    hints = typing.get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    built = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else key
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise RecipeError(f"unknown key {name!r}; {remedy}")
        built[key] = _convert(hints[key], value, name)
    for field in fields(kind):  # type: ignore[arg-type]
        if (
            field.name not in built
            and field.default is MISSING
            and field.default_factory is MISSING
        ):
            raise RecipeError(f"{where or 'the recipe'}: has no {field.name}; give it one")
    return kind(**built)


def _convert(kind: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, name)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{name} = {value!r} is no list; write [..., ...]")
        return tuple(_convert(arguments[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        if value not in arguments:
            raise RecipeError(
                f"{name} = {value!r} is not known; choose one of {', '.join(map(str, arguments))}"
            )
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and "\0" in value:
        raise RecipeError(f"{name} = {value!r} holds a zero byte; correct it")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RecipeError(f"{name} = {value!r} is no {kind.__name__}; correct it")
    return value
