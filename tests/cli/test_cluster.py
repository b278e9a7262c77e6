"""`derain restore --ray` around a cluster that answers from this process."""

from __future__ import annotations

import pytest
from PIL import Image

from derain.cli.main import main
from derain.errors import DerainError
from derain.photos.reports.report_file import ReportFile

pytest.importorskip("pyarrow", reason="needs `pip install 'derain[ray]'`")

from derain.cluster import run
from derain.cluster.worker import FAILED, RESTORED, row_of


@pytest.fixture
def command(tmp_path, monkeypatch, networks):
    """The command line for a folder of which the cluster restores one picture of two."""

    def restore(task, *, address, threads, on_row):
        on_row(row_of("a.png", RESTORED))
        on_row(row_of("b.png", FAILED, error="b.png: is damaged"))

    monkeypatch.setattr(run, "restore_on_cluster", restore)
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "a.png")
    model = str(networks / "darkening.onnx")
    output = ["-o", str(tmp_path / "out"), "--json", str(tmp_path / "report.json")]
    return ["restore", str(tmp_path / "in"), *output, "--model", model, "--ray", "local"]


def test_summary_counts_the_rows(command, capsys):
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "derain: b.png: is damaged" in error
    assert "1 restored" in error


def test_report_that_cannot_be_written_does_not_end_the_run(command, capsys, monkeypatch):
    def write(file: ReportFile, text: str) -> None:
        raise DerainError(f"{file.path}: the disk is full; free some space")

    monkeypatch.setattr(ReportFile, "write", write)
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "1 restored" in error
    assert "report.json: the disk is full" in error


@pytest.mark.parametrize("option", [["--save-rain"], ["--suffix", "_dry"], ["--shard", "1/2"]])
def test_option_that_needs_one_machine_is_rejected(option, command, capsys):
    assert main([*command, *option]) == 1
    assert f"{option[0]}: is not supported with --ray" in capsys.readouterr().err
