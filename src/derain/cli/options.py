"""Options that several verbs share: which network runs, where, and within which memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, Token, validators

from derain.errors import DerainError
from derain.weights import CLIP_DEFAULT, DEFAULT

if TYPE_CHECKING:
    from derain.inference.clip_restorer import ClipRestorer
    from derain.inference.restorer import Restorer


class Output(str):
    """Name of a file or a folder as typed; a slash at its end means a folder."""


def _parse_path(_: type, tokens: Sequence[Token]) -> Path:
    """Return a path. Raises DerainError for an empty one, such as an unset shell variable."""
    return Path(_parse_output(Output, tokens))


def _parse_output(_: type, tokens: Sequence[Token]) -> Output:
    """Return the text of a path. Raises DerainError as `_parse_path` does."""
    text, option = tokens[0].value, tokens[0].keyword
    if not text:  # Path("") would be the current folder
        raise DerainError(
            f"{option or 'an input'}: is empty; name a file or a folder, or . for this one"
        )
    if option and text.startswith("-") and text != "-":
        raise DerainError(f"{option}: needs a name, but {text} is an option; write ./{text}")
    return Output(text)


def result_suffix(suffix: str | None, *, default: str, output: str | Path | None) -> str:
    """Return the suffix of results. Raises DerainError if both `suffix` and `output` are given."""
    if suffix is not None and output is not None:
        raise DerainError(
            f"--suffix {suffix}: applies to results beside their sources only; remove it or -o"
        )
    return default if suffix is None else suffix


def parse_size(text: str, *, option: str) -> tuple[int, int]:
    """Return (width, height) in pixels for `1920x1080`. Raises DerainError that names `option`."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        raise DerainError(f"{option} {text}: expected WIDTHxHEIGHT, for example 1920x1080")
    return int(match[1]), int(match[2])


PathArgument = Annotated[Path, Parameter(converter=_parse_path)]
OutputArgument = Annotated[Output, Parameter(converter=_parse_output)]
Positive = validators.Number(gte=1)
Fraction = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Network:
    """A model, the engine that runs it, and its limits.

    Parameters
    ----------
    model
        Name of a model (`derain info` lists them), or path of a weights file.
    engine
        Library that runs the network. Default: the first one that supports it on this machine.
    device
        Device that runs the network; `derain info` lists those of this machine.
    precision
        float32 is exact. bfloat16 is faster on CPUs that support it, and their default.
    threads
        CPU threads for the network. Default: all cores.
    tile_px
        Large pictures are restored in tiles. Maximum side of a tile in pixels, at least 168, or 336
        for `fast` and `clip`. Default: as large as --limit-mib allows.
    limit_mib
        Memory for the network in MiB, at least that of the smallest tile. Default: 768, and less
        for very large pictures.
    ensemble
        Average over 4 flips, which is slightly better and takes 4 times as long.
    """

    model: Annotated[str, Parameter(name=["--model", "-m"])] = DEFAULT
    engine: Literal["native", "openvino", "onnxruntime", "torch"] | None = None
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] | None = None
    threads: Annotated[int | None, Parameter(validator=Positive)] = None
    tile_px: Annotated[int | None, Parameter(name="--tile", validator=Positive)] = None
    limit_mib: Annotated[int | None, Parameter(validator=Positive)] = None
    ensemble: Literal[1, 4] = 1

    def load(self) -> Restorer:
        """Load the network. Raises WeightsError and EngineError."""
        from derain.inference.restorer import Restorer

        return Restorer(**vars(self))

    def load_for_clips(self) -> ClipRestorer:
        """Load the network, which may be one for clips. Raises WeightsError and EngineError."""
        from derain.inference.clip_restorer import ClipRestorer

        return ClipRestorer(**vars(self))


@Parameter(name="*")
@dataclass(frozen=True)
class ClipNetwork(Network):
    """The same for clips: the help shows the default of the field, not that of an instance."""

    model: Annotated[str, Parameter(name=["--model", "-m"])] = CLIP_DEFAULT


DEFAULT_NETWORK = Network()
DEFAULT_CLIP_NETWORK = ClipNetwork()
