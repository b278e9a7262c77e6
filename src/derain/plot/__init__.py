"""The paper's figures from runs and weights. Needs the extras `train` and `plot`."""
