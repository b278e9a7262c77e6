"""The paper's figures, drawn from runs and weights. Needs the extras `train` and `plot`."""
