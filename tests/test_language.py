"""Documentation, messages and names of tests are free of a list of unidiomatic phrases."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
IDIOMS = [
    r"told of",
    r"(is|are|was|be|being) told\b",
    r"(is|are|was|be|been|being) said\b",
    r"(left|leaves?|leaving) (\w+ )?alone",
    r"what is there",
    r"what (lies|stands|goes|comes|became|belongs|is (left|lost|wanted|known|done))\b",
    r"(?<!there )(is|are|was|were|be) no (?!(longer|more|less|fewer|need|\w+er)\b)",
    r"by (itself|themselves)",
    r"for (itself|themselves)",
    r"anew",
    r"(goes|go|going|went|gone) on(?!(to)? (the )?(disk|GPU|CPU|top))",
    r"looked (at|into|up)",
    r"of an? \w+ whose",
    r"besides",
    r"spoilt",
    r"in the mean",
    r"(gives?|gave|given|giving) back",
    r"(comes|come|came|coming) to (?!an? (end|halt))",
    r"(hands?|handed) through",
    r"in hand",
    r"at hand",
    r"to be had",
    r"through and through",
    r"makes? no sense",
    r"(lies?|lay|lays|laid|lying) (beside|there|directly|outside|untouched)",
    r"laid aside",
    r"called (so|as)",
    r"nobody",
    r"without a word",
    r"it were",
    r"(is|are|was) wanted",
    r"(is|are|was|were) (not )?to be",
    r"(is|are) not to",
    r"whoever",
    r"as (it|they) (was|were)",
    r"may not (be|look|see|read|write)",
    r"does not tell",
    r"turns? (\w+ )?round",
    r"taken for (a|an|one)\b",
    r"takes? (\w+ )?for (a|an|one)\b",
    r"mend(s|ed|ing)?",
    r"such (an? )?one",
    r"let it\b",
    r"in spite of",
    r"all in all",
    r"no other than",
    r"says? (so|nothing|whether|how)",
    r"of (it|them) (nothing|all|none)",
    r"as far as",
    r"just so",
    r"in (the )?row after",
    r"a row of",
    r"every \w+ that (is|was) there",
    r"that (one|there is)\b",
    r"knows? (of|nothing|how)",
    r"nothing (else )?of",
    r"of all (others|that)",
    r"as (\w+ )?people write",
    r"draws? on",
    r"quarter of an hour",
]
"""Case-insensitive, on word boundaries."""
FRONTED = re.compile(r"(?:^|[.;:!?] |\n)Of (?!course\b)")
"""A sentence that opens with a fronted "Of ..."."""
OPENED = re.compile(r':\n\s*("""(?:What|Whether|How|Where) .*)')
"""The docstring of a function or a class, below its colon."""


def idioms(text: str) -> list[str]:
    """Return the idioms in `text`, with the words around them."""
    flat = re.sub(r"\s+", " ", text)
    pattern = re.compile(rf"\b(?:{'|'.join(IDIOMS)})\b", re.IGNORECASE)
    return [flat[max(m.start() - 30, 0) : m.end() + 30] for m in pattern.finditer(flat)] + [
        text[m.start() : m.end() + 40] for m in FRONTED.finditer(text)
    ]


def name_of(path: Path) -> str:
    """Return the path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def prose_of(path: Path) -> str:
    """Return the prose of a file.

    Comments and strings of a module; names and docstrings of a test module; other files whole.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"```.*?```", "", text, flags=re.DOTALL) if path.suffix == ".md" else text
    if ROOT / "tests" in path.parents:
        defined = [
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
        ]
        names = [
            node.name.replace("_", " ") for node in defined if isinstance(node, ast.FunctionDef)
        ]
        return "\n".join([*names, *(ast.get_docstring(node) or "" for node in defined)])
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    kinds = {
        tokenize.COMMENT,
        tokenize.STRING,
        getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING),
    }
    return "\n".join(token.string for token in tokens if token.type in kinds)


FILES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "recipes/*.toml",
        "examples/*",
        "benchmarks/*",
        "tools/**/*",
        "integrations/**/*",
        "packaging/**/*",
    )
    for path in ROOT.glob(pattern)
    if path.suffix in {".md", ".toml", ".py"}
) + sorted(
    [*ROOT.glob("src/**/*.py"), *(p for p in ROOT.glob("tests/**/*.py") if p != Path(__file__))]
)


def test_prose_is_idiomatic():
    found = {name_of(path): phrases for path in FILES if (phrases := idioms(prose_of(path)))}
    assert found == {}


def test_docstrings_of_functions_do_not_open_with_what():
    opened = [
        f"{name_of(path)}: {text}"
        for path in FILES
        if path.suffix == ".py"
        for text in OPENED.findall(path.read_text(encoding="utf-8"))
    ]
    assert opened == []


def test_the_list_finds_the_old_sentences():
    assert idioms("3 left alone that are called as results are") != []
    assert idioms("Of 100 megapixels the network takes 40 s.") != []
    assert idioms("Existing files are never overwritten unless you pass `--overwrite`.") == []
    assert OPENED.findall('def f() -> None:\n    """Whether it is.\n\n    Or not.\n    """\n') != []
