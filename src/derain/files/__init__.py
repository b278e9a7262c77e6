"""Paths, atomic writes and messages about files."""
