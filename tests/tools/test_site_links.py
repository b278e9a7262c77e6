"""The check of the documentation site finds broken links and foreign scripts."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "tools/site/check_links.py"


@pytest.fixture(scope="module")
def problems():
    spec = importlib.util.spec_from_file_location("check_links", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.problems


@pytest.fixture
def site(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/index.html").write_text('<h1 id="top">Other</h1>')
    return tmp_path


@pytest.mark.parametrize(
    "page", ['<a href="other/#top">', '<a href="/other/">', '<a href="https://example.org/x">']
)
def test_good_links_are_accepted(page, site, problems):
    (site / "index.html").write_text(page)
    assert problems(site) == []


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('<a href="missing/">', "missing/, which does not exist"),
        ('<img src="no.jpg">', "no.jpg, which does not exist"),
        ('<a href="other/#bottom">', "lacks the anchor"),
        ('<script src="https://cdn.example.org/x.js">', "from another host"),
    ],
)
def test_bad_links_are_reported(page, problem, site, problems):
    (site / "index.html").write_text(page)
    (found,) = problems(site)
    assert problem in found
