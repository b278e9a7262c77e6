"""Models are found, and invalid files are rejected."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from contextlib import ExitStack
from pathlib import Path

import onnx
import pytest
from helpers.unprivileged import run_unprivileged
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.errors import WeightsError
from derain.weights import find, library, models, picture_models
from derain.weights.headers import read_onnx_metadata, read_safetensors_metadata


def write_safetensors(path: Path, metadata: dict[str, str], *, tensor: bytes = b"\0" * 8) -> None:
    header = {
        "__metadata__": metadata,
        "weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, len(tensor)]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensor)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_metadata_of_onnx(networks):
    path = networks / "blurring.onnx"
    expected = {pair.key: pair.value for pair in onnx.load(path).metadata_props}
    assert read_onnx_metadata(path) == expected


@pytest.mark.parametrize("field", [1, 7], ids=["version", "graph"])
def test_onnx_without_a_field_of_every_model_is_rejected(field, networks, tmp_path):
    model = onnx.load(networks / "blurring.onnx")
    model.ClearField(model.DESCRIPTOR.fields_by_number[field].name)
    path = tmp_path / "damaged.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="not an ONNX file"):
        read_onnx_metadata(path)


@pytest.mark.parametrize("start", [b"\x10\x09", b"\x4a\x00"], ids=["kind", "unknown field"])
def test_onnx_with_damaged_fields_is_rejected(start, networks, tmp_path):
    """OpenVINO would try such a file as one of TensorFlow."""
    path = tmp_path / "damaged.onnx"
    path.write_bytes(start + (networks / "blurring.onnx").read_bytes())
    with pytest.raises(ValueError, match="not an ONNX file"):
        read_onnx_metadata(path)


def test_metadata_of_safetensors(tmp_path):
    numpy, safetensors = pytest.importorskip("numpy"), pytest.importorskip("safetensors.numpy")
    safetensors.save_file(
        {"weight": numpy.ones(3)}, tmp_path / "toy.safetensors", metadata={"derain.format": "1"}
    )
    metadata = read_safetensors_metadata(tmp_path / "toy.safetensors")
    assert metadata == {"derain.format": "1"}


def test_model_has_the_metadata_of_its_file(make_network):
    model = find(make_network("toy", card=json.dumps({"hours": 3})))
    assert model.name == "toy"
    assert model.configuration["preset"] == "toy"
    assert model.multiple_px == 8
    assert model.card == {"hours": 3}


@pytest.mark.parametrize("text", ["", "0", "-8", "many"])
def test_invalid_multiple_is_rejected(make_network, text):
    with pytest.raises(WeightsError, match="is not a positive integer; export it again"):
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
def test_invalid_safetensors_header_is_rejected(header, make_network):
    path = make_network("toy").with_suffix(".safetensors")
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        find(path)


def test_exported_network_without_weights_is_a_model(make_network):
    assert find(make_network("toy")).safetensors_path is None


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_either_file_of_a_pair_is_found(suffix, make_network):
    path = make_network("toy")
    write_safetensors(
        path.with_suffix(".safetensors"), {"derain.format": "1", "derain.onnx_sha256": sha256(path)}
    )
    model = find(path.with_suffix(suffix))
    assert model.onnx_path == path
    assert model.safetensors_path == path.with_suffix(".safetensors")


def test_shipped_model_is_found_by_name(make_network, monkeypatch):
    path = make_network("toy")
    monkeypatch.setattr(library, "SHIPPED", path.parent)
    assert find("toy") == models()["toy"]


@pytest.fixture
def zipped(make_network, monkeypatch, tmp_path) -> Path:
    """The toy network and its weights are shipped in a zip archive; returns the network."""
    path = make_network("toy")
    weights = path.with_suffix(".safetensors")
    write_safetensors(weights, {"derain.format": "1", "derain.onnx_sha256": sha256(path)})
    with zipfile.ZipFile(tmp_path / "derain.pyz", "w") as archive:
        archive.write(path, "models/toy.onnx")
        archive.write(weights, "models/toy.safetensors")
    monkeypatch.setattr(library, "SHIPPED", zipfile.Path(tmp_path / "derain.pyz", "models/"))
    monkeypatch.setattr(library, "_used", {})
    monkeypatch.setattr(library, "_extracted", ExitStack())
    return path


def test_shipped_model_in_a_zip_archive(zipped):
    model = find("toy")
    assert model.name == "toy"
    assert model.onnx_path.read_bytes() == zipped.read_bytes()
    assert model.safetensors_path is not None
    assert list(models()) == ["toy"]


def test_extracted_files_are_shared_and_removed(zipped):
    model = find("toy")
    assert find("toy").onnx_path == model.onnx_path
    library._remove_extracted()
    assert not model.onnx_path.exists()
    assert not model.safetensors_path.exists()


def test_unknown_name_lists_the_shipped_models(make_network, monkeypatch):
    monkeypatch.setattr(library, "SHIPPED", make_network("toy").parent)
    with pytest.raises(WeightsError, match="huge: unknown model; choose from toy, or name a"):
        find("huge")


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(WeightsError, match=r"no\.onnx: no such file"):
        find(tmp_path / "no.onnx")


def test_file_in_an_inaccessible_folder_is_rejected(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    path = str(tmp_path / "closed" / "toy.onnx")
    run = run_unprivileged("from derain.weights import find", f"find({path!r})", tmp_path)
    assert run.stderr.splitlines()[-1].startswith(
        f"derain.errors.WeightsError: {path}: no such file, or no permission to read it"
    )


def test_weights_without_a_network_name_the_export_command(tmp_path):
    write_safetensors(tmp_path / "toy.safetensors", {"derain.format": "1"})
    with pytest.raises(
        WeightsError, match=r"`derain export .*toy\.safetensors` writes toy_exported\.onnx"
    ):
        find(tmp_path / "toy.safetensors")


def test_network_of_other_weights_is_rejected(make_network):
    path = make_network("toy")
    write_safetensors(
        path.with_suffix(".safetensors"), {"derain.format": "1", "derain.onnx_sha256": "0" * 64}
    )
    with pytest.raises(WeightsError, match=r"was not exported from toy\.safetensors"):
        find(path)


def test_newer_format_asks_for_an_upgrade(make_network):
    with pytest.raises(WeightsError, match=r"has format 2, .* up to 1; install a newer derain"):
        find(make_network("toy", format="2"))


def test_network_of_another_program_is_rejected(make_network):
    with pytest.raises(WeightsError, match="was not written by derain"):
        find(make_network("toy", format=None))


def test_invalid_json_is_rejected(make_network):
    with pytest.raises(WeightsError, match=r"its derain\.card is not valid JSON"):
        find(make_network("toy", card="{"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_truncated_network_is_rejected(share, make_network):
    path = make_network("toy")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(
        WeightsError, match=rf"^{re.escape(str(path))}: .*(damaged|not written by derain)"
    ):
        find(path)


def test_truncated_weights_are_rejected(make_network):
    path = make_network("toy").with_suffix(".safetensors")
    write_safetensors(path, {"derain.format": "1"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        find(path)


@pytest.mark.parametrize("reader", [read_onnx_metadata, read_safetensors_metadata])
@given(noise=st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_give_metadata_or_a_value_error(reader, tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(noise)
    try:
        assert isinstance(reader(path), dict)
    except ValueError as error:
        assert str(error)


def test_all_shipped_models_load():
    assert {"fast", "best"} <= set(models())
    for name, model in models().items():
        assert model.name == name


@pytest.mark.parametrize("channels", ["abc", 16, [None], "", [], [0], [True]])
def test_invalid_channels_are_rejected(channels, make_network):
    with pytest.raises(WeightsError, match="its channels are not a list of positive integers"):
        find(make_network("toy", configuration=json.dumps({"channels": channels})))


@pytest.mark.parametrize("unshuffle", ["2", 0, None, 1.5, True])
def test_invalid_unshuffle_is_rejected(unshuffle, make_network):
    configuration = json.dumps({"channels": [16], "unshuffle": unshuffle})
    with pytest.raises(WeightsError, match=r"its unshuffle .* is not a positive integer"):
        find(make_network("toy", configuration=configuration))


@pytest.mark.parametrize("frames", ["3", 0, 2, None, 3.0])
def test_invalid_frames_are_rejected(frames, make_network):
    configuration = json.dumps({"channels": [16], "frames": frames})
    with pytest.raises(WeightsError, match=r"its frames .* is not an odd number"):
        find(make_network("toy", configuration=configuration))


@pytest.mark.parametrize(("unshuffle", "channels"), [(1, 48), (2, 15), (4, 6)])
def test_unshuffled_networks_have_fewer_channels_for_each_pixel(unshuffle, channels, make_network):
    configuration = json.dumps({"channels": [48, 64, 64, 64], "unshuffle": unshuffle})
    assert find(make_network("toy", configuration=configuration)).channels == channels


def test_deeply_nested_json_is_rejected(make_network):
    with pytest.raises(WeightsError, match=r"its derain\.card is not valid JSON"):
        find(make_network("toy", card="[" * 100_000))


def test_deeply_nested_header_is_rejected(tmp_path):
    path = tmp_path / "deep.safetensors"
    path.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_safetensors_metadata(path)


def test_infinite_offset_is_rejected(tmp_path):
    path = tmp_path / "endless.safetensors"
    header = b'{"a": {"data_offsets": [0, Infinity]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_safetensors_metadata(path)


@pytest.mark.parametrize("length", [2**45, 2**66])
def test_length_beyond_the_end_of_the_file_is_rejected(length, make_network):
    """A reader that trusts the length would allocate that much memory."""
    path = make_network("damaged")
    number = bytes((length >> shift) & 127 | 128 for shift in range(0, 63, 7)) + bytes(
        [length >> 63]
    )
    note = b"\x0a" + number
    path.write_bytes(path.read_bytes() + b"\x72" + bytes([len(note)]) + note)
    with pytest.raises(WeightsError, match="damaged"):
        find(path)


def test_weights_of_another_paper_s_network_are_named_with_it(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {"derain.rival": "prenet"})
    with pytest.raises(WeightsError, match=r"name it with the file, as prenet:.*weights"):
        find(path)


def test_networks_for_clips_are_not_for_pictures(make_network, monkeypatch):
    path = make_network("toy")
    make_network("moving", configuration='{"frames": 3}')
    monkeypatch.setattr(library, "SHIPPED", path.parent)
    assert {*models()} == {"toy", "moving"}
    assert {*picture_models()} == {"toy"}
    with pytest.raises(WeightsError, match=r"^moving: restores clips, since it needs 3 frames"):
        find("moving").require_pictures()
