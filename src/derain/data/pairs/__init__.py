"""Pairs of a rainy and a clean picture, in every published layout."""
