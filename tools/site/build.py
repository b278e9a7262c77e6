"""Build the documentation site: `python tools/site/build.py` (extra `docs`).

Writes `build/site`. Without network; any warning or broken link is an error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import check_links
import gallery

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
RUNTIME = ROOT / "web/node_modules/onnxruntime-web/dist"
"""Filled by `npm install` in `web/`."""


def main() -> int:
    """Build the pictures, the pages and the page that restores in the browser; check the links."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep-gallery", action="store_true", help="do not restore again")
    parser.add_argument("--runtime", type=Path, default=RUNTIME, help="dist of onnxruntime-web")
    arguments = parser.parse_args()
    if not (arguments.keep_gallery and (BUILD / "gallery" / gallery.CAPTIONS).exists()):
        gallery.main(BUILD / "gallery")
    python = [sys.executable, "-m"]
    mkdocs = [*python, "mkdocs", "build", "--strict", "--quiet"]
    # the notice concerns a version that the extra excludes
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(mkdocs, cwd=ROOT, env=environment, check=True)
    app = [BUILD / "site/try/app", "--runtime", arguments.runtime]
    subprocess.run([*python, "derain", "web", *app], check=True)
    problems = check_links.problems(BUILD / "site")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
