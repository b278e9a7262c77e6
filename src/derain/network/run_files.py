"""Names of the files in a run folder. Imports nothing."""

STATE = "state.ckpt"
WEIGHTS = "weights.safetensors"
LOG = "log.jsonl"
RECIPE = "recipe.json"
