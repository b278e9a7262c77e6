"""The catalogue covers Table 2 and agrees with the networks."""

from __future__ import annotations

import pytest
import torch

from derain.cli.main import main
from derain.evaluate.paper_table2 import METHODS, OURS
from derain.rivals import NETWORKS, build
from derain.rivals.catalogue import BESIDE, GMACS, TABLE2, find_entry
from derain.rivals.complexity import count_gmacs, count_parameters
from derain.rivals.weights_file import save_rival


def test_every_row_of_table_2_is_listed_in_order():
    assert [entry.row for entry in TABLE2] == [m.name for m in METHODS if m.name != OURS]


def test_every_network_belongs_to_one_entry():
    names = [name for entry in (*TABLE2, *BESIDE) for name in entry.networks]
    assert sorted(names) == sorted(NETWORKS)
    assert set(GMACS) == set(NETWORKS)


def test_an_entry_has_networks_or_says_what_is_missing():
    wrong = [e.row for e in (*TABLE2, *BESIDE) if bool(e.networks) == bool(e.missing)]
    assert wrong == []


def test_networks_have_the_printed_number_of_parameters():
    printed = {method.name: method.parameters for method in METHODS}
    counted = {e.row: count_parameters(e.networks[0]) / 1e6 for e in TABLE2 if e.networks}
    different = {
        row: (f"{count:.2f}", printed[row])
        for row, count in counted.items()
        if abs(count - float(str(printed[row]).removesuffix(" M"))) > 0.006
    }
    assert different == {
        "RCDNet": ("3.09", "3.67 M"),  # its code has 3.17 million, of which it uses these
        "Syn2Real": ("2.61", "2.62 M"),  # with layers that its code builds and skips
        "Wang et al.": ("1.71", "2.04 M"),  # likewise
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_cost_at_256_is_that_of_the_network(name):
    assert count_gmacs(name) == pytest.approx(GMACS[name], abs=0.01)


def test_the_list_is_printed(capsys):
    assert main(["rivals"]) == 0
    output = capsys.readouterr().out
    assert "168,963" in output
    assert "no public code was found" in output


def test_all_rows_are_described(capsys):
    assert main(["rivals", "--details"]) == 0
    output = capsys.readouterr().out
    missing = [e.row for e in (*TABLE2, *BESIDE) if f"{e.row}: {e.paper}" not in output]
    assert missing == []


def test_a_row_is_described(capsys):
    assert main(["rivals", "prenet"]) == 0
    assert "arXiv 1901.09221" in capsys.readouterr().out


def test_a_checkpoint_is_checked(tmp_path, capsys):
    network = build("prn_r")
    weights = {network.official_name(name): t for name, t in network.state_dict().items()}
    torch.save(weights, tmp_path / "w.pth")
    assert main(["rivals", "prn_r", str(tmp_path / "w.pth")]) == 0
    output = capsys.readouterr().out
    assert "8 of 8 parameters fit" in output
    assert "not among the known files" in output


def test_weights_of_another_shape_are_checked(tmp_path, capsys):
    options = {"channels": 4, "stages": 2}
    path = tmp_path / "w.safetensors"
    save_rival(path, build("prn_r", **options), kind="prn_r", options=options, card={})
    assert main(["rivals", "prn_r", str(path)]) == 0
    assert "8 of 8 parameters fit" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nosuch"], ["RadNet", "w.pth"], ["prenet", "nosuch.pth"]])
def test_problems_are_one_line(arguments, capsys):
    assert main(["rivals", *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_rows_are_found_in_any_case():
    assert find_entry("SPANET").row == "SpaNet"
