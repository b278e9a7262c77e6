"""The options of every verb that restores: which network, on what, within how much memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token, validators

from derain.errors import DerainError
from derain.weights import DEFAULT

if TYPE_CHECKING:
    from derain.inference.restorer import Restorer


def _named(_: type, tokens: Sequence[Token]) -> Path:
    """A path, unless it is empty, as of a shell variable that is not set: that would be the current folder."""
    if not tokens[0].value:
        raise DerainError(
            f"{tokens[0].keyword or 'an input'}: is empty; name a file or a folder, or . for this one"
        )
    if tokens[0].keyword and tokens[0].value[0] == "-" != tokens[0].value:
        raise DerainError(
            f"{tokens[0].keyword}: needs a name, and {tokens[0].value} is an option; write ./{tokens[0].value} for a file"
        )
    return Path(tokens[0].value)


def result_suffix(suffix: str | None, *, default: str, output: Path | None) -> str:
    """What the names of results beside their sources end with. Raises DerainError for a suffix of results that lie elsewhere."""
    if suffix is not None and output is not None:
        raise DerainError(
            f"--suffix {suffix}: ends the names of results beside their sources, and -o puts them elsewhere; leave one out"
        )
    return default if suffix is None else suffix


def parse_size(text: str, *, option: str) -> tuple[int, int]:
    """Return (width, height) in pixels for `1920x1080`. Raises DerainError that names `option`."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        raise DerainError(f"{option} {text}: expected WIDTHxHEIGHT, for example 1920x1080")
    return int(match[1]), int(match[2])


PathArgument = Annotated[Path, Parameter(converter=_named)]
Positive = validators.Number(gte=1)
Fraction = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]
Flag = Annotated[bool, Parameter(negative=())]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=())]


@Parameter(name="*")
@dataclass(frozen=True)
class Network:
    """What runs.

    Parameters
    ----------
    model
        The name of a model (`derain info` lists them) or the path of a weights file.
    engine
        What runs the network; without it, the first one that is installed.
    device
        Where it runs; `derain info` lists the devices of this machine.
    precision
        float32 is exact; bfloat16 is faster on processors that have it, and is then the default.
    threads
        Threads of the processor for the network; without it, all cores.
    tile_px
        Largest side of a tile in pixels; less than 168, three overlaps, counts as that. Without it, the tile follows from
        --limit-mib.
    limit_mib
        Memory for the network in MiB; less than the smallest tile needs counts as that.
    ensemble
        Take the mean over 4 flips, or over 8 flips and quarter turns, as many times slower: 4 is a little better, 8 is with a
        network that knows rain from all sides.
    """

    model: Annotated[str, Parameter(name=["--model", "-m"])] = DEFAULT
    engine: Literal["openvino", "onnxruntime"] | None = None
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] | None = None
    threads: Annotated[int | None, Parameter(validator=Positive)] = None
    tile_px: Annotated[int | None, Parameter(name="--tile", validator=Positive)] = None
    limit_mib: Annotated[int | None, Parameter(validator=Positive)] = None
    ensemble: Literal[1, 4, 8] = 1

    def load(self) -> Restorer:
        """The network as it was asked for. Raises WeightsError and EngineError."""
        from derain.inference.restorer import Restorer

        return Restorer(**vars(self))


DEFAULT_NETWORK = Network()
