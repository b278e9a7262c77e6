"""Official checkpoints are read as published, and what does not fit is named."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from derain.errors import WeightsError
from derain.rivals import build, load
from derain.rivals.checkpoint import fit, read_checkpoint


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """The parameters of PRN_r by their official names."""
    network = build("prn_r")
    return {network.official_name(name): t for name, t in network.state_dict().items()}


@pytest.mark.parametrize("key", [None, "net", "state_dict", "params"])
def test_parameters_are_found_beside_the_optimiser(key, weights, tmp_path):
    content = weights if key is None else {key: weights, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "w.pth")
    loaded = load("prn_r", tmp_path / "w.pth").state_dict()
    torch.testing.assert_close(loaded["f_in.weight"], weights["conv0.0.weight"])


def test_prefix_of_parallel_training_is_dropped(weights, tmp_path):
    prefixed = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save(prefixed, tmp_path / "w.pth")
    load("prn_r", tmp_path / "w.pth")


def test_missing_and_unknown_names_are_listed(weights, tmp_path):
    del weights["conv.0.bias"]
    torch.save(weights | {"extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"7 of 8 .*1 missing \(conv.0.bias\).*unknown \(extra\)"
    ):
        load("prn_r", tmp_path / "w.pth")


def test_another_shape_is_listed_with_both_shapes(weights, tmp_path):
    weights["conv.0.bias"] = torch.zeros(4)
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"conv.0.bias: \(4,\), expected \(3,\)"):
        load("prn_r", tmp_path / "w.pth")


def test_parameters_that_the_official_code_ignores_do_not_count(tmp_path):
    network = build("hct-ffn")
    weights = {network.official_name(name): t for name, t in network.state_dict().items()}
    torch.save(weights | {"ag1.ins.weight": torch.ones(32)}, tmp_path / "w.pt")
    result = fit(network, read_checkpoint(tmp_path / "w.pt"))
    assert result.is_complete
    assert result.unused == ["ag1.ins.weight"]


class Dangerous:
    """An object whose unpickling would run a command."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_pickled_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("w.pth").write_bytes(pickle.dumps({"net": Dangerous()}))
    with pytest.raises(WeightsError, match="damaged, or holds code, which derain never runs"):
        read_checkpoint("w.pth")
    assert not Path("ran").exists()


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(WeightsError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "w.pth")


def test_file_without_parameters_is_rejected(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no parameters"):
        read_checkpoint(tmp_path / "w.pth")


def varint(value: int) -> bytes:
    """Encode a number in groups of seven bits."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Encode a block of a table: shared prefixes, one restart point, no compression."""
    content, before = b"", b""
    for key, value in pairs:
        shared = next(
            (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b),
            min(len(key), len(before)),
        )
        lengths = varint(shared) + varint(len(key) - shared) + varint(len(value))
        content += lengths + key[shared:] + value
        before = key
    return content + struct.pack("<II", 0, 1)


def write_tensorflow(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Write a checkpoint of TensorFlow, format V2, in one shard; return its index."""
    data, pairs = b"", [(b"", b"\x08\x01")]
    for name, array in sorted(tensors.items()):
        sizes = b"".join(
            b"\x12" + varint(len(d)) + d for d in (b"\x08" + varint(n) for n in array.shape)
        )
        entry = b"\x08\x01" + b"\x12" + varint(len(sizes)) + sizes
        entry += b"\x20" + varint(len(data)) + b"\x28" + varint(array.nbytes)
        pairs.append((name.encode(), entry + b"\x35\x00\x00\x00\x00"))
        data += array.astype("<f4").tobytes()
    (folder / "m.data-00000-of-00001").write_bytes(data)
    entries = block(pairs)
    index = block([(b"~", varint(0) + varint(len(entries)))])
    at = len(entries) + 5
    handles = varint(0) + varint(0) + varint(at) + varint(len(index))
    footer = handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    path = folder / "m.index"
    path.write_bytes(entries + bytes(5) + index + bytes(5) + footer)
    return path


@pytest.fixture
def variables() -> dict[str, np.ndarray]:
    """The variables of SIRR, with kernels as (height, width, in, out)."""
    network, rng = build("sirr"), np.random.default_rng(2)
    shapes = {network.official_name(n): tuple(t.shape) for n, t in network.state_dict().items()}
    return {
        name: rng.random(
            (shape[2], shape[3], shape[1], shape[0]) if len(shape) == 4 else shape,
            dtype=np.float32,
        )
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("name", ["m.index", "m", "m.data-00000-of-00001", "m.meta"])
def test_tensorflow_checkpoint_is_named_by_any_of_its_files(name, variables, tmp_path):
    write_tensorflow(tmp_path, variables | {"conv_1/biases_1/Adam": np.zeros(16, np.float32)})
    checkpoint = read_checkpoint(tmp_path / name)
    assert set(checkpoint.tensors) == set(variables)
    assert checkpoint.extras == ["conv_1/biases_1/Adam"]


def test_tensorflow_kernels_are_transposed(variables, tmp_path):
    network = load("sirr", write_tensorflow(tmp_path, variables))
    kernel = network.state_dict()["layers.25.conv.weight"].numpy()
    np.testing.assert_array_equal(kernel[2, 7, 0, 1], variables["conv_26/weights_26"][0, 1, 7, 2])


def test_missing_data_of_tensorflow_is_reported(variables, tmp_path):
    index = write_tensorflow(tmp_path, variables)
    (tmp_path / "m.data-00000-of-00001").unlink()
    with pytest.raises(WeightsError, match=r"needs m\.index and its .data files in one folder"):
        read_checkpoint(index)


@pytest.mark.parametrize("size", [0, 20, 60])
def test_truncated_index_is_reported(size, variables, tmp_path):
    index = write_tensorflow(tmp_path, variables)
    index.write_bytes(index.read_bytes()[:size])
    with pytest.raises(WeightsError, match="not the index of a TensorFlow checkpoint"):
        read_checkpoint(index)
