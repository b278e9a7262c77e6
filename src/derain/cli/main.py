"""The command `derain`: verbs imported on demand, errors of one line, exit codes."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import redirect_stdout
from difflib import get_close_matches
from glob import glob
from pathlib import Path
from typing import TextIO, cast

from cyclopts import App, CycloptsError, Group

from derain import DerainError, __version__
from derain.cli.console import ResultStream, log_stream, one_line
from derain.cli.exit_codes import ExitCode
from derain.cluster.location import is_store
from derain.errors import MissingExtraError
from derain.files.paths import ends_with_slash, exists, is_folder
from derain.suffixes import PICTURE_SUFFIXES, PIPE, READABLE_CLIP_SUFFIXES

VERBS = {
    "restore": "Remove rain from photos and folders of photos. Default for `derain photo.jpg`.",
    "video": "Remove rain from clips and pipes. Default for `derain clip.mp4`.",
    "serve": "Serve a page, and an interface for programs, that restore photos.",
    "web": "Write a page that restores photos in the visitor's browser.",
    "info": "Show models, engines, devices and versions.",
    "rain": "Render rain onto a clean photo.",
    "train": "Train a network from a recipe.",
    "export": "Export trained weights as a model that `derain` can run.",
    "ablate": "Train the rows of one of the paper's ablation tables.",
    "bench": "Measure the speed of this machine.",
    "plot": "Draw the paper's figures from runs and weights.",
    "evaluate": "Score restored pictures against clean ones.",
    "rivals": "List the other networks of Table 2 and check their published weights.",
    "data": "Check data sets for training, make pairs from a clip, and find hard crops.",
}
"""Verb -> help, in the order of `--help`.

A verb is the function or `cyclopts.App` of its name in `derain.cli.VERB`.
The sentences stand here so that `--help` imports none of those modules.
"""
USER_VERBS = {"restore", "video", "serve", "web", "info"}
"""Verbs for users of the models; `--help` lists them before those for research."""
PATTERN_VERBS = {"restore", "video"}
"""Verbs of which any number of files can be named."""
USAGE = "Usage: derain PHOTO|FOLDER|CLIP... [OPTIONS]\n       derain COMMAND ..."
ABOUT = {"--help", "-h", "--version"}
OUTPUT_OPTIONS = {"--output", "-o"}
FILE_OPTIONS = {"--json", "--report", "--mask", "--model", "-m"}
"""Options with files that are neither inputs nor outputs; their suffix does not select the verb."""
WITHOUT_DOCSTRINGS = 2
"""Optimisation level of `python -OO`."""
EXTRAS = dict.fromkeys(
    ["torch", "lightning_fabric", "safetensors", "onnx", "pydantic", "filelock", "tomli"], "train"
) | {"matplotlib": "plot"}
EXTRAS |= dict.fromkeys(["fastapi", "starlette", "uvicorn", "prometheus_client"], "serve")
EXTRAS |= {"av": "video", "ray": "ray", "pyarrow": "ray"}
"""Modules that a plain `pip install derain` lacks -> the extra that installs them."""
PYAV_NEEDS = (3, 11)
"""The oldest Python for which PyAV is published; with an older one the extra `video` is empty."""


def build_app() -> App:
    """Build the command line with every verb."""
    photos, research = Group("Photos and clips", sort_key=0), Group("Research", sort_key=1)
    app = App(
        name="derain",
        usage=USAGE,
        group_commands=Group("About", sort_key=2),
        help="Remove rain from photos and clips: `derain photo.jpg` writes `photo_derained.jpg`.",
        version=__version__,
        suppress_keyboard_interrupt=False,
        exit_on_error=False,  # with 1 before version 5
        result_action="return_value",
    )
    for position, (verb, sentence) in enumerate(VERBS.items()):
        app.command(
            f"derain.cli.{verb}:{verb}",
            name=verb,
            help=sentence,
            group=photos if verb in USER_VERBS else research,
            sort_key=position,
        )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of this process) and return its exit code.

    0 on success, 1 if anything failed, 130 after Ctrl-C, SIGTERM or SIGHUP. A usage error raises
    SystemExit(2), and SystemExit(1) follows when the reader of standard output has ended. A
    `DerainError` becomes one line on stderr.
    """
    if getattr(sys, "frozen", False):
        import multiprocessing

        multiprocessing.freeze_support()  # this may be a worker process
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _handle_signals_like_ctrl_c()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # file names may not fit the stream's encoding, for example in a file on Windows
            stream.reconfigure(errors="backslashreplace")
    # corrupt files get a message from derain instead
    warnings.filterwarnings("ignore", module="PIL")
    if tokens[:1] == ["help"] and not exists(Path("help")):
        tokens = [*tokens[1:], "--help"]
    stdout = ResultStream(sys.stdout or io.StringIO())  # a program without a console has none
    with redirect_stdout(cast(TextIO, stdout)):
        code = _run(tokens)
        try:
            stdout.flush()
        except DerainError as error:
            return _refuse(str(error))
        return code


def _run(tokens: list[str]) -> int:
    """Run one command line and return its exit code; print why it fails."""
    try:
        if tokens and tokens[0] not in {*VERBS, *ABOUT}:
            # a photo whose name is a verb is written ./train
            tokens.insert(0, _verb_for(tokens))
        if sys.platform == "win32" and tokens and tokens[0] in PATTERN_VERBS:
            tokens = _expand_patterns(tokens)
        if tokens and tokens[0] in VERBS and sys.flags.optimize >= WITHOUT_DOCSTRINGS:
            _restore_help(tokens[0])
        return int(build_app()(tokens or ["--help"]) or 0)
    except CycloptsError:  # printed by cyclopts
        raise SystemExit(int(ExitCode.USAGE)) from None
    except DerainError as error:
        return _refuse(str(error))
    except ImportError as error:
        module = _missing_module(error)
        if module not in EXTRAS:
            raise
        if module == "av" and sys.version_info < PYAV_NEEDS:
            newer = ".".join(map(str, PYAV_NEEDS))
            return _refuse(
                f"derain {tokens[0]} needs PyAV, which requires Python {newer} or newer; "
                f"install derain with a newer Python"
            )
        return _refuse(str(MissingExtraError(f"derain {tokens[0]}", extra=EXTRAS[module])))
    except OSError:
        if _has_current_folder():
            raise
        return _refuse("the current folder was removed; change to another folder with `cd`")
    except KeyboardInterrupt:
        print("derain: interrupted", file=log_stream())
        return ExitCode.INTERRUPTED


def _verb_for(tokens: Sequence[str]) -> str:
    """Return the verb for a command line that names none. Raises DerainError if none fits."""
    first = tokens[0]
    if (
        not exists(Path(first))
        and first.isidentifier()
        and (near := get_close_matches(first.lower(), VERBS, n=1, cutoff=0.75))
    ):
        raise DerainError(f"{first}: neither a file nor a verb; did you mean `derain {near[0]}`?")
    inputs = _values(tokens, skip=OUTPUT_OPTIONS | FILE_OPTIONS | {"--suffix"})
    for token in inputs:
        if token in VERBS and not exists(Path(token)):
            raise DerainError(f"{token}: commands come before options; write `derain {token} ...`")
        if is_store(token):
            return "restore"
        if re.match(r"\w+://", token) and not exists(Path(token)):
            if Path(token).suffix.lower() in PICTURE_SUFFIXES:
                raise DerainError(f"{token}: is not on this machine; download it first")
            raise DerainError(
                f"{token}: streams cannot be opened directly; "
                f"use `ffmpeg -i {token} -f yuv4mpegpipe - | derain - -o -`"
            )
    if not any(_is_clip(token) for token in _values(tokens, skip=FILE_OPTIONS)):
        return "restore"
    if (folder := next((token for token in inputs if is_folder(Path(token))), None)) and any(
        _is_clip(token) for token in inputs
    ):
        raise DerainError(
            f"{folder}: a folder cannot be mixed with clips; use `derain restore {folder}` for its "
            f"photos or `derain video {folder}` for a frame folder"
        )
    return "video"


def _expand_patterns(tokens: Sequence[str]) -> list[str]:
    """Replace patterns such as *.jpg by the files that match; a pattern without files stays.

    The shells of Windows leave this to each program.
    """
    expanded: list[str] = []
    for token in tokens:
        # brackets occur in names, the other two do not
        is_pattern = not {"*", "?"}.isdisjoint(token)
        found = sorted(glob(token.replace("[", "[[]"))) if is_pattern else []  # noqa: PTH207
        expanded += found or [token]
    return expanded


def _values(tokens: Sequence[str], *, skip: AbstractSet[str]) -> list[str]:
    """Return the tokens without the values of some options, `--json out.json` or `--json=-`."""
    return [
        token
        for token, before in zip(tokens, ["", *tokens], strict=False)
        if before not in skip and token.partition("=")[0] not in skip
    ]


def _is_clip(token: str) -> bool:
    """True for a pipe and for the name of a clip, which no folder has; also for `-o=clip.mp4`."""
    option, _, value = token.partition("=")
    name = value if option in OUTPUT_OPTIONS else token
    if name == PIPE:
        return True
    has_suffix = Path(name).suffix.lower() in READABLE_CLIP_SUFFIXES
    return has_suffix and not ends_with_slash(name) and not is_folder(Path(name))


def _handle_signals_like_ctrl_c() -> None:
    """Make SIGTERM and SIGHUP end this process like Ctrl-C: with complete files, partial clips."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)


def _restore_help(verb: str) -> None:
    """Restore the docstrings that the help of a verb is made of."""
    from importlib import import_module

    from derain.cli.docstrings import restore_docstrings

    for name in (verb, "options"):
        restore_docstrings(import_module(f"derain.cli.{name}"))


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def _refuse(text: str) -> int:
    print(f"derain: {one_line(text)}", file=log_stream())
    return ExitCode.FAILURE


def _missing_module(error: BaseException | None) -> str:
    """Return the top-level module that an ImportError, or its cause, did not find."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__
    return ""


if __name__ == "__main__":
    sys.exit(main())
