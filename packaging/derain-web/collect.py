"""Copy the files of the npm package: `python collect.py node_modules/onnxruntime-web`."""

import json
import re
import shutil
import sys
from pathlib import Path

from derain.serve.static_page import RUNTIME_FILES, WEBGPU_FILES

HERE = Path(__file__).parent


def main(package: Path) -> None:
    """Copy the files, and check that the versions agree."""
    version = json.loads((package / "package.json").read_text())["version"]
    text = (HERE / "pyproject.toml").read_text()
    (own,) = re.findall(r'^version = "(.+)"$', text, re.MULTILINE)
    if version != own:
        sys.exit(f"{package}: has version {version}, pyproject.toml {own}; make them equal")
    for name in (*RUNTIME_FILES, *WEBGPU_FILES):
        shutil.copy(package / "dist" / name, HERE / "src/derain_web" / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
