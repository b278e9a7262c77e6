"""The examples of the documentation: commands, Python and TOML that a reader may copy."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

from cyclopts import CycloptsError

from derain.cli.main import VERBS, _verb_for, build_app
from derain.weights.library import shipped_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "integrations/**/*.md")
    for path in ROOT.glob(pattern)
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(derain [^`]+)`")
OPERATORS = set("|&;<>()")
PLACEHOLDERS = {"derain COMMAND --help"}


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    """Return the fenced blocks of some languages; "" is a block without one."""
    text = page.read_text(encoding="utf-8")
    return [code for language, code in BLOCK.findall(text) if language in languages]


def commands(page):
    """Return the tokens after `derain` of every command in a page, in blocks and in sentences."""
    lines = [line for code in blocks(page, "", "sh", "console") for line in joined(code)]
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    lines += [" ".join(code.split()) for code in INLINE.findall(prose)]
    return [
        (line, tokens)
        for line in lines
        if line not in PLACEHOLDERS
        for tokens in simple_commands(line)
    ]


def joined(code):
    """Return the lines of a block, with continued lines joined."""
    return re.sub(r"\\\n\s*", "", code).splitlines()


def simple_commands(line):
    """Yield the tokens after `derain` of each command of a pipeline or a list of commands."""
    if "derain" not in line:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_operator, group in itertools.groupby(lexer, lambda token: set(token) <= OPERATORS):
        tokens = [token for token in group if not re.match(r"[A-Z_]+=", token)]
        if not is_operator and tokens and Path(tokens[0]).name == "derain":
            yield tokens[1:]


def problem(tokens):
    """Return why the command line rejects the tokens, or None. A verb alone is its name."""
    if all(re.fullmatch(r"[a-z]+(-[a-z]+)*", token) for token in tokens):
        tokens = [*tokens, "--help"]
    tokens = tokens if tokens and tokens[0] in {*VERBS, "--help", "--version"} else [
        _verb_for(tokens), *tokens
    ]  # fmt: skip
    try:
        build_app().parse_args(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return str(error)
    return None


def test_commands_parse():
    found = [(page, line, tokens) for page in PAGES for line, tokens in commands(page)]
    assert len(found) > 100
    rejected = {
        f"{name_of(page)}: {line}": why for page, line, tokens in found if (why := problem(tokens))
    }
    assert rejected == {}


MODEL = re.compile(
    r"""(?:--model |--weights |[?&]model=|\bmodel="|network\.load\(")"""
    r"""(?:\w+=)?([a-z]+)(?=[\s"'&\])]|$)"""
)
"""A bare name where a model can be named; a file has a suffix, a rival a colon."""


def test_named_models_ship():
    # experiments.md records former models
    named = {
        (name, name_of(page))
        for page in PAGES
        if page.name != "experiments.md"
        for name in MODEL.findall(page.read_text(encoding="utf-8"))
    }
    assert {name for name, _ in named} >= {"best", "fast", "clip"}
    assert {(name, page) for name, page in named if name not in shipped_names()} == set()


def test_an_unknown_option_does_not_parse():
    assert "--strenght" in problem(["photo.jpg", "--strenght", "0.5"])


def test_commands_are_found_in_pipes_and_lists():
    line = "pip install . && ffmpeg -i a - | .venv/bin/derain - -o - # comment; derain no"
    assert list(simple_commands(line)) == [["-", "-o", "-"]]


def test_python_examples_import_what_exists():
    examples = [
        ast.parse(code, filename=name_of(page)) for page in PAGES for code in blocks(page, "python")
    ]
    imports = [
        (node.module, alias.name)
        for example in examples
        for node in ast.walk(example)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("derain")
        for alias in node.names
    ]
    assert imports
    for module, name in imports:
        if not hasattr(import_module(module), name):
            import_module(f"{module}.{name}")


def test_toml_examples_parse():
    examples = [code for page in PAGES for code in blocks(page, "toml")]
    assert examples
    for code in examples:
        tomllib.loads(code)


def test_home_page_lists_the_shipped_models():
    home = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert set(shipped_names()) == set(re.findall(r"^\| `([\w-]+)`", home, re.MULTILINE))


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
