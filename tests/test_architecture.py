"""The rooms of the package, and which of them may import which."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "derain"
BASE = {"errors", "files", "suffixes", "environment"}
MAY_IMPORT = {
    "errors": set(),
    "suffixes": set(),
    "environment": set(),
    "files": {"errors"},
    "result_names": {"errors", "files", "suffixes"},
    "weights": {"errors", "files"},
    "rain": {"errors"},
    "motion": set(),
    "pictures": {"errors", "files", "suffixes"},
    "native": set(),
    "inference": {*BASE, "weights", "pictures", "native"},
    "photos": {*BASE, "result_names", "pictures", "inference"},
    "cluster": {*BASE, "result_names", "inference", "photos"},
    "video": {*BASE, "result_names", "pictures", "motion", "inference"},
    "serve": {*BASE, "weights", "pictures", "inference", "photos"},
    "data": {*BASE, "pictures", "motion", "rain"},
    "evaluate": {*BASE, "weights", "pictures", "inference", "data"},
    "network": {"errors", "files", "weights"},
    "kernels": {"errors", "files", "network"},
    "rivals": {*BASE, "weights", "network", "export"},
    "export": {*BASE, "weights", "inference", "network"},
    "train": {*BASE, "weights", "inference", "data", "evaluate", "network", "kernels", "rivals"},
    "plot": {"errors", "files", "inference", "data", "network", "train"},
}
"""Room -> rooms that it may import. `cli` may import all of them; none may import `cli`."""
LEARNING = {"network", "kernels", "rivals", "export", "train", "plot"}
"""The wing that needs torch."""


def room_of(module: str) -> str:
    """Return the room of a module below `derain`; "" for the package itself."""
    return module.split(".")[1] if module.count(".") else ""


@cache
def imports_of(path: Path) -> set[str]:
    """Return the modules of derain that a file imports, at its top or inside a function."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if alias.name.startswith("derain.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "derain":
            for alias in node.names:
                submodule = SOURCE.joinpath(*node.module.split(".")[1:], alias.name)
                is_module = submodule.is_dir() or submodule.with_suffix(".py").exists()
                imported.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return imported - {"derain"}


MODULES = {
    ".".join(("derain", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in SOURCE.rglob("*.py")
}


def test_every_room_is_in_the_table():
    rooms = {room_of(module) for module in MODULES} - {"", "cli", "__main__"}
    assert rooms == set(MAY_IMPORT)


def test_the_table_has_no_circle():
    TopologicalSorter(MAY_IMPORT).prepare()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room):
    imported = {
        room_of(target)
        for module, path in MODULES.items()
        if room_of(module) == room
        for target in imports_of(path)
    }
    assert imported - {room} <= MAY_IMPORT[room]


def test_modules_import_each_other_without_circles():
    """A package's own `__init__` re-exports its modules, so that it is left out."""
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    graph = {m: imports_of(path) - packages for m, path in MODULES.items() if m not in packages}
    TopologicalSorter(graph).prepare()


def test_the_inference_wing_imports_no_torch():
    modules = sorted(m for m in MODULES if room_of(m) not in {*LEARNING, "__main__"})
    script = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_equations_name_no_accelerator():
    named = [p.name for p in (SOURCE / "network").glob("*.py") if "kernels" in p.read_text()]
    assert named == []
