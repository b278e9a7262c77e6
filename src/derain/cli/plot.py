"""`derain plot`: the paper's figures from runs and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from derain.cli.options import Positive
from derain.errors import MissingExtraError

plot = App(name="plot", help="Draw the paper's figures from runs and weights.")


def _check_extras() -> None:
    """Raise MissingExtraError that names all missing extras at once."""
    from importlib.util import find_spec

    missing = [
        extra
        for library, extra in (("torch", "train"), ("matplotlib", "plot"))
        if find_spec(library) is None
    ]
    if missing:
        raise MissingExtraError("`derain plot`", extra=",".join(missing))


@plot.command
def losses(
    *runs: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("losses.png"),
    over: Annotated[int, Parameter(validator=Positive)] = 10,
) -> None:
    """Draw Figure 7: the generator's adversarial loss during training, by side layer.

    There is one line for each of RUNS.

    Parameters
    ----------
    runs
        Folders of training runs.
    output
        Figure to write, PNG or SVG.
    over
        Number of logged steps in the running mean.
    """
    _check_extras()
    from derain.plot.figure_file import check_figure, save_figure
    from derain.plot.losses import draw_losses

    check_figure(output)
    save_figure(draw_losses(runs, window=over), output)
    print(output)


@plot.command
def features(
    image: Path,
    /,
    *,
    weights: Path | None = None,
    module: str = "encoder",
    level: int = 1,
    stage: int = 2,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("features.png"),
) -> None:
    """Draw Figure 4: feature maps of the local, non-local and fusion branch for IMAGE.

    Parameters
    ----------
    image
        A picture, usually rainy.
    weights
        Weights file or name of a shipped model; default is the model that `derain` uses.
    module
        encoder or decoder.
    level
        1 (the highest resolution) to 4.
    stage
        1 to N of the module.
    output
        Figure to write, PNG or SVG.
    """
    _check_extras()
    from derain import pictures
    from derain.inference.dtypes import to_unit_range
    from derain.plot.features import draw_features
    from derain.plot.figure_file import check_figure, save_figure
    from derain.weights import DEFAULT

    check_figure(output)
    figure = draw_features(
        weights or DEFAULT,
        to_unit_range(pictures.read(image).pixels),
        module=module,
        level=level,
        stage=stage,
    )
    save_figure(figure, output)
    print(output)
