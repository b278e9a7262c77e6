"""`derain train`: train a network as a recipe says."""

from __future__ import annotations

from pathlib import Path

from derain.cli.options import Flag


def train(
    recipe: Path, /, *overrides: str, resume: Flag = False, weights: Path | None = None
) -> None:
    """Train a network as RECIPE, a TOML file, says. Ctrl-C, SIGTERM and the end of the terminal end the run with its state saved.

    Parameters
    ----------
    recipe
        The recipe; the project's own are in recipes/.
    overrides
        Values to use in place of the recipe's, as section.key=value (optimiser.learning_rate=1e-3). Folders of data are relative
        to the recipe, as those in it.
    resume
        Go on with the run in record.folder, whose state Ctrl-C, SIGTERM or the end of the terminal saved.
    weights
        Start from this weights file, or from a shipped model by its name, instead of from nothing, with a new optimiser;
        weights of a network of fewer channels are widened.
    """
    from derain.train.loop import setup
    from derain.train.recipe_file import read_recipe

    setup(read_recipe(recipe, overrides), resume=resume, weights=weights)
