"""Requests of the soak, good, damaged, oversized, slow and unfinished, and what may come back."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from helpers.corruption import truncate
from helpers.pictures_in_memory import encode
from PIL import ExifTags, Image

from derain.cli.main import main

UPLOAD_S = 2.0
"""Time for an upload; requests that stall are cut off after it."""
MAX_UPLOAD_MIB = 1
MAX_MEGAPIXELS = 0.1
CUT_OFF = 0
"""Status where the server closed the connection and its answer was lost on the way."""


@dataclass(frozen=True)
class Case:
    """A request, and what may come back."""

    kind: str
    body: bytes
    statuses: frozenset[int] = frozenset({200})
    expected: bytes | None = None
    """The result of the command line."""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    send: str = "whole"
    """whole, chunked, header, slow, stalled, half or leave."""


@dataclass(frozen=True)
class Answer:
    """An answer; `status` is CUT_OFF without one."""

    status: int
    body: bytes = b""
    request: str = ""
    """Id of the request, from its header."""
    retry_s: float = 0.0

    @property
    def detail(self) -> str:
        """The sentence of a problem document."""
        try:
            return str(json.loads(self.body)["detail"])
        except (ValueError, KeyError):
            return repr(self.body[:80])


def make_photos(folder: Path, model: str, *, seed: int, side: int = 64) -> list[Case]:
    """Return good requests with the results of the command line. Their photos lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    image = rng.integers(0, 256, (side, side + 32, 3), dtype=np.uint8)
    grey = image[..., 0].copy()
    kinds = [
        ("colours.png", encode(image, "PNG"), 1.0, False),
        ("grey.png", encode(grey, "PNG"), 1.0, False),
        ("camera.jpg", encode(image[8:], "JPEG", exif=exif, quality=92), 1.0, False),
        ("weak.webp", encode(image[:, 8:], "WEBP", quality=90), 0.5, False),
        ("deep.tif", encode(grey.astype(np.uint16) * 257, "TIFF"), 1.0, False),
        ("masked.png", encode(image[4:, 4:], "PNG"), 1.0, True),
    ]
    return [
        _photo(folder, name, data, model, strength=strength, has_mask=has_mask)
        for name, data, strength, has_mask in kinds
    ]


def _photo(
    folder: Path, name: str, data: bytes, model: str, *, strength: float, has_mask: bool
) -> Case:
    source, target, mask = folder / name, folder / f"restored_{name}", folder / f"mask_{name}"
    source.write_bytes(data)
    command = [str(source), "-o", str(target), "--model", model, "--strength", str(strength), "-q"]
    body, headers = data, {"Content-Type": "application/octet-stream"}
    if has_mask:
        with Image.open(source) as image:
            ramp = np.linspace(0, 255, image.width).astype(np.uint8)
            mask.write_bytes(encode(np.tile(ramp, (image.height, 1)), "PNG"))
        command += ["--mask", str(mask)]
        body, headers = _form({"photo": data, "mask": mask.read_bytes()})
    assert main([*command, "--overwrite"]) == 0
    query = "" if strength == 1 else f"?strength={strength}"
    return Case("good", body, expected=target.read_bytes(), query=query, headers=headers)


def _form(files: dict[str, bytes]) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    )
    return body + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


def mix(photos: Sequence[Case], count: int, seed: int) -> Iterator[Case]:
    """Yield `count` requests: two thirds good ones, one third of every kind of trouble."""
    rng = random.Random(seed)
    makers: list[tuple[float, Callable[[Case, random.Random], Case]]] = [
        (0.64, lambda photo, rng: photo),
        (0.10, _damaged),
        (0.09, _oversized),
        (0.05, _misasked),
        (0.04, _slow),
        (0.08, _unfinished),
    ]
    shares, functions = zip(*makers, strict=True)
    for _ in range(count):
        yield rng.choices(functions, shares)[0](rng.choice(photos), rng)


def _damaged(photo: Case, rng: random.Random) -> Case:
    if rng.random() < 0.3:
        return Case("damaged", rng.randbytes(500), frozenset({415}))
    cut = truncate(photo.body, np.random.default_rng(rng.getrandbits(32)))
    statuses = frozenset({400, 415, 422})
    return Case("damaged", cut, statuses, headers=photo.headers)


def _oversized(photo: Case, rng: random.Random) -> Case:
    match rng.choice(["pixels", "declared", "chunked"]):
        case "pixels":
            body = encode(np.zeros((400, 400), np.uint8), "PNG")
            return Case("oversized", body, frozenset({413}))
        case "declared":
            body = bytes(MAX_UPLOAD_MIB * 2**20 + 1)
            return Case("oversized", body, frozenset({413}), send="header")
    body = bytes((MAX_UPLOAD_MIB + 1) * 2**20)
    return Case("oversized", body, frozenset({413, CUT_OFF}), send="chunked")


def _misasked(photo: Case, rng: random.Random) -> Case:
    query = rng.choice(["?strength=2", "?model=nix", "?format=exe", "?strength=x"])
    return Case("misasked", photo.body, frozenset({422}), query=query, headers=photo.headers)


def _slow(photo: Case, rng: random.Random) -> Case:
    if rng.random() < 0.5:
        return Case("slow", photo.body, frozenset({408}), headers=photo.headers, send="stalled")
    parts = {"query": photo.query, "headers": photo.headers, "expected": photo.expected}
    return Case("slow", photo.body, send="slow", **parts)


def _unfinished(photo: Case, rng: random.Random) -> Case:
    send = rng.choice(["half", "leave"])
    return Case("hang up", photo.body, frozenset({CUT_OFF}), headers=photo.headers, send=send)


def exchange(host: str, case: Case) -> Answer:
    """Send one request and return its answer."""
    connection = http.client.HTTPConnection(host, timeout=120)
    try:
        connection.putrequest("POST", f"/v1/restore{case.query}")
        for name, value in case.headers.items():
            connection.putheader(name, value)
        if case.send == "chunked":
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders()
        _send_body(connection, case)
        if case.send in {"half", "leave"}:
            return Answer(CUT_OFF)
        response = connection.getresponse()
        return Answer(
            response.status,
            response.read(),
            response.getheader("X-Request-Id", ""),
            float(response.getheader("Retry-After", "0")),
        )
    except (ConnectionError, http.client.HTTPException):
        return Answer(CUT_OFF)
    finally:
        connection.close()


def _send_body(connection: http.client.HTTPConnection, case: Case) -> None:
    body, half = case.body, len(case.body) // 2
    match case.send:
        case "whole":
            connection.send(body)
        case "leave":
            connection.send(body)
            time.sleep(0.05)
        case "half" | "stalled":
            connection.send(body[:half])
        case "slow":
            for start in range(0, len(body), len(body) // 8 + 1):
                connection.send(body[start : start + len(body) // 8 + 1])
                time.sleep(UPLOAD_S / 20)
        case "chunked":
            for start in range(0, len(body), 2**16):
                part = body[start : start + 2**16]
                connection.send(b"%x\r\n%b\r\n" % (len(part), part))
            connection.send(b"0\r\n\r\n")
