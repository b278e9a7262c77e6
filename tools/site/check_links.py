"""Check that every link, picture and script of the built site exists, and that none is foreign."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src")}
"""What a browser loads with the page; it must come from the site itself."""
SEPARATE = "app"
"""Folder of the page that restores photos; it has tests of its own."""


class Links(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, bool]] = []
        """(address, is loaded with the page)"""
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what one tag names."""
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        for key in ("href", "src"):
            if address := values.get(key):
                is_loaded = (tag, key) in LOADED or (
                    tag == "link" and values.get("rel") in ("stylesheet", "icon")
                )
                self.links.append((address, is_loaded))


def problems(site: Path) -> list[str]:
    """Return a sentence for each broken link below `site`, and for each foreign script."""
    pages = {path: read(path) for path in site.rglob("*.html") if SEPARATE not in path.parts}
    return [problem for path in sorted(pages) for problem in problems_of(path, site, pages)]


def problems_of(path: Path, site: Path, pages: dict[Path, Links]) -> Iterator[str]:
    """Yield the problems of one page."""
    for address, is_loaded in pages[path].links:
        target, anchor = urldefrag(address)
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            if is_loaded:
                yield f"{path}: loads {address} from another host; keep a copy in docs/assets"
            continue
        relative = unquote(parts.path)
        # a page for a missing address is served at any depth, so that its links are absolute
        base = site if relative.startswith("/") else path.parent
        file = (base / relative.lstrip("/")).resolve() if relative else path
        if file.is_dir():
            file /= "index.html"
        if not file.exists():
            yield f"{path}: links to {address}, which does not exist"
        elif anchor and file in pages and unquote(anchor) not in pages[file].anchors:
            yield f"{path}: links to {address}, but that page lacks the anchor"


def read(path: Path) -> Links:
    """Return the links of a page."""
    links = Links()
    links.feed(path.read_text(encoding="utf-8"))
    return links
