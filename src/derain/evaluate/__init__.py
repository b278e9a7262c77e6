"""Metrics, the protocols of published papers, and reports. Imports no torch."""
