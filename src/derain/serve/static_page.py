"""The page as a static folder: it restores photos in the visitor's own browser."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from derain.errors import DerainError
from derain.files.atomic import atomic_write, writing
from derain.files.paths import create_folder, is_file
from derain.weights import find

RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What the page needs of ONNX Runtime Web."""
WEBGPU_FILES = (
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
"""The runtime's build with WebGPU. Without them, or where WebGPU fails, WebAssembly restores."""
RUNTIME_PACKAGE = "derain_web"
UNVERSIONED = '"development"'
"""Version in the service worker of the sources."""
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; img-src 'self' blob: data:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
"""The page can send nothing to another host."""


def build_static_page(folder: Path, *, model: str, runtime: Path | None = None) -> list[str]:
    """Write the page, one model and the runtime into `folder`; return the names of the files.

    `runtime` is the folder `dist` of the npm package onnxruntime-web; without it, the files come
    from the distribution `derain-web`. Existing files are replaced. Raises DerainError.
    """
    network = find(model)
    network.require_pictures()
    name = f"models/{network.name}.onnx"
    contents: dict[str, bytes] = {}
    for entry in files("derain.serve").joinpath("page").iterdir():
        contents[entry.name] = entry.read_bytes()
    contents[name] = network.onnx_path.read_bytes()
    library = _read_runtime(runtime)
    contents |= {f"runtime/{key}": data for key, data in library.items()}
    index = contents["index.html"].decode()
    has_webgpu = library.keys() >= {*WEBGPU_FILES}
    beside = {"model": quote(name), "multiple": str(network.multiple_px)}
    if has_webgpu:
        beside["webgpu"] = ""
    contents["index.html"] = _local_index(index, beside).encode()
    contents["offline.js"] = _versioned(contents).encode()
    names = [*contents, "files.json"]
    # "./" is the page itself, as visitors open it; few need WebGPU's files, which are large
    skipped = {f"runtime/{key}" for key in WEBGPU_FILES}
    kept = ["./", *(quote(key) for key in contents if key not in skipped)]
    contents["files.json"] = json.dumps(kept, indent=1).encode()
    for key, data in contents.items():
        path = folder / key
        create_folder(path.parent)
        with writing(path, DerainError), atomic_write(path) as file:
            file.write(data)
    return names


def _read_runtime(folder: Path | None) -> dict[str, bytes]:
    if folder is not None:
        missing = [name for name in RUNTIME_FILES if not is_file(folder / name)]
        if missing:
            raise DerainError(
                f"{folder}: has no {missing[0]}; name the folder `dist` of onnxruntime-web"
            )
        names = (*RUNTIME_FILES, *(name for name in WEBGPU_FILES if is_file(folder / name)))
        return {name: (folder / name).read_bytes() for name in names}
    if find_spec(RUNTIME_PACKAGE) is None:
        raise DerainError(
            "the page needs ONNX Runtime Web; run `npm install onnxruntime-web`, and name its "
            "folder with `--runtime node_modules/onnxruntime-web/dist`"
        )
    package = files(RUNTIME_PACKAGE)
    names = (*RUNTIME_FILES, *(name for name in WEBGPU_FILES if package.joinpath(name).is_file()))
    return {name: package.joinpath(name).read_bytes() for name in names}


def _local_index(index: str, beside: Mapping[str, str]) -> str:
    """Return the page that restores with the files beside it.

    `beside` has the network's address, in which `#`, `?` and `%` mean something, the multiples at
    which its tiles start, and perhaps `webgpu`.
    """
    policy = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}" />'
    data = " ".join(f'data-{key}="{html.escape(value)}"' for key, value in beside.items())
    return index.replace('<html lang="en">', f'<html lang="en" {data}>').replace(
        '<meta charset="utf-8" />', f'<meta charset="utf-8" />\n    {policy}'
    )


def _versioned(contents: dict[str, bytes]) -> str:
    """Return the service worker with a digest of all files, which makes browsers fetch new ones."""
    digest = hashlib.sha256()
    for name, data in sorted(contents.items()):
        digest.update(f"{name} {len(data)} ".encode() + data)
    worker = contents["offline.js"].decode()
    return worker.replace(UNVERSIONED, f'"{digest.hexdigest()[:16]}"')


def describe(folder: Path, names: Sequence[str]) -> str:
    """Return a summary: the number of files, and their size."""
    size = sum((folder / name).stat().st_size for name in names) / 2**20
    return f"{folder}: {len(names)} files, {size:.1f} MiB"
