"""Compiling the libraries, and the platform of a wheel that holds them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from derain.native import build as native
from derain.native.build import INSTRUCTION_SETS, BuildError, build, platform_tag

SOURCE = """
#include <thread>
#include "answer.h"
extern "C" __attribute__((visibility("default"))) int answer() {
  int value = 0;
  std::thread([&] { value = ANSWER; }).join();
  return value;
}
"""
NAMES = [each.file_name for each in INSTRUCTION_SETS]


@pytest.fixture(autouse=True)
def _compiler():
    if not native.is_supported_system():
        pytest.skip("not Linux on x86-64")
    if shutil.which("g++") is None and shutil.which("clang++") is None and "CI" not in os.environ:
        pytest.skip("no C++ compiler")


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "library.cpp").write_text(SOURCE)
    (folder / "answer.h").write_text("#define ANSWER 42\n")
    return folder


def test_each_instruction_set_has_its_library(sources, tmp_path):
    libraries = build(tmp_path / "new" / "out", sources=sources)
    assert [path.name for path in libraries] == NAMES
    assert sorted(path.name for path in libraries[0].parent.iterdir()) == sorted(NAMES)


def test_library_exports_its_functions(sources, tmp_path):
    (library, *_) = build(tmp_path / "out", sources=sources)
    # the processor of this machine may lack the instructions, but these functions need none
    assert ctypes.CDLL(str(library)).answer() == 42


def test_builds_are_equal(sources, tmp_path):
    first, second = (build(tmp_path / name, sources=sources) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_failure_keeps_the_former_library(sources, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / NAMES[0]).write_bytes(b"former")
    (sources / "answer.h").write_text("#define ANSWER nothing\n")
    with pytest.raises(BuildError, match=r"^[^\n]*does not compile \([^\n]*nothing[^\n]*$"):
        build(out, sources=sources)
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [(NAMES[0], b"former")]


def test_missing_compiler_is_one_sentence(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(BuildError, match=r"no C\+\+ compiler \(no-such-compiler\); install one"):
        build(tmp_path / "out", sources=sources)


def test_missing_default_compilers_are_named(sources, tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"no C\+\+ compiler \(g\+\+ or clang\+\+\)"):
        build(tmp_path / "out", sources=sources)


def test_options_of_the_compiler_are_kept(sources, tmp_path, monkeypatch):
    (sources / "answer.h").write_text("")
    monkeypatch.setenv("CXX", f"{native.find_compiler()[0]} -DANSWER=7")
    (library, *_) = build(tmp_path / "out", sources=sources)
    assert ctypes.CDLL(str(library)).answer() == 7


def test_missing_sources_are_one_sentence(tmp_path):
    with pytest.raises(BuildError, match=r"holds no C\+\+ sources"):
        build(tmp_path / "out", sources=tmp_path)


def test_folder_that_is_a_file_is_one_sentence(sources, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(BuildError, match=r"cannot be written"):
        build(tmp_path / "out", sources=sources)


def test_other_systems_are_one_sentence(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(native.platform, "machine", lambda: "aarch64")
    with pytest.raises(BuildError, match="on Linux on x86-64 only; unset DERAIN_NATIVE"):
        build(tmp_path / "out", sources=sources)


def test_wheel_needs_the_glibc_of_its_newest_symbol(tmp_path):
    contents = {"a.so": b"\0GLIBC_2.2.5\0GLIBC_2.28\0", "b.so": b"\0GLIBC_2.9\0x GLIBC_2.99\0"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    assert platform_tag([tmp_path / name for name in contents]) == "manylinux_2_28_x86_64"


@pytest.mark.parametrize(
    ("data", "tag"),
    [(b"\0GLIBC_2.2.5\0", "manylinux_2_5_x86_64"), (b"\0musl\0", "linux_x86_64")],
)
def test_wheel_for_an_old_glibc_or_another_library(data, tag, tmp_path):
    (tmp_path / "a.so").write_bytes(data)
    assert platform_tag([tmp_path / "a.so"]) == tag


def test_tag_agrees_with_the_symbols_that_objdump_finds(sources, tmp_path):
    if shutil.which("objdump") is None:
        pytest.skip("no objdump")
    libraries = build(tmp_path / "out", sources=sources)
    text = subprocess.run(
        ["objdump", "-T", *libraries], check=True, capture_output=True, text=True
    ).stdout
    needed = {int(word.split(".")[1].rstrip(")")) for word in text.split() if "GLIBC_2." in word}
    assert platform_tag(libraries) == f"manylinux_2_{max(needed)}_x86_64"


def test_it_imports_neither_derain_nor_numpy():
    """The build of the wheel loads it by its path, where neither derain nor numpy is installed."""
    code = (
        "import runpy, sys; "
        f"runpy.run_path({str(native.__file__)!r}); "
        "sys.exit(any(name.split('.')[0] in {'derain', 'numpy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
