from dataclasses import replace

import pytest
from helpers.networks import TINY, make_network


@pytest.fixture
def tiny():
    """A small generator with all kinds of parts."""
    return make_network()


@pytest.fixture
def halved():
    """A small generator whose first level has half the picture's size."""
    return make_network(replace(TINY, preset="halved", unshuffle=2, stages=(1, 1, 1, 1)))
