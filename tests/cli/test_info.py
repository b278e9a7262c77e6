from __future__ import annotations

import openvino

from derain import __version__
from derain.cli.main import main
from derain.weights import library


def test_info_names_models_engines_devices_and_versions(capsys, make_network, monkeypatch):
    monkeypatch.setattr(library, "SHIPPED", make_network("toy").parent)
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for fact in (__version__, "toy", "hours: 2.5", "openvino", "cpu", openvino.__version__[:6]):
        assert fact in text, fact
