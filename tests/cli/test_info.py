"""`derain info`."""

from __future__ import annotations

import openvino
import pytest

from derain import __version__
from derain.cli.main import main
from derain.weights import library


@pytest.fixture
def output(make_network, monkeypatch, capsys) -> str:
    """Output of `derain info` with one toy model."""
    monkeypatch.setattr(library, "SHIPPED", make_network("toy").parent)
    assert main(["info"]) == 0
    return capsys.readouterr().out


def test_info_lists_versions_models_engines_and_devices(output):
    for fact in (__version__, "toy", "hours: 2.5", "openvino", "cpu", openvino.__version__[:6]):
        assert fact in output, fact
