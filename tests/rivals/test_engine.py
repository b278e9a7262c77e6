"""A rival is a model, wherever a model is named."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from derain.cli.main import main
from derain.errors import EngineError, WeightsError
from derain.inference import Restorer
from derain.inference.engines.rival import find_rival
from derain.rivals import build


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """An official checkpoint of PRN_r with random weights."""
    torch.manual_seed(3)
    network = build("prn_r")
    weights = {network.official_name(name): t for name, t in network.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "net_latest.pth"
    torch.save(weights, path)
    return path


def test_cudnn_computes_without_tf32(checkpoint):
    engine, settings = Restorer(f"prn_r:{checkpoint}").engine, []
    cudnn = torch.backends.cudnn
    engine._network.register_forward_pre_hook(
        lambda *_: settings.append((cudnn.enabled, cudnn.allow_tf32))
    )
    engine(np.zeros((1, 3, 8, 8), np.float32))
    assert settings == [(True, False)]


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(4)
    for side in ("rainy", "clean"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pairs" / side / "1.png")
    return tmp_path / "pairs"


def test_a_restorer_runs_a_rival(checkpoint, rng):
    image = rng.random((20, 30, 3), dtype=np.float32)
    restored = Restorer(f"prn_r:{checkpoint}")(image)
    network = build("prn_r")
    weights = torch.load(checkpoint)
    network.load_state_dict({n: weights[network.official_name(n)] for n in network.state_dict()})
    with torch.inference_mode():
        expected = network(torch.from_numpy(image.transpose(2, 0, 1)[None]))[0].numpy()
    np.testing.assert_allclose(restored, expected.transpose(1, 2, 0).clip(0, 1), atol=1e-6)


def test_another_process_finds_the_weights_from_its_own_folder(checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    restorer = Restorer("prn_r:net_latest.pth")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(restorer)).model.name == "prn_r"


def test_evaluate_scores_a_rival(checkpoint, pairs, capsys):
    arguments = ["--model", f"PRN=prn_r:{checkpoint}", "--data", str(pairs), "--protocol", "y"]
    assert main(["evaluate", *arguments]) == 0
    output = capsys.readouterr().out
    assert "PRN               1" in output
    assert "torch on cpu, float32" in output


def test_photos_are_restored_with_a_rival(checkpoint, pairs, tmp_path):
    arguments = [str(pairs / "rainy/1.png"), "-o", str(tmp_path / "out.png"), "--quiet"]
    assert main(["restore", *arguments, "--model", f"prn_r:{checkpoint}"]) == 0
    assert Image.open(tmp_path / "out.png").size == (32, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "openvino"}, "runs in PyTorch only"),
        ({"precision": "bfloat16"}, "runs in float32 only"),
        ({"device": "npu"}, "has no device 'npu'"),
    ],
)
def test_options_of_other_engines_are_rejected(options, message, checkpoint):
    with pytest.raises(EngineError, match=message):
        Restorer(f"prn_r:{checkpoint}", **options)


def test_pytorch_may_be_named_as_the_engine(checkpoint):
    assert Restorer(f"prn_r:{checkpoint}", engine="torch").engine.name == "torch"


def test_unknown_rival_is_rejected(checkpoint):
    with pytest.raises(WeightsError, match="restormer: unknown rival network; choose from prenet"):
        Restorer(f"restormer:{checkpoint}")


def test_find_rival_ignores_paths(tmp_path):
    (tmp_path / "a:b").mkdir()
    assert find_rival("best") is None
    assert find_rival("C:/models/best.onnx") is None
    assert find_rival(tmp_path / "best.onnx") is None
