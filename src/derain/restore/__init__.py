"""Take the rain out of pictures: tiles, engines, the restorer, folders."""

from derain.restore.engine import Engine, open_engine
from derain.restore.restorer import Restorer, restore

__all__ = ["Engine", "Restorer", "open_engine", "restore"]
