"""Rehearse a release: `python tools/release/rehearse.py dist` (extra `release`).

Builds sdist and wheels twice and compares them, checks their contents, and installs the wheels as
users do: in clean virtual environments of each Python, with the oldest and the newest supported
numpy and Pillow, without network, into a folder, and without root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "examples/rainy/rocket.jpg"
LIMIT_MB = 22
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
NOT_INSTALLED = "3.14"
"""No interpreter is needed: pip is asked if every requirement has a wheel for it."""
OLDEST = {"3.13": ("numpy==2.1.*", "pillow==11.3.*")}
"""numpy 1.26 has no wheels for Python 3.13."""
OLDEST_ELSEWHERE = ("numpy==1.26.*", "pillow==11.3.*")
EXTRAS = "onnxruntime,video,heif,serve"
NOBODY = 65534
VARIABLE = "DERAIN_NATIVE"
"""Environment variable that adds the engine `native` to the wheel (`hatch_build.py`)."""
LIBRARY = "derain/native/libderain_avx512bf16.so"


def main() -> None:
    """Run all steps; the first failure ends the rehearsal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for sdist and wheel")
    parser.add_argument("--python", nargs="*", default=[], help="interpreters to install into")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # readable for the user without root
        wheel, native = build_twice(output, folder)
        check_contents(wheel, has_library=False)
        check_contents(native, has_library=True)
        for python in arguments.python or list(interpreters()):
            rehearse(python, wheel, folder, native=native)
        check_newer_python(wheel, folder)


def build_twice(output: Path, folder: Path) -> tuple[Path, Path]:
    """Build the last commit into `output` and into `folder`; return the wheels.

    The first is for any system, the second has the engine `native`. Exits if the two builds differ.
    """
    source = folder / "source"
    source.mkdir()
    run("git", "archive", "--output", folder / "source.tar", "HEAD", cwd=ROOT)
    shutil.unpack_archive(folder / "source.tar", source)
    commit_time = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    environment = os.environ | {"SOURCE_DATE_EPOCH": commit_time}
    for target in (output, folder / "again"):
        shutil.rmtree(target, ignore_errors=True)
        for setting in ("0", "1"):
            variables = environment | {VARIABLE: setting}
            run(sys.executable, "-m", "build", "--outdir", target, cwd=source, env=variables)
    for path in sorted(output.iterdir()):
        first, second = (digest(file) for file in (path, folder / "again" / path.name))
        if first != second:
            sys.exit(f"{path.name}: two builds differ; look for dates and unsorted names")
        report(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, sha256 {first}, built twice")
    run(sys.executable, "-m", "twine", "check", "--strict", *output.iterdir())
    (wheel,), (native,) = (output.glob(f"*-{tag}.whl") for tag in ("none-any", "manylinux_*"))
    return wheel, native


def check_contents(wheel: Path, *, has_library: bool) -> None:
    """Exit if the wheel is too large, or has other parts of the package than it should."""
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("weights/models/best.onnx", "serve/page/index.html", "py.typed"):
        if f"derain/{needed}" not in names:
            sys.exit(f"{wheel.name}: lacks derain/{needed}")
    if (LIBRARY in names) != has_library:
        sys.exit(f"{wheel.name}: {'lacks' if has_library else 'has'} {LIBRARY}")
    if wheel.stat().st_size > LIMIT_MB * 1e6:
        sys.exit(f"{wheel.name}: is larger than {LIMIT_MB} MB; is a model stored twice?")
    models = [Path(name).name for name in names if "/weights/models/" in name]
    report(f"{wheel.name}: {', '.join(models)} and the page, below {LIMIT_MB} MB")


def rehearse(python: str, wheel: Path, folder: Path, *, native: Path) -> None:
    """Install the wheels in each way that users have, with one interpreter."""
    version = run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    wheels = folder / f"wheels-{version}"
    readable_python = readable(python, version, folder)
    libraries = {"LD_LIBRARY_PATH": str(Path(readable_python).parents[1] / "lib")}
    venv = create_venv(readable_python, folder / f"newest-{version}")
    pip(venv, "download", "-d", wheels, f"{wheel}[{EXTRAS}]")
    pip(venv, "install", "--no-index", "--find-links", wheels, f"derain[{EXTRAS}]")
    restore(venv, folder, env=libraries, user=NOBODY)
    report(f"Python {version}: newest requirements, extras {EXTRAS}, no network, no root")
    pip(venv, "install", "--no-index", "--no-deps", "--force-reinstall", native)
    restore(venv, folder, env=libraries, user=NOBODY)
    report(f"Python {version}: with the engine native, no root")
    venv = create_venv(python, folder / f"oldest-{version}")
    oldest = OLDEST.get(version, OLDEST_ELSEWHERE)
    pip(venv, "install", wheel, *oldest)
    restore(venv, folder)
    report(f"Python {version}: {' and '.join(oldest)}")
    target = folder / f"target-{version}"
    venv = create_venv(python, folder / f"bare-{version}")
    pip(venv, "install", "--no-index", "--find-links", wheels, "--target", target, "derain")
    restore(venv, folder, env={"PYTHONPATH": str(target)})
    report(f"Python {version}: pip install --target")


def check_newer_python(wheel: Path, folder: Path) -> None:
    """Report if pip finds wheels of every requirement for a Python that is not installed."""
    options = ["--dry-run", "--quiet", "--python-version", NOT_INSTALLED, "--only-binary=:all:"]
    for extras in ("", "[onnxruntime]", "[video]", "[heif]", "[serve]", "[plot]", "[train]"):
        command = [sys.executable, "-m", "pip", "install", *options, "--target", folder / "none"]
        result = subprocess.run([*command, f"{wheel}{extras}"], capture_output=True, text=True)
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        outcome = "wheels for every requirement" if result.returncode == 0 else lines[0]
        report(f"Python {NOT_INSTALLED}, derain{extras}: {outcome}")


def restore(
    venv: Path, folder: Path, *, env: dict[str, str] | None = None, user: int | None = None
) -> None:
    """Restore a picture with the installed command line. Exits if there is no result."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        shutil.copy(PICTURE, work / "photo.jpg")
        account: dict[str, Any] = {}
        if user is not None and os.getuid() == 0:
            for path in (work, work / "photo.jpg"):
                os.chown(path, user, user)
            account = {"user": user, "group": user, "extra_groups": []}
        home = {"HOME": str(work), "TMPDIR": str(work), "PATH": os.environ["PATH"]}
        python = [venv / "bin/python", "-m", "derain"]
        for command in (["--version"], ["info"], ["photo.jpg", "--model", "fast"]):
            run(*python, *command, cwd=work, env=home | (env or {}), **account)
        if not (work / "photo_derained.jpg").exists():
            sys.exit(f"{venv.name}: derain wrote no result")


def interpreters() -> Iterator[str]:
    """Yield the interpreters of VERSIONS that are on the PATH."""
    for version in VERSIONS:
        if path := shutil.which(f"python{version}"):
            yield path
        else:
            report(f"Python {version}: not on the PATH, skipped")


def readable(python: str, version: str, folder: Path) -> str:
    """Return an interpreter that any user can run: `python`, or a copy of its installation.

    A copy may need `lib` beside its `bin` as LD_LIBRARY_PATH.
    """
    prefix = Path(run(python, "-c", "import sys; print(sys.base_prefix)").strip())
    if all(path.stat().st_mode & 0o005 == 0o005 for path in (prefix, *prefix.parents)):
        return python
    copy = folder / f"python-{version}"
    ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__")
    shutil.copytree(prefix, copy, symlinks=True, ignore=ignored)
    return str(copy / f"bin/python{version}")


def create_venv(python: str, path: Path) -> Path:
    """Create a clean virtual environment."""
    run(python, "-m", "venv", path)
    return path


def pip(venv: Path, command: str, *arguments: str | Path) -> None:
    """Run pip quietly."""
    run(venv / "bin/python", "-m", "pip", command, "-q", *arguments)


def run(*command: str | Path, **options: Any) -> str:
    """Run a command and return its output. Exits with its messages if it fails."""
    result = subprocess.run(list(command), capture_output=True, text=True, check=False, **options)
    if result.returncode:
        words: Sequence[str] = [str(word) for word in command]
        sys.exit(f"{' '.join(words)}: exit code {result.returncode}\n{result.stderr[-2000:]}")
    return result.stdout


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def report(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
