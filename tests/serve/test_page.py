"""The page, in a real browser: photos in, slider, brush, downloads, accessibility."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import open_browser
from helpers.pictures_in_memory import decode, encode
from PIL import ExifTags, Image

from derain.cli.main import main

pytestmark = pytest.mark.slow
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def address(networks):
    command = [sys.executable, "-m", "derain.cli.main", "serve", "--port", "0"]
    command += ["--model", str(networks / "darkening.onnx")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield server.stdout.readline().split()[2]
    server.send_signal(signal.SIGTERM)
    server.wait(30)


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    context = browser.new_context(accept_downloads=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    hosts = []
    page.on("request", lambda request: hosts.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert errors == []
    assert [url for url in hosts if not url.startswith((address, "blob:", "data:"))] == []


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    """A photo with EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    image = np.random.default_rng(3).integers(120, 256, (120, 160, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photos") / "street.jpg"
    path.write_bytes(encode(image, "JPEG", exif=exif, quality=95))
    return path


def add(page, *paths):
    page.set_input_files("#files", [str(path) for path in paths])
    page.wait_for_function(
        "count => [...document.querySelectorAll('#queue .state')]"
        ".filter(state => state.textContent === 'restored').length === count",
        arg=len(paths),
    )


def download(page, selector="#download"):
    with page.expect_download() as expected:
        page.click(selector)
    return Path(expected.value.path()).read_bytes(), expected.value.suggested_filename


def pixel(page, x, y):
    """Return the colour of the stage at a share of its size, [red, green, blue]."""
    page.wait_for_timeout(100)  # two frames
    script = """([x, y]) => {
        const view = document.getElementById("view");
        const context = view.getContext("2d");
        return [...context.getImageData(view.width * x, view.height * y, 1, 1).data].slice(0, 3);
    }"""
    return page.evaluate(script, [x, y])


def test_download_equals_the_command_line(page, jpeg, networks, tmp_path):
    add(page, jpeg)
    data, name = download(page)
    assert name == "street_derained.jpg"
    model = str(networks / "darkening.onnx")
    assert main([str(jpeg), "-o", str(tmp_path / "out.jpg"), "--model", model, "-q"]) == 0
    assert data == (tmp_path / "out.jpg").read_bytes()


def test_download_keeps_exif(page, jpeg):
    add(page, jpeg)
    data, _ = download(page)
    assert Image.open(io.BytesIO(data)).getexif()[ExifTags.Base.Artist] == "Ada"


def test_slider_shows_both_sides(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    assert pixel(page, 0.45, 0.5) == [200, 200, 200]
    assert pixel(page, 0.55, 0.5) == [136, 136, 136]
    page.fill("#split", "100")
    assert pixel(page, 0.55, 0.5) == [200, 200, 200]


def test_divider_can_be_dragged(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    box = page.locator("#view").bounding_box()
    middle = box["y"] + box["height"] * 0.3
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=3)
    page.mouse.up()
    assert pixel(page, 0.75, 0.5) == [200, 200, 200]
    assert page.input_value("#split") == "80"


def test_brush_draws_lines(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    page.check("input[name=brush][value=protect]")
    box = page.locator("#view").bounding_box()
    middle = box["y"] + box["height"] * 0.5
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle)  # one event, as of a fast hand
    page.mouse.up()
    assert pixel(page, 0.75, 0.5) == [200, 200, 200]


def test_strength_blends_at_once(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    page.fill("#strength", "50")
    assert pixel(page, 0.75, 0.5) == pytest.approx([168] * 3, abs=2)
    data, _ = download(page)
    assert decode(data)[0, 0].tolist() == [168, 168, 168]


@pytest.mark.parametrize("name", ["Before / after", "Strength", "Size"])
def test_sliders_have_names(page, tmp_path, name):
    add(page, plain(tmp_path))
    assert page.get_by_role("slider", name=name).count() == 1


def test_rain_layer_is_a_view(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    page.check("input[name=mode][value=rain]")
    assert pixel(page, 0.5, 0.5) == pytest.approx([64] * 3, abs=2)


def test_brush_protects(page, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(encode(np.full((90, 160, 3), 200, np.uint8), "PNG"))
    add(page, path)
    page.check("input[name=brush][value=protect]")
    page.fill("#brush-size", "200")
    box = page.locator("#view").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    assert pixel(page, 0.6, 0.5) == [200, 200, 200]
    data, _ = download(page)
    restored = decode(data)
    assert restored.min() == 136
    assert restored.max() == 200


def test_all_photos_come_as_one_zip(page, jpeg, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(encode(np.full((20, 30, 3), 200, np.uint8), "PNG"))
    add(page, jpeg, other)
    data, name = download(page, "#download-all")
    assert name == "derained.zip"
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert names == ["street_derained.jpg", "other_derained.png"]


def test_bad_file_is_one_sentence(page, tmp_path):
    path = tmp_path / "notes.png"
    path.write_bytes(b"hello")
    page.set_input_files("#files", str(path))
    page.wait_for_selector("#queue .failed")
    assert "is not a picture" in page.text_content("#queue .failed")


def test_keyboard_zooms_and_pans(page, tmp_path):
    left_white = np.zeros((90, 160, 3), np.uint8)
    left_white[:, :80] = 255
    path = tmp_path / "halves.png"
    path.write_bytes(encode(left_white, "PNG"))
    add(page, path)
    page.fill("#split", "100")
    page.focus("#view")
    for key in ["+"] * 6 + ["ArrowLeft"] * 30:
        page.keyboard.press(key)
    assert pixel(page, 0.9, 0.5) == [255, 255, 255]


def test_two_fingers_zoom(browser, address, tmp_path):
    white_middle = np.zeros((90, 160, 3), np.uint8)
    white_middle[30:60, 60:100] = 255
    path = tmp_path / "middle.png"
    path.write_bytes(encode(white_middle, "PNG"))
    context = browser.new_context(has_touch=True)
    page = context.new_page()
    page.goto(address)
    add(page, path)
    page.fill("#split", "100")
    before = pixel(page, 0.7, 0.5)
    page.locator("#view").scroll_into_view_if_needed()
    box = page.locator("#view").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = context.new_cdp_session(page)
    for kind, apart in [("touchStart", 50), *(("touchMove", px) for px in range(60, 201, 20))]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    after = pixel(page, 0.7, 0.5)
    context.close()
    assert [before, after] == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_can_be_dropped_and_pasted(page, event):
    photo = encode(np.full((20, 30, 3), 200, np.uint8), "PNG")
    script = """([event, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "street.png", { type: "image/png" }));
        const sent = event === "drop"
            ? new DragEvent(event, { dataTransfer: data })
            : new ClipboardEvent(event, { clipboardData: data });
        document.dispatchEvent(sent);
    }"""
    page.evaluate(script, [event, [*photo]])
    page.wait_for_selector("#queue .state:text('restored')")
    assert page.text_content("#queue .name") == "street.png"


def plain(folder, name="plain.png", value=200):
    """Return the path of a grey photo of 160 x 90."""
    path = folder / name
    path.write_bytes(encode(np.full((90, 160, 3), value, np.uint8), "PNG"))
    return path


def test_failed_download_is_reported(page, tmp_path):
    add(page, plain(tmp_path))
    page.fill("#strength", "50")
    page.context.set_offline(True)
    page.click("#download")
    page.wait_for_selector("#download:enabled")
    assert page.text_content("#status") == "The server cannot be reached."


def test_photo_removed_during_its_download_is_left_out(page, tmp_path):
    add(page, *(plain(tmp_path, f"{name}.png") for name in "ab"))
    page.fill("#strength", "50")
    page.route("**/v1/restore", lambda route: None)
    with page.expect_download() as expected:
        page.click("#download-all")
        page.wait_for_selector("#status:has-text('restored again')")
        page.click("[aria-label='Remove a.png']")
    assert zipfile.ZipFile(expected.value.path()).namelist() == ["b_derained.png"]
    assert page.text_content("#status") == "restored"


def test_photo_removed_while_it_is_read_is_not_sent(page, tmp_path):
    removal = """() => {
        const stream = Blob.prototype.stream;
        Blob.prototype.stream = function () {
            document.querySelector("[aria-label='Remove a.png']")?.click();
            return stream.call(this);
        };
    }"""
    page.evaluate(removal)
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.set_input_files("#files", [str(plain(tmp_path, f"{name}.png")) for name in "ab"])
    page.wait_for_selector("#queue .state:has-text('restored')")
    assert sent.count("POST") == 1


def test_unreachable_server_can_be_tried_again(page, tmp_path):
    bad = tmp_path / "notes.png"
    bad.write_bytes(b"hello")
    page.set_input_files("#files", str(bad))
    page.wait_for_selector("#queue .failed")
    assert not page.is_visible("#try-again")  # it would fail again
    page.context.set_offline(True)
    page.set_input_files("#files", [str(plain(tmp_path, f"{name}.png")) for name in "ab"])
    page.wait_for_function("() => document.querySelectorAll('#queue .failed').length === 3")
    page.context.set_offline(False)
    page.click("#try-again")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#queue .state')]"
        ".filter(state => state.textContent === 'restored').length === 2"
    )
    assert not page.is_visible("#try-again")


def test_state_of_a_finished_photo_is_announced(page, tmp_path):
    add(page, plain(tmp_path))
    assert page.text_content("#status") == "restored"


@pytest.mark.parametrize(("strength", "colour"), [("100", 68), ("50", 84), ("0", 100)])
def test_transparent_photo_is_mixed_as_its_download(page, tmp_path, strength, colour):
    path = tmp_path / "half.png"
    image = np.full((90, 160, 4), 200, np.uint8)
    image[..., 3] = 128
    path.write_bytes(encode(image, "PNG"))
    add(page, path)
    page.fill("#strength", strength)
    page.fill("#split", "0")
    assert pixel(page, 0.5, 0.5) == pytest.approx([colour] * 3, abs=2)  # on black


def test_unreadable_file_is_reported(page, tmp_path):
    path = plain(tmp_path)
    page.route("**/v1/restore", lambda route: path.unlink() or route.continue_())
    page.set_input_files("#files", [str(plain(tmp_path, "first.png")), str(path)])
    page.wait_for_selector("#queue .failed")
    assert "cannot be read: it was moved" in page.text_content("#queue .failed")


def test_token_may_have_any_letters(page, tmp_path):
    def answer(route):
        if route.request.headers.get("authorization") == "Bearer ключ":  # sent as UTF-8
            route.fulfill(body=path.read_bytes(), content_type="image/png")
        else:
            route.fulfill(status=401, json={"detail": "the bearer token is missing or wrong"})

    path = plain(tmp_path)
    page.route("**/v1/restore", answer)
    page.set_input_files("#files", str(path))
    page.fill("#token", "ключ")
    page.click("#token-form button")
    page.wait_for_selector("#queue .state:text('restored')")


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("street.jpg", "street_derained.webp"),
        ("street.WEBP", "street_derained.WEBP"),
        ("street.v2", "street.v2_derained.webp"),
        ("street", "street_derained.webp"),
    ],
)
def test_download_has_a_suffix_of_its_format(page, tmp_path, name, result):
    path = tmp_path / name
    path.write_bytes(encode(np.full((20, 30, 3), 200, np.uint8), "WEBP"))
    add(page, path)
    assert download(page)[1] == result


def test_omissions_are_shown(page, tmp_path):
    path = tmp_path / "street.jpg"
    frame = Image.new("RGB", (32, 24), (200, 200, 200))
    frame.save(path, "MPO", save_all=True, append_images=[frame])
    add(page, path)
    assert "contains 2 pictures" in page.text_content("#queue .notes")


def test_focus_stays_while_photos_are_restored(page, tmp_path):
    waiting = []
    page.route("**/v1/restore", lambda route: waiting.append(route))
    page.set_input_files("#files", [str(plain(tmp_path, f"{name}.png")) for name in "ab"])
    page.focus("[aria-label='Remove b.png']")
    page.wait_for_timeout(200)  # the upload's progress
    waiting[0].continue_()
    page.wait_for_selector("#queue .state:text('restored')")
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove b.png"


def test_removed_photo_leaves_the_focus_to_its_neighbour(page, tmp_path):
    add(page, *(plain(tmp_path, f"{name}.png") for name in "ab"))
    page.focus("[aria-label='Remove a.png']")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaLabel") == "Remove b.png"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "files"


def test_download_of_all_needs_a_result(page, tmp_path):
    bad = tmp_path / "notes.png"
    bad.write_bytes(b"hello")
    page.set_input_files("#files", [str(bad), str(plain(tmp_path))])
    page.wait_for_selector("#queue .state:text('restored')")
    page.click("[aria-label='Remove plain.png']")
    assert page.is_disabled("#download-all")


def test_only_the_shown_photo_is_decoded(page, tmp_path):
    script = """() => {
        window.pictures = 0;
        for (const owner of [window, OffscreenCanvas.prototype]) {
            const name = owner === window ? "createImageBitmap" : "transferToImageBitmap";
            const create = owner[name];
            owner[name] = function (...args) {
                window.pictures++;
                return create.apply(this, args);
            };
        }
        const close = ImageBitmap.prototype.close;
        ImageBitmap.prototype.close = function () {
            window.pictures--;
            close.call(this);
        };
    }"""
    page.evaluate(script)
    add(page, *(plain(tmp_path, f"{name}.png") for name in "abcd"))
    page.click("#queue .name:text('c.png')")
    page.wait_for_timeout(200)
    assert page.evaluate("pictures") == 2
    assert pixel(page, 0.9, 0.5) == [136, 136, 136]


def test_brush_outlives_a_look_at_another_photo(page, tmp_path):
    add(page, *(plain(tmp_path, f"{name}.png") for name in "ab"))
    page.check("input[name=brush][value=protect]")
    page.fill("#brush-size", "200")
    box = page.locator("#view").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    for name in "ba":
        page.click(f"#queue .name:text('{name}.png')")
    assert pixel(page, 0.6, 0.5) == [200, 200, 200]


def test_panorama_is_high_enough_for_a_phone(page, tmp_path):
    page.set_viewport_size({"width": 360, "height": 740})
    path = tmp_path / "panorama.png"
    path.write_bytes(encode(np.full((20, 1000, 3), 200, np.uint8), "PNG"))
    add(page, path)
    assert page.locator("#stage").bounding_box()["height"] >= 160


def test_long_list_leaves_the_result_in_reach(page, tmp_path):
    page.route("**/v1/restore", lambda route: None)
    page.set_input_files("#files", [str(plain(tmp_path))] * 40)
    assert page.locator("#work").bounding_box()["y"] < 900


def test_page_fits_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(browser, address, jpeg, scheme):
    if not AXE.exists():
        if os.environ.get("CI"):
            pytest.fail("CI needs axe-core; run `npm install` in web/")
        pytest.skip("needs `npm install` in web/")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    add(page, jpeg)
    page.add_script_tag(path=str(AXE))
    result = page.evaluate("axe.run()")
    context.close()
    found = [(v["id"], [n["html"] for n in v["nodes"]]) for v in result["violations"]]
    assert found == []
