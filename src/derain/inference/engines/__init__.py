"""Engines that run an exported network."""
