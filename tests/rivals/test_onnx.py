"""Exported rivals compute the same in an inference engine, for any size."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch

from derain.cli.main import main
from derain.errors import WeightsError
from derain.inference import open_engine
from derain.rivals import build
from derain.rivals.onnx import build_onnx

OPTIONS = {
    "prenet": {},
    "prn_r": {},
    "rescan": {},
    "ddn": {},
    "rcdnet": {"stages": 3, "maps": 4, "dual": 4},
    "dcsfn": {"channels": 4, "units": 2},
    "mspfn": {"rounds": 1},
    "mspfn_m17n1": {"rounds": 1},
    "syn2real": {},
    "dualgcn": {"channels": 8, "units": 1},
    "swinir": {"channels": 12, "depths": (2, 2), "heads": 2},
    "ssid-kd": {"channels": (4, 4, 4), "repeats": (2, 2, 2)},
}
"""Networks with a graph, in small sizes."""


SLOW = {"dcsfn", "mspfn", "mspfn_m17n1", "syn2real", "ssid-kd"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in OPTIONS]
)
def test_an_engine_gives_the_output_of_torch(name, tmp_path, rng):
    torch.manual_seed(1)
    network = build(name, **OPTIONS[name]).eval()
    (tmp_path / "rival.onnx").write_bytes(build_onnx(name, network, card={}, half=False))
    engine = open_engine(tmp_path / "rival.onnx", precision="float32", threads=1)
    for size in ((20, 33), (41, 24)):
        rainy = rng.random((1, 3, *size), dtype=np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(rainy)).numpy()
        np.testing.assert_allclose(engine(rainy), expected, atol=1e-4)


def test_a_network_without_a_graph_is_rejected():
    with pytest.raises(WeightsError, match="nledn: has no ONNX graph for free sizes"):
        build_onnx("nledn", build("nledn"), card={})


def test_tiles_of_swinir_are_small_enough_for_its_memory():
    network = build("swinir", channels=12, depths=(2,), heads=2)
    data = build_onnx("swinir", network, card={})
    configuration = dict((p.key, p.value) for p in onnx.load_from_string(data).metadata_props)
    assert json.loads(configuration["derain.configuration"])["channels"] == [104]


def test_derain_export_writes_a_model(tmp_path, capsys):
    network = build("prn_r")
    weights = {network.official_name(name): t for name, t in network.state_dict().items()}
    torch.save(weights, tmp_path / "w.pth")
    assert main(["export", f"prn_r:{tmp_path / 'w.pth'}", str(tmp_path / "prn_r.onnx")]) == 0
    assert main(["export", "prn_r:nosuch.pth", str(tmp_path / "b.onnx")]) == 1
    assert "no such checkpoint" in capsys.readouterr().err
    assert open_engine(tmp_path / "prn_r.onnx", threads=1)(np.zeros((1, 3, 9, 9), np.float32)).size
