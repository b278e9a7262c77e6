"""Pairs of a rainy and a clean picture, in all published layouts."""
