"""What the files in a run's folder are called. Imports nothing: the figures read them without what trains."""

STATE = "state.ckpt"
WEIGHTS = "weights.safetensors"
LOG = "log.jsonl"
RECIPE = "recipe.json"
