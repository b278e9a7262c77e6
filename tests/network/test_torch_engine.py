"""PyTorch as an engine of exported networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from derain import Restorer
from derain.cli.main import main
from derain.errors import EngineError, WeightsError
from derain.evaluate.metrics import psnr
from derain.inference import open_engine
from derain.inference.engines import pytorch
from derain.network.torch_engine import TorchEngine
from derain.weights import find

FAST = find("fast").onnx_path


@pytest.fixture(scope="module")
def photo():
    y, x = np.mgrid[:90, :130]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], axis=-1)
    return (127 + 100 * waves).astype(np.uint8)


def test_it_agrees_with_openvino(rng):
    engines = [open_engine(FAST, engine=e, precision="float32") for e in ("torch", "openvino")]
    for size in ((1, 1), (57, 84)):
        rainy = rng.random((1, 3, *size), dtype=np.float32)
        np.testing.assert_allclose(*(engine(rainy) for engine in engines), atol=2e-5)


def test_bfloat16_agrees_with_float32(photo):
    exact, fast = (
        Restorer("fast", engine="torch", precision=precision)(photo)
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact, fast)
    assert psnr(exact, fast, peak=255) > 50


def test_cudnn_computes_without_tf32():
    engine, settings = TorchEngine(Restorer("fast").model.onnx_path), []
    cudnn = torch.backends.cudnn
    engine._network.register_forward_pre_hook(
        lambda *_: settings.append((cudnn.enabled, cudnn.allow_tf32))
    )
    engine(np.zeros((1, 3, 8, 8), np.float32))
    assert settings == [(True, False)]


def test_float32_is_the_default_on_a_cpu():
    assert Restorer("fast", engine="torch").engine.device == "cpu (PyTorch), float32"


def test_command_line(photo, tmp_path, capsys):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    arguments = ["--model", "fast", "--engine", "torch", "-o", str(tmp_path / "out.png")]
    assert main(["restore", str(tmp_path / "photo.png"), *arguments]) == 0
    restored = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(restored, Restorer("fast", engine="torch")(photo))


def test_networks_of_others_are_rejected(tmp_path):
    from helpers.toy_networks import write_darkening

    write_darkening(tmp_path / "network.onnx")
    with pytest.raises(WeightsError, match="does not name its trained tensors"):
        open_engine(tmp_path / "network.onnx", engine="torch")


def test_unknown_device_is_rejected():
    with pytest.raises(EngineError, match="torch has no device 'toaster'"):
        open_engine(FAST, engine="torch", device="toaster")


def test_out_of_memory_is_one_sentence(monkeypatch):
    engine = TorchEngine(FAST)

    def fail(rainy):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore")

    monkeypatch.setattr(engine, "_network", fail)
    monkeypatch.setattr(fail, "enter", torch.nn.Conv2d(1, 1, 1), raising=False)
    with pytest.raises(
        EngineError, match=r"on 8x4 pixels \(CUDA out of memory.*to allocate\); try"
    ):
        engine(np.zeros((1, 3, 4, 8), np.float32))


def test_missing_library_is_one_sentence(monkeypatch):
    def fail(name):
        raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(pytorch, "import_module", fail)
    with pytest.raises(EngineError, match=r"cannot be loaded .*libcudart"):
        pytorch.devices()
