"""Training: losses, recipes and the loop. Needs the extra `train`."""
