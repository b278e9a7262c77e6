"""The examples in docstrings are true."""

import doctest

import pytest

from derain.evaluate import light, metrics, niqe, statistics


@pytest.mark.parametrize("module", [light, metrics, niqe, statistics], ids=lambda m: m.__name__)
def test_examples_are_true(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
