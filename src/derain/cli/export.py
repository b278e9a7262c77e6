"""`derain export`: make a model for `derain` from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    weights: Path,
    /,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    *,
    program: Annotated[Literal["darktable", "spandrel"] | None, Parameter(name="--for")] = None,
    card: Path | None = None,
    half: bool = True,
    check: bool = True,
) -> None:
    """Export trained WEIGHTS to ONNX, for `derain --model OUTPUT` and for other programs.

    Height and width stay free. The largest difference from PyTorch is printed for five sizes.

    Parameters
    ----------
    weights
        A .safetensors file, such as weights.safetensors in a run folder, an exported .onnx file,
        the name of a shipped model, or NAME:PATH for a network of another paper (`derain rivals`).
    output
        The .onnx file to write; its hierarchical heads, which only training needs, are written
        beside it as a .safetensors file of the same name. Default is NAME_exported.onnx beside
        WEIGHTS, or in the current folder for a shipped model.
    program
        Write the file of another program instead: darktable (NAME.dtmodel) or spandrel
        (NAME.safetensors). WEIGHTS is then a model: a shipped one, or an .onnx file.
    card
        A JSON object whose entries are added to the card in the file, or replace entries of it:
        licence, data, limits. Not for other programs and networks of other papers.
    half
        Store the weights in float16. The computation is in float32 either way.
    check
        Compare the exported network with PyTorch.
    """
    from derain.cli.console import plain_console
    from derain.errors import WeightsError
    from derain.files.paths import is_file
    from derain.inference.engines.rival import find_rival

    rival = find_rival(weights)
    if card is not None and (rival is not None or program is not None):
        raise WeightsError(
            "--card: is for ONNX files of derain's networks only; leave it out, or export the "
            "network to .onnx first"
        )
    if program is not None:
        _export_for(program, str(weights), output)
        return
    if rival is not None:
        from derain.rivals.onnx import export as export_rival

        output = output or Path(f"{rival.name}.onnx")
        _print_size(export_rival(rival.name, rival.onnx_path, output, half=half))
        return
    from derain.export.export import export as export_network
    from derain.export.export import largest_differences, read_card
    from derain.network.weights_file import load_network

    output = output or weights.with_name(f"{weights.stem}_exported.onnx")
    is_same = output.with_suffix("").resolve() == weights.with_suffix("").resolve()
    if is_same and is_file(weights):  # not the name of a shipped model
        raise WeightsError(
            f"{output}: it or the heads beside it would overwrite {weights}; choose another name"
        )
    added = {} if card is None else read_card(card)
    network, trained = load_network(weights)
    export_network(network, output, card=trained | added, half=half)
    _print_size(output)
    if check:
        console = plain_console()
        exported, _ = load_network(output)
        for (height, width), difference in largest_differences(exported, output).items():
            console.print(f"largest difference from PyTorch at {width}x{height}: {difference:.1e}")


def _export_for(program: str, name: str, output: Path | None) -> None:
    from derain.export.darktable import SUFFIX as DARKTABLE_SUFFIX
    from derain.export.darktable import write_dtmodel
    from derain.weights import find

    model = find(name)
    if program == "darktable":  # its file needs no torch
        path = output or Path(f"derain-{model.name}{DARKTABLE_SUFFIX}")
        write_dtmodel(model, path)
    else:
        from derain.export.spandrel import SUFFIX, write_spandrel

        path = output or Path(f"derain-{model.name}{SUFFIX}")
        write_spandrel(name, path)
    _print_size(path, f", for {program}")


def _print_size(path: Path, remark: str = "") -> None:
    from derain.cli.console import plain_console

    size_mib = path.stat().st_size / 2**20
    plain_console().print(f"{path}: {size_mib:.1f} MiB{remark}", markup=False)
