"""Build of the wheel: with DERAIN_NATIVE=1 in the environment, it holds the engine `native`.

Without the variable, nothing is compiled and the wheel is for any system. An editable installation
has the libraries among the sources.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "DERAIN_NATIVE"
PACKAGE = "derain/native"


class NativeBuildHook(BuildHookInterface[Any]):
    """Compiles the C++ of `src/derain/native`."""

    PLUGIN_NAME = "custom"
    _temporary: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is written; exit with one sentence if that is impossible.

        `version` is `editable` for an editable installation.
        """
        setting = os.environ.get(VARIABLE, "0")
        if setting in {"", "0"}:
            return
        if setting != "1":
            self.app.abort(f"{VARIABLE}={setting}: is not a valid value; use 1, or unset it")
        sources = Path(self.root, "src", PACKAGE)
        native = _load(sources / "build.py")
        if version != "editable":
            self._temporary = tempfile.mkdtemp(prefix="derain-native-")
        try:
            libraries = native.build(Path(self._temporary or sources))
        except native.BuildError as error:
            self._remove_temporary()
            self.app.abort(str(error))
        if version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{native.platform_tag(libraries)}"
            for path in libraries:
                build_data["force_include"][str(path)] = f"{PACKAGE}/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, which is in the wheel now."""
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _load(path: Path) -> Any:
    """Load a module by its path."""
    specification = importlib.util.spec_from_file_location("derain_native_build", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
