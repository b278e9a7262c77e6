"""The README, the pages it links to, and what must not be in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
PRIVATE = re.compile(r"""(?<!-)shared["'/]|parents\[3\]""")  # -shared is an option of compilers


def test_ci_runs_the_readme_command():
    (line,) = [line for line in README.splitlines() if "-m pytest" in line]
    assert line in (ROOT / ".ci/run").read_text(encoding="utf-8")


def links_of(pattern):
    """Return (page, what the pattern finds) for all pages."""
    found = [
        (page, link) for page in PAGES for link in re.findall(pattern, page.read_text("utf-8"))
    ]
    assert found
    return found


def test_links_exist():
    links = links_of(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_anchors_exist():
    links = links_of(r"\]\(([^)#:]*)#([^)]+)\)")
    missing = [
        (page.name, target, anchor)
        for page, (target, anchor) in links
        if anchor not in anchors(page, target)
    ]
    assert missing == []


def anchors(page, target):
    """Return the anchors of the headings of a linked page."""
    text = (page.parent / target if target else page).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_no_path_leads_out_of_the_repository():
    folders = ("src", "docs", "recipes", "tests", "examples", "benchmarks", "README.md")
    found = [
        str(path)
        for folder in folders
        for path in ([ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".md", ".toml", ".css", ".html"}
        and path != Path(__file__)
        and PRIVATE.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
