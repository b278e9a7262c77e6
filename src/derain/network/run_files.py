"""What the files in a run's folder are called. Imports nothing."""

STATE = "state.ckpt"
WEIGHTS = "weights.safetensors"
LOG = "log.jsonl"
RECIPE = "recipe.json"
