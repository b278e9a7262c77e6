"""The rows of the ablation tables of the paper, trained alike."""
