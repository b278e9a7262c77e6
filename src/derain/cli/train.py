"""`derain train`: train a network by a recipe."""

from __future__ import annotations

from pathlib import Path

from derain.cli.options import Flag


def train(
    recipe: Path, /, *overrides: str, resume: Flag = False, weights: Path | None = None
) -> None:
    """Train a network as RECIPE, a TOML file, says.

    Ctrl-C, SIGTERM and the end of the terminal end the run and save its state.

    Parameters
    ----------
    recipe
        The recipe; the project's own are in recipes/.
    overrides
        Values that replace those of the recipe, as section.key=value, for example
        optimiser.learning_rate=1e-3. Folders of data are relative to data.root, which is relative
        to the current folder; without a root, they are relative to the recipe.
    resume
        Continue the run in record.folder from its last checkpoint.
    weights
        Start from this weights file, or from a shipped model by its name, with a new optimiser.
        Weights of a network with fewer channels or stages are grown.
    """
    from derain.train.loop import setup
    from derain.train.recipe_file import read_recipe

    setup(read_recipe(recipe, overrides), resume=resume, weights=weights)
