"""Pixels to pixels: one network, pictures of any size. Imports no torch."""

from derain.inference.clip_restorer import ClipRestorer
from derain.inference.engines.engine import Engine, open_engine
from derain.inference.restorer import Restorer, restore

__all__ = ["ClipRestorer", "Engine", "Restorer", "open_engine", "restore"]
