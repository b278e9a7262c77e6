"""The static page: its files, and a restoration in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import open_browser
from helpers.pictures_in_memory import encode
from helpers.static_page import restore_in, serving
from PIL import Image

from derain import Restorer
from derain.cli.main import main
from derain.errors import DerainError
from derain.evaluate.metrics import psnr
from derain.serve.static_page import RUNTIME_FILES, WEBGPU_FILES, build_static_page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stub_runtime(tmp_path):
    """A folder with files of the runtime's names."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in (*RUNTIME_FILES, *WEBGPU_FILES):
        (folder / name).write_text(name)
    return folder


def test_folder_is_complete(tmp_path, networks, stub_runtime):
    names = build_static_page(
        tmp_path / "out", model=str(networks / "copying.onnx"), runtime=stub_runtime
    )
    assert [name for name in names if not (tmp_path / "out" / name).is_file()] == []


def test_every_file_but_those_of_webgpu_is_kept_offline(tmp_path, networks, stub_runtime):
    names = build_static_page(
        tmp_path / "out", model=str(networks / "copying.onnx"), runtime=stub_runtime
    )
    listed = json.loads((tmp_path / "out/files.json").read_text())
    left_out = {"files.json", *(f"runtime/{name}" for name in WEBGPU_FILES)}
    assert {*listed} == {"./", *names} - left_out


@pytest.mark.parametrize("missing", WEBGPU_FILES)
def test_page_offers_webgpu_with_all_of_its_files_alone(tmp_path, networks, stub_runtime, missing):
    model = str(networks / "copying.onnx")
    build_static_page(tmp_path / "with", model=model, runtime=stub_runtime)
    (stub_runtime / missing).unlink()
    build_static_page(tmp_path / "without", model=model, runtime=stub_runtime)
    pages = [(tmp_path / name / "index.html").read_text() for name in ("with", "without")]
    assert ["data-webgpu" in page for page in pages] == [True, False]


def test_page_names_its_model(tmp_path, networks, stub_runtime):
    build_static_page(tmp_path / "out", model=str(networks / "copying.onnx"), runtime=stub_runtime)
    assert 'data-model="models/copying.onnx"' in (tmp_path / "out/index.html").read_text()


def test_page_names_the_multiple_of_its_model(tmp_path, stub_runtime):
    for name in ("best", "fast"):
        build_static_page(tmp_path / name, model=name, runtime=stub_runtime)
    pages = [(tmp_path / name / "index.html").read_text() for name in ("best", "fast")]
    assert ['data-multiple="56"' in pages[0], 'data-multiple="112"' in pages[1]] == [True, True]


def test_name_of_the_model_is_quoted_in_addresses(tmp_path, networks, stub_runtime):
    model = shutil.copy(networks / "copying.onnx", tmp_path / "my#net 100%.onnx")
    out = tmp_path / "out"
    names = build_static_page(out, model=str(model), runtime=stub_runtime)
    quoted = "models/my%23net%20100%25.onnx"
    assert f'data-model="{quoted}"' in (out / "index.html").read_text()
    assert quoted in json.loads((out / "files.json").read_text())
    assert (out / "models/my#net 100%.onnx").is_file()
    assert "models/my#net 100%.onnx" in names


def test_browsers_notice_a_new_version(tmp_path, networks, stub_runtime):
    build_static_page(tmp_path / "a", model=str(networks / "copying.onnx"), runtime=stub_runtime)
    (stub_runtime / RUNTIME_FILES[0]).write_text("another runtime")
    build_static_page(tmp_path / "b", model=str(networks / "copying.onnx"), runtime=stub_runtime)
    workers = [(tmp_path / name / "offline.js").read_text() for name in "ab"]
    assert workers[0] != workers[1]


def test_incomplete_runtime_is_rejected(tmp_path, networks):
    with pytest.raises(DerainError, match=r"has no ort\.wasm\.min\.mjs; name the folder `dist`"):
        build_static_page(tmp_path / "out", model=str(networks / "copying.onnx"), runtime=tmp_path)


def test_verb_reports_the_size(tmp_path, networks, stub_runtime, capsys):
    model, runtime = str(networks / "copying.onnx"), str(stub_runtime)
    assert main(["web", str(tmp_path / "out"), "--model", model, "--runtime", runtime]) == 0
    assert " files, " in capsys.readouterr().out


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee", "rocket"])
def test_browser_equals_python(browser, static_page, tmp_path, name):
    """Several tiles, in colour and in grey; 45 dB and more to the float32 result."""
    rainy = np.asarray(Image.open(ROOT / f"examples/rainy/{name}.jpg").convert("RGB"))
    path = tmp_path / "photo.png"
    path.write_bytes(encode(rainy, "PNG"))
    page = browser.new_page(accept_downloads=True)
    page.goto(static_page)
    page.wait_for_timeout(1500)  # it reloads once, to use several threads
    restored = restore_in(page, path)
    page.close()
    expected = Restorer("fast", precision="float32")(rainy)
    assert psnr(restored.astype(float), expected.astype(float), peak=255) > 45


@pytest.mark.slow
def test_tiles_start_at_multiples_of_the_network(browser, tmp_path):
    """At others, its windows would fall elsewhere, and single pixels would differ by 13 levels."""
    rainy = np.asarray(Image.open(ROOT / "examples/rainy/rocket.jpg").convert("RGB"))[100:220]
    path = tmp_path / "photo.png"
    path.write_bytes(encode(rainy, "PNG"))
    with serving(tmp_path / "page", "fast") as address:
        page = browser.new_page(accept_downloads=True)
        page.goto(address)
        page.wait_for_timeout(1500)  # it reloads once, to use several threads
        restored = restore_in(page, path)
        page.close()
    expected = Restorer("fast", precision="float32")(rainy)
    assert np.abs(restored.astype(int) - expected).max() <= 3


@pytest.mark.slow
def test_page_works_offline_after_the_first_visit(browser, static_page, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(np.full((40, 50, 3), 128, np.uint8), "PNG"))
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(static_page)
    page.evaluate("async () => { await navigator.serviceWorker.ready }")
    page.wait_for_timeout(1500)
    context.set_offline(True)
    page.reload()
    assert restore_in(page, path).shape == (40, 50, 3)
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "result"),
    [("gif", "photo_derained.png"), ("png", "photo_derained.png"), ("jpeg", "photo_derained.jpeg")],
)
def test_download_is_named_after_its_format(browser, copying_page, tmp_path, suffix, result):
    path = tmp_path / f"photo.{suffix}"
    path.write_bytes(encode(np.full((40, 50, 3), 128, np.uint8), suffix.upper()))
    page = browser.new_page(accept_downloads=True)
    page.goto(copying_page)
    page.wait_for_timeout(1500)
    page.set_input_files("#files", str(path))
    page.wait_for_selector("#queue .state:text('restored')")
    with page.expect_download() as expected:
        page.click("#download")
    assert expected.value.suggested_filename == result
    page.close()


@pytest.mark.slow
def test_page_stays_alive_while_it_restores(browser, static_page, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(np.full((600, 900, 3), 128, np.uint8), "PNG"))
    page = browser.new_page()
    page.goto(static_page)
    page.wait_for_timeout(1500)
    page.set_input_files("#files", str(path))
    page.wait_for_selector("#queue progress")
    longest = page.evaluate(
        """async () => {
            let last = performance.now(), longest = 0;
            for (let i = 0; i < 40; i++) {
                await new Promise((resolve) => setTimeout(resolve, 25));
                longest = Math.max(longest, performance.now() - last);
                last = performance.now();
            }
            return longest;
        }"""
    )
    page.close()
    assert longest < 2000


@pytest.mark.slow
def test_page_restores_12_megapixels(browser, copying_page, tmp_path):
    rows = np.arange(3000, dtype=np.uint16)[:, None] // 12
    image = np.repeat(np.broadcast_to(rows, (3000, 4000)).astype(np.uint8)[..., None], 3, axis=2)
    path = tmp_path / "photo.png"
    path.write_bytes(encode(image, "PNG"))
    page = browser.new_page(accept_downloads=True)
    page.goto(copying_page)
    page.wait_for_timeout(1500)
    restored = restore_in(page, path)
    page.close()
    np.testing.assert_allclose(restored.astype(int), image, atol=1)


@pytest.mark.parametrize("command", [["serve"], ["web", "out"]])
def test_networks_for_clips_are_rejected_at_once(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--model", "clip"]) == 1
    assert "restores clips, since it needs 3 frames" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
