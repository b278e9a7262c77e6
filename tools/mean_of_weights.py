"""Write the mean of the weights of two models of one shape, such as those before and after a cycle.

    python tools/mean_of_weights.py best runs/best/weights.safetensors mean.safetensors --share 0.5

The card is that of the second model. `derain export` makes an ONNX model of the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from derain.errors import WeightsError
from derain.network.generator import PLNLIN
from derain.network.weights_file import load_into, load_weights, save_weights


def write_mean(first: str | Path, second: str | Path, output: Path, *, share: float = 0.5) -> None:
    """Write (1 - share) first + share second to a safetensors file.

    Hierarchical heads that only one of the models has are copied. `share` is from 0 to 1. Raises
    WeightsError for models of different shapes, and for a file that cannot be read or written.
    """
    (configuration, before, _), (other, after, card) = load_weights(first), load_weights(second)
    if configuration.generator_only != other.generator_only:
        raise WeightsError(f"{second}: has another shape than {first}; name models of one shape")
    mean = {
        name: (1 - share) * before.get(name, tensor) + share * after.get(name, tensor)
        for name, tensor in {**before, **after}.items()
    }
    network = PLNLIN(other)
    load_into(network, mean, path=output)
    save_weights(output, network, configuration=other, card=card)


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("first", help="a shipped model's name, or a weights file")
    parser.add_argument("second", help="the same; its card is kept")
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    options = parser.parse_args()
    write_mean(options.first, options.second, options.output, share=options.share)


if __name__ == "__main__":
    main()
