"""`derain info`: models, engines, devices and versions."""

from __future__ import annotations


def info() -> None:
    """Print what derain can run, on what, and with which versions."""
    from derain.cli.facts import print_facts

    print_facts()
