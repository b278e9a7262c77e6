"""`derain web`: the page as a static folder."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from derain.cli.options import PathArgument


def web(
    output: PathArgument,
    /,
    *,
    model: Annotated[str, Parameter(name=["--model", "-m"])] = "fast",
    runtime: PathArgument | None = None,
) -> None:
    """Write a folder for any web server: a page that restores photos in the visitor's browser.

    Parameters
    ----------
    output
        Folder for the page; existing files of the same names are replaced.
    model
        Model that the page uses: a name (see `derain info`) or the path of a weights file.
    runtime
        Folder `dist` of the npm package onnxruntime-web. Not needed if `derain-web` is installed.
    """
    from derain.serve.static_page import build_static_page, describe

    names = build_static_page(output, model=model, runtime=runtime)
    print(describe(output, names))
