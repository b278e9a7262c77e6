"""Hooks of mkdocs: generated parts of pages, and pages for files outside of `docs/`.

A comment `<!-- site:PART ARGUMENTS -->` in a page is replaced by what `PARTS` makes of it.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from derain.cli.main import VERBS

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "build/gallery"
MARKER = re.compile(r"<!-- site:(\w+) ?(.*?) -->")
LINK = re.compile(r"\]\(([^)#:]+)((?:#[^)]*)?)\)")
HELP_COLUMNS = "84"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures of the gallery, and the files that pages link to outside of `docs/`."""
    for path in sorted(GALLERY.glob("*.jpg")):
        files.append(File.generated(config, f"assets/gallery/{path.name}", abs_src_path=str(path)))
    outside = {
        target
        for file in files.documentation_pages()
        for link, _ in LINK.findall(file.content_string)
        if (target := outside_target(file.src_uri, link)) is not None
    }
    for target in sorted(outside):
        files.append(
            File.generated(
                config,
                page_of(target),
                content=contents_of(ROOT / target),
                inclusion=InclusionLevel.NOT_IN_NAV,
            )
        )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in generated parts, and redirect links that lead out of `docs/`."""

    def redirect(match: re.Match[str]) -> str:
        target = outside_target(page.file.src_uri, match[1])
        if target is None:
            return match[0]
        folder = posixpath.dirname(page.file.src_uri) or "."
        return f"]({posixpath.relpath(page_of(target), folder)}{match[2]})"

    if page.file.generated_by is None:
        markdown = LINK.sub(redirect, markdown)
    return MARKER.sub(lambda match: PARTS[match[1]](match[2], page), markdown)


def outside_target(page_uri: str, link: str) -> str | None:
    """Return the path of a link relative to the repository, if it leads out of `docs/`."""
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page_uri), link))
    return None if target == "docs" or target.startswith("docs/") else target


def page_of(target: str) -> str:
    """Return the page of the site that shows a file or folder of the repository."""
    return f"repository/{target.removesuffix('/README.md').replace('.', '-')}.md"


def contents_of(path: Path) -> str:
    """Return a page with a text, the README of a folder, or the recipes in it."""
    if (path / "README.md").exists():
        path /= "README.md"
    if path.suffix == ".md":
        # links of such a text lead to files that the site does not have
        return re.sub(r"\[([^]]+)\]\((?!https?:)[^)]+\)", r"\1", path.read_text("utf-8"))
    if not path.is_dir():
        return f"# `{path.name}`\n\n{code_block(path.read_text('utf-8'), path.suffix[1:])}"
    blocks = [
        f"## `{recipe.name}`\n\n{code_block(recipe.read_text('utf-8'), 'toml')}"
        for recipe in sorted(path.glob("*.toml"))
    ]
    return "\n\n".join([f"# `{path.name}/`", *blocks])


def code_block(text: str, language: str) -> str:
    """Return text as a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"


def read_gallery() -> list[dict[str, Any]]:
    """Return the scenes of `gallery.py`, in the order of the page."""
    scenes: list[dict[str, Any]] = json.loads((GALLERY / "gallery.json").read_text())
    return scenes


def slider(name: str, page: Page) -> str:
    """Return a slider between the rainy and the restored side of one scene."""
    (scene,) = [scene for scene in read_gallery() if scene["name"] == name]
    size = f'width="{scene["width"]}" height="{scene["height"]}" loading="lazy"'
    images = [
        f'<img class="{side}" {size} alt="{html.escape(scene["caption"])} ({side})"'
        f' src="{get_relative_url("assets/gallery/" + scene[side]["file"], page.url)}">'
        for side in ("rainy", "restored")
    ]
    label = "Boundary between the rainy and the restored side"
    return (
        f'<div class="compare">{"".join(images)}'
        f'<input type="range" min="0" max="100" value="50" aria-label="{label}"></div>'
    )


def gallery(category: str, page: Page) -> str:
    """Return the scenes of a category, each with its scores and its source."""
    figures = []
    for scene in read_gallery():
        if scene["category"] != category:
            continue
        scores = f"PSNR {scene['rainy']['psnr']} → {scene['restored']['psnr']} dB"
        if not scene["has_rain"]:
            scores = f"PSNR against the input: {scene['restored']['psnr']} dB"
        figures.append(
            f"<figure>{slider(scene['name'], page)}<figcaption>{html.escape(scene['caption'])}"
            f"<br><small>{scores}. Photo: {scene['credit']}.</small></figcaption></figure>"
        )
    if not figures:
        raise ValueError(f"{page.file.src_uri}: no scene of gallery.py has category {category!r}")
    return f'<div class="gallery">{"".join(figures)}</div>'


def commands(_: str, page: Page) -> str:
    """Return the help of every verb, as the command line prints it."""
    return "\n\n".join(
        f"## {f'derain {verb}'.strip()}\n\n{code_block(help_of(verb), 'text')}"
        for verb in ("", *VERBS)
    )


def help_of(verb: str) -> str:
    """Return the output of `derain VERB --help`."""
    environment = os.environ | {"COLUMNS": HELP_COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "derain", *verb.split(), "--help"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in run.stdout.strip("\n").splitlines())


PARTS: dict[str, Callable[[str, Page], str]] = {
    "slider": slider,
    "gallery": gallery,
    "commands": commands,
}
