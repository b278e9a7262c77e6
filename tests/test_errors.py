"""The exceptions of derain."""

from __future__ import annotations

import inspect
import pickle

import pytest

from derain import errors

CLASSES = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if error.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_error_is_in_the_documented_tree(error):
    assert error.__name__ in errors.__doc__.split()


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_error_is_a_derain_error(error):
    assert issubclass(error, errors.DerainError)


def test_missing_extra_names_the_install_command():
    error = errors.MissingExtraError("HEIC", extra="heif")
    assert str(error) == "HEIC needs the extra `heif`: install it with `pip install 'derain[heif]'`"


def test_missing_extra_survives_a_process_pool():
    error = errors.MissingExtraError("HEIC", extra="heif")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
