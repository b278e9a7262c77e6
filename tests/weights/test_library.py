"""Models are found, and files that cannot be trusted are refused."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import onnx
import pytest
from helpers.unprivileged import as_nobody
from hypothesis import given
from hypothesis import strategies as st

from derain.errors import WeightsError
from derain.weights import find, library, models
from derain.weights.headers import onnx_notes, safetensors_notes


def write_safetensors(path: Path, notes: dict[str, str], *, tensor: bytes = b"\0" * 8) -> None:
    header = {
        "__metadata__": notes,
        "weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, len(tensor)]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensor)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_our_reader_sees_the_notes_that_the_onnx_library_sees(networks):
    path = networks / "blurring.onnx"
    assert onnx_notes(path) == {note.key: note.value for note in onnx.load(path).metadata_props}


def test_our_reader_sees_the_notes_that_safetensors_writes(tmp_path):
    numpy, safetensors = pytest.importorskip("numpy"), pytest.importorskip("safetensors.numpy")
    safetensors.save_file(
        {"weight": numpy.ones(3)}, tmp_path / "toy.safetensors", metadata={"derain.format": "1"}
    )
    assert safetensors_notes(tmp_path / "toy.safetensors") == {"derain.format": "1"}


def test_a_model_tells_what_its_file_carries(make_network):
    model = find(make_network("toy", card=json.dumps({"hours": 3})))
    assert (model.name, model.configuration["preset"], model.multiple_px, model.card) == (
        "toy",
        "toy",
        8,
        {"hours": 3},
    )


@pytest.mark.parametrize("text", ["", "0", "-8", "many"])
def test_a_multiple_that_is_no_number_is_refused(make_network, text):
    with pytest.raises(WeightsError, match="is no number above 0; export it anew"):
        find(make_network("toy", multiple_px=text))


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": []},
        {"__metadata__": None},
        {"a": {"data_offsets": ["a", "b"]}},
        {"a": {"data_offsets": [0, None]}},
    ],
)
def test_a_header_of_the_wrong_kind_is_no_safetensors_file(header, make_network):
    path = make_network("toy").with_suffix(".safetensors")
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(WeightsError, match="it is no safetensors file"):
        find(path)


def test_an_exported_network_alone_is_a_model(make_network):
    assert find(make_network("toy")).safetensors_path is None


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_pair_is_found_by_either_file(suffix, make_network):
    path = make_network("toy")
    write_safetensors(
        path.with_suffix(".safetensors"), {"derain.format": "1", "derain.onnx_sha256": sha256(path)}
    )
    model = find(path.with_suffix(suffix))
    assert (model.onnx_path, model.safetensors_path) == (path, path.with_suffix(".safetensors"))


def test_a_shipped_model_is_found_by_its_name(make_network, monkeypatch):
    path = make_network("toy")
    monkeypatch.setattr(library, "SHIPPED", path.parent)
    assert find("toy") == models()["toy"]


def test_an_unknown_name_is_refused_with_those_that_there_are(make_network, monkeypatch):
    monkeypatch.setattr(library, "SHIPPED", make_network("toy").parent)
    with pytest.raises(
        WeightsError, match="huge: no model of that name ships with derain; there is toy"
    ):
        find("huge")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"no\.onnx: there is no such file"):
        find(tmp_path / "no.onnx")


def test_a_file_in_a_folder_that_is_shut_is_refused(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o000)
    path = str(tmp_path / "shut" / "toy.onnx")
    run = as_nobody("from derain.weights import find", f"find({path!r})", tmp_path)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.WeightsError: {path}: there is no such file that this user may"
    )


def test_weights_without_a_network_name_the_command_that_makes_one(tmp_path):
    write_safetensors(tmp_path / "toy.safetensors", {"derain.format": "1"})
    with pytest.raises(
        WeightsError, match=r"`derain export .*toy\.safetensors` makes toy_exported\.onnx"
    ):
        find(tmp_path / "toy.safetensors")


def test_a_network_that_is_not_of_its_weights_is_refused(make_network):
    path = make_network("toy")
    write_safetensors(
        path.with_suffix(".safetensors"), {"derain.format": "1", "derain.onnx_sha256": "0" * 64}
    )
    with pytest.raises(
        WeightsError, match=r"is not the network that was exported from toy\.safetensors"
    ):
        find(path)


def test_a_newer_format_asks_for_an_upgrade(make_network):
    with pytest.raises(
        WeightsError, match=r"made for format 2, this version reads up to 1; install a newer derain"
    ):
        find(make_network("toy", format="2"))


def test_a_network_of_another_program_is_refused(make_network):
    with pytest.raises(WeightsError, match="was not written by derain"):
        find(make_network("toy", format=None))


def test_notes_that_are_no_json_are_refused(make_network):
    with pytest.raises(WeightsError, match=r"its derain\.card does not read as JSON"):
        find(make_network("toy", card="{"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_network_that_is_cut_short_is_refused(share, make_network):
    path = make_network("toy")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(
        WeightsError, match=rf"^{re.escape(str(path))}: .*(damaged|not written by derain)"
    ):
        find(path)


def test_weights_that_are_cut_short_are_refused(make_network):
    path = make_network("toy").with_suffix(".safetensors")
    write_safetensors(path, {"derain.format": "1"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        find(path)


@pytest.mark.parametrize("reader", [onnx_notes, safetensors_notes])
@given(noise=st.binary(max_size=300))
def test_bytes_are_notes_or_a_value_error(reader, tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(noise)
    try:
        assert isinstance(reader(path), dict)
    except ValueError as error:
        assert str(error)


def test_every_shipped_model_loads():
    assert {"small", "best"} <= set(models())
    for name, model in models().items():
        assert (model.name, model.safetensors_path is not None) == (name, True)


@pytest.mark.parametrize("channels", ["abc", 16, [None], "", [], [0], [True]])
def test_channels_that_are_no_numbers_are_refused(channels, make_network):
    with pytest.raises(WeightsError, match="its channels are no list of numbers above 0"):
        find(make_network("toy", configuration=json.dumps({"channels": channels})))


def test_notes_without_an_end_are_refused(make_network):
    with pytest.raises(WeightsError, match=r"its derain\.card does not read as JSON"):
        find(make_network("toy", card="[" * 100_000))


def test_a_header_without_an_end_is_no_safetensors(tmp_path):
    path = tmp_path / "deep.safetensors"
    path.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(ValueError, match="no safetensors file"):
        safetensors_notes(path)


@pytest.mark.parametrize("length", [2**45, 2**66])
def test_a_note_that_is_longer_than_its_file_is_refused(length, make_network):
    """A reader that believed it would ask for so much memory."""
    path = make_network("damaged")
    number = bytes((length >> shift) & 127 | 128 for shift in range(0, 63, 7)) + bytes(
        [length >> 63]
    )
    note = b"\x0a" + number
    path.write_bytes(path.read_bytes() + b"\x72" + bytes([len(note)]) + note)
    with pytest.raises(WeightsError, match="damaged"):
        find(path)
