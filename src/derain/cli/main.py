"""`derain`: verbs that are imported when they are used, and errors that are one line."""

from __future__ import annotations

import io
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from cyclopts import App

from derain import DerainError, __version__
from derain.cli.console import one_line
from derain.errors import MissingExtraError
from derain.files.paths import exists, is_folder
from derain.suffixes import PIPE, READ

VERBS = {
    "restore": "Take the rain out of photos and folders; what `derain photo.jpg` does.",
    "video": "Take the rain out of clips and pipes; what `derain clip.mp4` does.",
    "info": "Models, engines, devices and versions.",
    "rain": "Put rain onto a clean photo.",
    "train": "Train a network after a recipe.",
    "export": "Make the network that `derain` runs out of trained weights.",
    "ablate": "Train the rows of one of the paper's ablation tables.",
    "bench": "Measure the speed of this machine.",
    "plot": "Draw the paper's figures from runs and weights.",
    "evaluate": "Measure restored pictures against clean ones.",
    "data": "Look at folders of rainy and clean pictures: what is there, and what is wrong with it.",
}
"""Verb VERB is the function or `cyclopts.App` of that name in `derain.cli.VERB`. The sentences are here, so that `--help` imports
none of them."""
ABOUT = {"--help", "-h", "--version"}
EXTRAS = dict.fromkeys(
    ["torch", "lightning_fabric", "safetensors", "onnx", "tensorboard", "tomli"], "train"
) | {"matplotlib": "plot"}
EXTRAS["av"] = "video"
"""Modules that are not there after a plain `pip install derain`, and the extra that brings them."""
PYAV_NEEDS = (3, 11)
"""The oldest Python for which PyAV is published; for an older one the extra `video` brings nothing."""


def build_app() -> App:
    """The command line with every verb."""
    app = App(
        name="derain",
        help="Takes the rain out of photographs and clips: `derain photo.jpg` writes `photo_derained.jpg` beside it.",
        version=__version__,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for verb, sentence in VERBS.items():
        app.command(f"derain.cli.{verb}:{verb}", name=verb, help=sentence)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code.

    0 if all went well, 1 if anything failed, 130 after Ctrl-C, SIGTERM and SIGHUP; a command line that makes no sense raises
    SystemExit(2). A `DerainError` is one line on stderr.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _end_as_by_ctrl_c()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # names that its encoding lacks, where it goes to a file on Windows
    warnings.filterwarnings("ignore", module="PIL")  # a damaged file gets one sentence of ours
    try:
        if tokens and tokens[0] not in {*VERBS, *ABOUT}:
            tokens.insert(
                0, _verb_for(tokens)
            )  # a photo that is called like a verb is given as ./train
        return int(build_app()(tokens or ["--help"]) or 0)
    except DerainError as error:
        return _refuse(str(error))
    except ImportError as error:
        module = _missing_module(error)
        if module not in EXTRAS:
            raise
        if module == "av" and sys.version_info < PYAV_NEEDS:
            newer = ".".join(map(str, PYAV_NEEDS))
            return _refuse(
                f"derain {tokens[0]} needs Python {newer} or newer, for which PyAV is published; install derain there"
            )
        return _refuse(str(MissingExtraError(f"derain {tokens[0]}", extra=EXTRAS[module])))
    except KeyboardInterrupt:
        print("derain: interrupted", file=sys.stderr)
        return 130


def _verb_for(tokens: Sequence[str]) -> str:
    """The verb that is meant by a command line without one. Raises DerainError where none can be."""
    first = tokens[0]
    if (
        not exists(Path(first))
        and first.isidentifier()
        and (near := get_close_matches(first.lower(), VERBS, n=1, cutoff=0.75))
    ):
        raise DerainError(
            f"{first}: is neither a file nor a verb; did you mean `derain {near[0]}`?"
        )
    inputs = [
        token
        for token, before in zip(tokens, ["", *tokens], strict=False)
        if before not in {"-o", "--output"}
    ]
    for token in inputs:
        if re.match(r"\w+://", token) and not exists(Path(token)):
            raise DerainError(
                f"{token}: is no file; `ffmpeg -i {token} -f yuv4mpegpipe - | derain - -o -` restores a stream"
            )
    if not any(_is_clip(token) for token in tokens):
        return "restore"
    if (folder := next((token for token in inputs if is_folder(Path(token))), None)) and any(
        _is_clip(token) for token in inputs
    ):
        raise DerainError(
            f"{folder}: is a folder beside clips; `derain {folder}` takes its photos, `derain video {folder}` its numbered frames"
        )
    return "video"


def _is_clip(token: str) -> bool:
    return token == PIPE or Path(token).suffix.lower() in READ


def _end_as_by_ctrl_c() -> None:
    """What ends a service or a terminal ends this process as Ctrl-C does: with whole files, and clips as far as they came."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)


def _refuse(text: str) -> int:
    print(f"derain: {one_line(text)}", file=sys.stderr)
    return 1


def _missing_module(error: BaseException | None) -> str:
    """The top module that an ImportError, or the one behind it, did not find."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__
    return ""


if __name__ == "__main__":
    sys.exit(main())
