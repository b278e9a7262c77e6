"""`derain plot`: the paper's figures from runs and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from derain.cli.options import Positive
from derain.errors import MissingExtraError

plot = App(name="plot", help="Draw the paper's figures from runs and weights.")


def _check_extras() -> None:
    """Raise MissingExtraError with all extras that are missing, and not with the first of them alone."""
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
    """Figure 7: the generator's adversarial loss at each side layer over training, a line for each of RUNS.

    Parameters
    ----------
    runs
        Folders of training runs.
    output
        PNG or SVG.
    over
        Logged steps in a mean.
    """
    _check_extras()
    from derain.plot.figure_file import check_figure, save_figure
    from derain.plot.losses import draw_losses

    check_figure(output)
    save_figure(draw_losses(runs, over=over), output)
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
    """Figure 4: feature maps of the local, non-local and fusion branch for IMAGE.

    Parameters
    ----------
    image
        A picture, rainy as a rule.
    weights
        A weights file, or the name of a shipped model; default that of the model that restores.
    module
        encoder or decoder.
    level
        1, full resolution, to 4.
    stage
        1 to N of the module.
    output
        PNG or SVG.
    """
    _check_extras()
    import derain.pictures
    from derain.plot.features import draw_features
    from derain.plot.figure_file import check_figure, save_figure
    from derain.weights.library import DEFAULT, SHIPPED

    check_figure(output)
    rainy = derain.pictures.read(image).image
    white = {"uint8": 255, "uint16": 65535}[rainy.dtype.name]
    rgb = rainy if rainy.ndim == 3 else rainy[..., None].repeat(3, axis=-1)
    figure = draw_features(
        weights or SHIPPED / f"{DEFAULT}.safetensors",
        (rgb / white).astype("float32"),
        module=module,
        level=level,
        stage=stage,
    )
    save_figure(figure, output)
    print(output)
