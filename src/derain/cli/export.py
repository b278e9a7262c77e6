"""`derain export`: make the network that `derain` runs out of trained weights."""

from __future__ import annotations

from pathlib import Path


def export(
    weights: Path, /, output: Path | None = None, *, half: bool = True, check: bool = True
) -> None:
    """Export trained WEIGHTS (a .safetensors file of a run) to ONNX, for `derain --model OUTPUT` and for any other program.

    Height and width stay free. The largest difference to torch is printed for five sizes.

    Parameters
    ----------
    weights
        What a training run left: weights.safetensors in its folder. Or the name of a shipped model.
    output
        The .onnx file to write, with a .safetensors file of the same name beside it; default is NAME_exported.onnx beside
        WEIGHTS, of a shipped model in the current folder.
    half
        Store the weights in float16; they are computed with in float32.
    check
        Compare with torch.
    """
    from derain.cli.console import plain_console
    from derain.errors import WeightsError
    from derain.export.export import export as write
    from derain.export.export import largest_differences
    from derain.network.weights_file import load_network, resolve_path

    output = output or weights.with_name(f"{weights.stem}_exported.onnx")
    if output.with_suffix(".safetensors").resolve() == resolve_path(weights).resolve():
        raise WeightsError(
            f"{output}: the file beside it would replace {weights}; give another name"
        )
    network, card = load_network(weights)
    write(network, output, card=card, half=half)
    console = plain_console()
    console.print(f"{output}: {output.stat().st_size / 2**20:.1f} MiB", markup=False)
    if check:
        exported, _ = load_network(output.with_suffix(".safetensors"))
        for (height, width), difference in largest_differences(exported, output).items():
            console.print(f"largest difference to torch at {width}x{height}: {difference:.1e}")
