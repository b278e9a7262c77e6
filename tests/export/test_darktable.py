"""The `.dtmodel` file against the rules of darktable's own source.

The checker follows darktable at commit 0b9e78fd: `src/ai/backend_common.c` (manifest),
`src/common/ai_models.c` (archive) and `src/common/ai/restore.c` (tensors, tiles).
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from derain.cli.main import main
from derain.errors import WeightsError
from derain.export.darktable import model_id, write_dtmodel
from derain.weights import find

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("darktable") / "derain.dtmodel"
    write_dtmodel(find("fast"), path)
    return zipfile.ZipFile(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def manifest(archive):
    (name,) = [name for name in archive.namelist() if name.endswith("config.json")]
    return json.loads(archive.read(name))


@pytest.fixture(scope="module")
def session(archive, manifest):
    data = archive.read(f"{manifest['id']}/model.onnx")
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_archive_has_one_folder(archive, manifest):
    assert {name.split("/")[0] for name in archive.namelist()} == {manifest["id"]}


def test_id_is_a_valid_folder(manifest):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", manifest["id"])


def test_required_fields_are_texts(manifest):
    fields = ("id", "name", "description", "task", "backend", "version")
    assert [name for name in fields if not isinstance(manifest.get(name), str)] == []


def test_task_takes_rgb(manifest):
    assert manifest["task"] == "denoise"


def test_number_of_inputs(manifest, session):
    assert manifest["num_inputs"] == len(session.get_inputs()) == 1


def test_tensors_are_float32(session):
    types = [tensor.type for tensor in (*session.get_inputs(), *session.get_outputs())]
    assert types == ["tensor(float)"] * 2


def test_height_and_width_are_free(session):
    assert [isinstance(side, int) for side in session.get_inputs()[0].shape[2:]] == [False, False]


def test_smallest_tile_keeps_its_size(session):
    tile = np.full((1, 3, 256, 256), 0.5, np.float32)
    (output,) = session.run(None, {session.get_inputs()[0].name: tile})
    assert output.shape == tile.shape


def test_file_is_reproducible(tmp_path):
    write_dtmodel(find("fast"), tmp_path / "a.dtmodel")
    write_dtmodel(find("fast"), tmp_path / "b.dtmodel")
    assert (tmp_path / "a.dtmodel").read_bytes() == (tmp_path / "b.dtmodel").read_bytes()


def test_other_suffix_is_rejected(tmp_path):
    with pytest.raises(WeightsError, match=r"darktable imports \.dtmodel files only"):
        write_dtmodel(find("fast"), tmp_path / "derain.zip")


def test_names_of_files_become_ids():
    assert model_id("My Rain_2") == "denoise-derain-my-rain-2"


def test_command_writes_the_file(tmp_path, capsys):
    path = tmp_path / "derain.dtmodel"
    assert main(["export", "fast", "--for", "darktable", "-o", str(path)]) == 0
    assert zipfile.is_zipfile(path)


def test_a_network_for_clips_is_rejected(networks, tmp_path):
    with pytest.raises(WeightsError, match="needs 3 frames, but darktable gives it one picture"):
        write_dtmodel(find(networks / "averaging.onnx"), tmp_path / "clip.dtmodel")


def test_the_file_is_written_without_torch(tmp_path):
    path = tmp_path / "derain.dtmodel"
    script = (
        "import sys; from derain.cli.main import main; sys.modules['torch'] = None; "
        f"sys.exit(main(['export', 'fast', '--for', 'darktable', '-o', {str(path)!r}]))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert path.exists()
