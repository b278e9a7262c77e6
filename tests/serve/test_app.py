"""The HTTP interface: photos in, photos out, and one problem document for each failure."""

from __future__ import annotations

import io
import mimetypes
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures_in_memory import decode, encode
from PIL import ExifTags, Image

import derain
from derain.serve.guards import is_token
from derain.serve.problems import MEDIA_TYPE


def assert_problem(response, status, words):
    assert response.status_code == status
    assert response.headers["content-type"] == MEDIA_TYPE
    assert words in response.json()["detail"]


def test_result_equals_the_python_api(client, photo, networks):
    response = client.post("/v1/restore", content=photo)
    expected = derain.restore(decode(photo), model=networks / "darkening.onnx")
    np.testing.assert_array_equal(decode(response.content), expected)


def test_form_equals_raw_body(client, photo):
    raw = client.post("/v1/restore", content=photo)
    form = client.post("/v1/restore", files={"photo": photo})
    assert form.content == raw.content


def test_format_is_kept(client):
    image = np.full((16, 16, 3), 200, np.uint8)
    response = client.post("/v1/restore", content=encode(image, "WEBP", lossless=True))
    assert response.headers["content-type"] == "image/webp"


def test_format_can_be_chosen(client, photo):
    response = client.post("/v1/restore?format=tiff", content=photo)
    assert Image.open(io.BytesIO(response.content)).format == "TIFF"


def test_exif_is_kept(client):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    sent = encode(np.full((16, 16, 3), 200, np.uint8), "JPEG", exif=exif)
    response = client.post("/v1/restore", content=sent)
    assert Image.open(io.BytesIO(response.content)).getexif()[ExifTags.Base.Artist] == "Ada"


def test_omissions_are_reported(client):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    sent = encode(np.full((16, 16, 3), 200, np.uint8), "PNG", exif=exif)
    response = client.post("/v1/restore?format=bmp", content=sent)
    assert "EXIF" in response.headers["x-derain-omissions"]


def test_strength_zero_changes_nothing(client, photo):
    response = client.post("/v1/restore?strength=0", content=photo)
    np.testing.assert_array_equal(decode(response.content), decode(photo))


def test_form_field_overrides_query(client, photo):
    response = client.post("/v1/restore?strength=1", files={"photo": photo}, data={"strength": "0"})
    np.testing.assert_array_equal(decode(response.content), decode(photo))


def test_mask_keeps_black_pixels(client, photo):
    sides = np.zeros((24, 32), np.uint8)
    sides[:, 16:] = 255
    files = {"photo": photo, "mask": encode(sides, "PNG")}
    masked = decode(client.post("/v1/restore", files=files).content)
    restored = decode(client.post("/v1/restore", content=photo).content)
    np.testing.assert_array_equal(masked[:, :16], decode(photo)[:, :16])
    np.testing.assert_array_equal(masked[:, 16:], restored[:, 16:])


def test_mask_applies_to_the_upright_photo(client):
    """The page paints on the upright photo."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    sent = encode(np.full((16, 32, 3), 200, np.uint8), "JPEG", exif=exif, quality=95)
    top = np.zeros((32, 16), np.uint8)
    top[:16] = 255
    files = {"photo": sent, "mask": encode(top, "PNG")}
    masked = decode(client.post("/v1/restore", files=files).content)
    assert masked[0, 0].tolist() == pytest.approx([136] * 3, abs=3)
    assert masked[-1, -1].tolist() == pytest.approx([200] * 3, abs=3)


def test_mask_of_another_size_is_rejected(client, photo):
    files = {"photo": photo, "mask": encode(np.zeros((5, 5), np.uint8), "PNG")}
    response = client.post("/v1/restore", files=files)
    assert_problem(response, 422, "mask")
    assert tempfile.gettempdir() not in response.json()["detail"]


def test_text_is_not_a_mask(client, photo):
    files = {"photo": photo, "mask": b"hello"}
    assert_problem(client.post("/v1/restore", files=files), 415, "mask: is not a picture")


def test_rain_layer_is_the_difference(client, photo):
    layer = decode(client.post("/v1/rain-layer", content=photo).content)
    restored = decode(client.post("/v1/restore", content=photo).content)
    np.testing.assert_array_equal(layer, decode(photo) - restored)


def test_models_are_listed(client):
    assert {"best", "fast"} <= client.get("/v1/models").json()["models"].keys()


def test_health(client):
    assert client.get("/health").json() == {"status": "alive"}


def test_ready_after_the_first_photo(client, photo):
    client.post("/v1/restore", content=photo)
    assert client.get("/ready").status_code == 200


def test_metrics_count_requests(client, photo):
    client.post("/v1/restore", content=photo)
    assert 'derain_requests_total{route="/v1/restore",status="200"}' in client.get("/metrics").text


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_metrics_have_the_memory_of_server_and_worker(client, photo):
    client.post("/v1/restore", content=photo)
    text = client.get("/metrics").text
    memory = dict(re.findall(r"^derain_(server|worker)_memory_bytes (\S+)", text, re.MULTILINE))
    assert {name for name, value in memory.items() if float(value) > 0} == {"server", "worker"}


def test_query_and_form_reject_a_strength_alike(client, photo):
    query = client.post("/v1/restore?strength=2", content=photo)
    form = client.post("/v1/restore", files={"photo": photo}, data={"strength": "2"})
    assert_problem(query, 422, "strength: expected a number from 0 to 1")
    assert_problem(form, 422, "strength: expected a number from 0 to 1")


def test_declared_size_is_rejected_unread(client):
    response = client.post("/v1/restore", content=b"", headers={"content-length": str(2**40)})
    assert_problem(response, 413, "more than 1 MiB")


def test_undeclared_size_is_rejected(client):
    response = client.post("/v1/restore", content=(bytes(2**16) for _ in range(20)))
    assert_problem(response, 413, "more than 1 MiB")


def test_large_form_is_rejected(client):
    assert_problem(client.post("/v1/restore", files={"photo": bytes(2**21)}), 413, "1 MiB")


def test_too_many_pixels_are_rejected(client):
    sent = encode(np.zeros((400, 400, 3), np.uint8), "PNG")
    assert_problem(client.post("/v1/restore", content=sent), 413, "0.2 megapixels")


def test_pixels_count_over_all_pages(client):
    page = Image.fromarray(np.zeros((200, 300, 3), np.uint8))
    buffer = io.BytesIO()
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    assert_problem(client.post("/v1/restore", content=buffer.getvalue()), 413, "megapixels")


def test_empty_body_is_rejected(client):
    assert_problem(client.post("/v1/restore", content=b""), 400, "empty")


def test_form_without_photo_is_rejected(client):
    assert_problem(client.post("/v1/restore", files={"picture": b"x"}), 400, "`photo`")


def test_malformed_form_is_rejected(client):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = client.post("/v1/restore", content=b"--x\r\nnonsense", headers=headers)
    assert response.status_code == 400


def test_text_is_not_a_photo(client):
    assert_problem(client.post("/v1/restore", content=b"hello"), 415, "photo: is not a picture")


def test_truncated_photo_is_rejected(client, photo):
    response = client.post("/v1/restore", content=photo[: len(photo) // 2])
    assert_problem(response, 422, "photo: ")


def test_problem_names_no_path(client, photo):
    detail = client.post("/v1/restore", content=photo[:900]).json()["detail"]
    assert tempfile.gettempdir() not in detail


@pytest.mark.parametrize("query", ["strength=2", "strength=nan", "model=nix", "format=exe"])
def test_bad_parameter_is_rejected(client, photo, query):
    response = client.post(f"/v1/restore?{query}", content=photo)
    assert_problem(response, 422, query.split("=")[0])


@pytest.mark.parametrize("address", ["restore?strenght=0.5", "rain-layer?strength=0.5"])
def test_unknown_parameter_is_rejected(client, photo, address):
    response = client.post(f"/v1/{address}", content=photo)
    assert_problem(response, 422, "is no parameter of this address")


def test_unknown_field_is_rejected(client, photo):
    response = client.post("/v1/restore", files={"photo": photo}, data={"strenght": "0.5"})
    assert_problem(response, 422, "unknown field")


def test_model_of_the_operator_has_a_name(client, photo):
    name = client.get("/v1/models").json()["default"]
    assert client.post(f"/v1/restore?model={name}", content=photo).status_code == 200


def test_path_is_not_a_model(client, photo, networks):
    response = client.post(f"/v1/restore?model={networks / 'copying.onnx'}", content=photo)
    assert_problem(response, 422, "model: unknown")


def test_unknown_address_is_a_problem(client):
    assert_problem(client.get("/nix"), 404, "GET /nix: not found; /docs")


def test_other_method_is_405(client):
    assert_problem(client.get("/v1/restore"), 405, "GET /v1/restore: method not allowed; /docs")


def test_page_is_served(client):
    response = client.get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "choose photos" in response.text


def test_reference_needs_no_other_host(client):
    response = client.get("/docs")
    assert "POST /v1/restore" in response.text
    assert "//" not in response.text


def test_no_folder_is_left(client, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # not that of other tests
    client.post("/v1/restore", content=photo)
    assert [*tmp_path.iterdir()] == []


def test_files_of_the_page_have_types_that_browsers_accept(make_client, monkeypatch):
    """Programs for Windows register text/plain for .js, and Python reads that there."""
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes())
    mimetypes.add_type("text/plain", ".js")
    mimetypes.add_type("application/x-css", ".css")
    with make_client() as client:
        for name, kind in (("page.js", "text/javascript"), ("index.css", "text/css")):
            assert client.get(f"/{name}").headers["content-type"] == f"{kind}; charset=utf-8"


def test_file_that_cannot_be_removed_does_not_cost_the_answer(client, photo, tmp_path, monkeypatch):
    """Windows does not remove files that the worker has open."""

    def refuse(path, *arguments, **options):
        raise PermissionError(13, "used by another process", str(path))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.unlink", refuse)
    assert client.post("/v1/restore", content=photo).status_code == 200


def test_other_origins_are_not_allowed(client):
    response = client.get("/v1/models", headers={"origin": "https://example.org"})
    assert "access-control-allow-origin" not in response.headers


def test_pages_of_other_sites_cannot_send_photos(client, photo):
    headers = {"origin": "https://example.org", "sec-fetch-site": "cross-site"}
    response = client.post("/v1/restore", content=photo, headers=headers)
    assert_problem(response, 403, "other sites")


def test_allowed_site_can_send_photos(make_client, photo):
    headers = {"origin": "https://example.org", "sec-fetch-site": "cross-site"}
    with make_client(allow_origin="https://example.org") as client:
        response = client.post("/v1/restore", content=photo, headers=headers)
    assert response.status_code == 200


def test_other_sites_cannot_hide_their_origin(client, photo):
    headers = {"sec-fetch-site": "cross-site"}
    response = client.post("/v1/restore", content=photo, headers=headers)
    assert_problem(response, 403, "other sites")


def test_full_temporary_folder_is_503(client, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    response = client.post("/v1/restore", content=photo)
    assert_problem(response, 503, "the server's temporary folder: ")
    assert str(tmp_path) not in response.json()["detail"]


def test_every_answer_has_an_id(client):
    assert len(client.get("/health").headers["x-request-id"]) == 32


def test_log_has_no_file_name(client, photo, caplog):
    with caplog.at_level("INFO", logger="derain.serve"):
        client.post("/v1/restore?secret=1", files={"photo": ("holiday.png", photo)})
    assert "holiday" not in caplog.text
    assert "secret" not in caplog.text


def test_openapi_names_the_operations(client):
    assert {"/v1/restore", "/v1/rain-layer", "/ready"} <= client.get("/openapi.json").json()[
        "paths"
    ].keys()


def test_token_is_required(make_client, photo):
    client = make_client(token="secret")
    assert_problem(client.post("/v1/restore", content=photo), 401, "bearer token")


def test_token_is_not_required_for_health(make_client):
    assert make_client(token="secret").get("/health").status_code == 200


def test_right_token_is_accepted(make_client):
    headers = {"authorization": "Bearer secret"}
    assert make_client(token="secret").get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("token", ["gehörig", "voilà"])  # à ends in a space of Latin-1
def test_token_may_have_letters_beyond_ascii(token, encoding):
    assert is_token(token.encode(encoding).decode("latin-1"), token)


@pytest.mark.parametrize("sent", ["", "??", "\xa0"])
def test_token_beyond_latin_1_is_compared_as_a_whole(sent):
    assert not is_token(sent, "雨雨")


def test_token_in_utf_8_is_accepted(make_client):
    headers = {"authorization": "Bearer voilà".encode()}
    assert make_client(token="voilà").get("/v1/models", headers=headers).status_code == 200


def test_allowed_origin_is_named(make_client):
    client = make_client(allow_origin="https://example.org")
    response = client.get("/health", headers={"origin": "https://example.org"})
    assert response.headers["access-control-allow-origin"] == "https://example.org"


def test_allowed_origin_can_read_when_to_come_back(make_client):
    client = make_client(allow_origin="https://example.org")
    response = client.get("/health", headers={"origin": "https://example.org"})
    assert "Retry-After" in response.headers["access-control-expose-headers"]


def test_browsers_ask_for_a_new_version_of_the_page(client):
    assert client.get("/page.js").headers["cache-control"] == "no-cache"
