"""The paper's ablations: rows, training, results."""
