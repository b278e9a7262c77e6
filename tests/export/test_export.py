import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from derain.cli.main import main
from derain.errors import WeightsError
from derain.export.export import TESTED_SIZES, export, largest_difference
from derain.inference.engines.engine import open_engine
from derain.network import PLNLIN, PLNLINConfiguration
from derain.network.variants import UNITS
from derain.network.weights_file import load_network, save_weights
from derain.weights import find


def network(**values):
    torch.manual_seed(0)
    shape = {"preset": "tiny", "channels": (4, 8, 8, 12), "stages": (2, 3, 1, 1), "head_stages": 1}
    made = PLNLIN(PLNLINConfiguration(**shape | values))
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return made.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = network()
    return made, export(
        made, tmp_path_factory.mktemp("export") / "tiny.onnx", card={"hours": 1}, half=False
    )


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("size", TESTED_SIZES)
def test_exported_network_equals_torch(exported, engine, size):
    made, path = exported
    assert largest_difference(made, path, engine=engine, sizes=[size])[size] < 2e-5


@pytest.mark.parametrize(
    "values", [{"attention_heads": 2}, {"bounded_sft": False}, {"shift_px": 0}]
)
def test_every_kind_of_configuration_exports(tmp_path, values):
    made = network(**values)
    path = export(made, tmp_path / "x.onnx", card={}, half=False)
    assert max(largest_difference(made, path, sizes=[(57, 60)]).values()) < 2e-5


@pytest.mark.parametrize("unit", UNITS)
def test_every_row_of_an_ablation_exports(tmp_path, unit):
    made = network(unit=unit, stages=(1, 3, 2, 1))
    path = export(made, tmp_path / "x.onnx", card={}, half=False)
    assert max(largest_difference(made, path, sizes=[(57, 60)]).values()) < 2e-5


def test_exported_network_takes_batches(exported):
    made, path = exported
    rainy = np.random.default_rng(0).random((3, 3, 40, 60), dtype=np.float32)
    with torch.no_grad():
        expected = made(torch.from_numpy(rainy)).numpy()
    np.testing.assert_allclose(open_engine(path, precision="float32")(rainy), expected, atol=2e-5)


def test_half_weights_take_half_the_space_and_change_little(exported, tmp_path):
    made, path = exported
    half = export(made, tmp_path / "half.onnx", card={}, half=True)
    assert (
        largest_difference(
            load_network(half.with_suffix(".safetensors"))[0], half, sizes=[(57, 60)]
        )[57, 60]
        < 2e-5
    )
    assert sum(i.raw_data.__len__() for i in onnx.load(half).graph.initializer) < 0.6 * sum(
        i.raw_data.__len__() for i in onnx.load(path).graph.initializer
    )


def test_exported_pair_is_a_model(exported):
    _, path = exported
    for name in (path, path.with_suffix(".safetensors")):
        model = find(name)
        assert model.card == {"hours": 1}
        assert model.multiple_px == 56


def test_verb_exports_and_prints_the_differences(tmp_path, capsys):
    made = network()
    save_weights(
        tmp_path / "weights.safetensors", made, configuration=made.configuration, card={"steps": 3}
    )
    assert main(["export", str(tmp_path / "weights.safetensors"), str(tmp_path / "mine.onnx")]) == 0
    assert capsys.readouterr().out.count("largest difference to torch") == len(TESTED_SIZES)
    assert find(tmp_path / "mine.onnx").card == {"steps": 3}


def test_weights_are_never_replaced_by_their_export(tmp_path, capsys):
    made = network()
    path = save_weights(
        tmp_path / "weights.safetensors", made, configuration=made.configuration, card={}
    )
    before = path.read_bytes()
    assert main(["export", str(path), str(tmp_path / "weights.onnx")]) == 1
    assert "give another name" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_weights_that_are_no_export_are_not_replaced_by_one(tmp_path):
    made = network()
    save_weights(tmp_path / "x.safetensors", made, configuration=made.configuration, card={})
    with pytest.raises(WeightsError, match=r"x\.safetensors: would be replaced"):
        export(made, tmp_path / "x.onnx", card={})
    assert not (tmp_path / "x.onnx").exists()
    for _ in range(2):
        export(made, tmp_path / "y.onnx", card={})


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("small", "is a file .onnx"),
        ("nowhere/small.onnx", "its folder does not exist; create it first"),
    ],
)
def test_place_that_cannot_hold_an_export_is_refused(tmp_path, name, fact):
    with pytest.raises(WeightsError, match=fact):
        export(network(), tmp_path / name, card={})
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_written_are_named(tmp_path):
    made = network()
    with pytest.raises(
        WeightsError, match=r"w\.safetensors: its folder does not exist; create it first"
    ):
        save_weights(
            tmp_path / "nowhere/w.safetensors", made, configuration=made.configuration, card={}
        )


def test_weights_with_a_damaged_header_are_named(tmp_path):
    save_file(
        {"x": torch.zeros(1)},
        tmp_path / "w.safetensors",
        metadata={"derain.format": "1", "derain.configuration": "{"},
    )
    with pytest.raises(WeightsError, match="configuration or card is damaged"):
        load_network(tmp_path / "w.safetensors")


def test_broken_weights_are_one_sentence(tmp_path, capsys):
    (tmp_path / "weights.safetensors").write_bytes(b"nonsense")
    assert main(["export", str(tmp_path / "weights.safetensors")]) == 1
    assert "damaged" in capsys.readouterr().err
