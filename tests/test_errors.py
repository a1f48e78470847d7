"""Errors: one family, and unknown names that suggest."""

from __future__ import annotations

import pickle

import pytest

from galfit_ml import errors
from galfit_ml.errors import GalfitMLError, unknown_name

CHILDREN = {
    "SpectrumError": ValueError,
    "UnknownNameError": LookupError,
    "PluginError": RuntimeError,
    "PriorError": ValueError,
    "FileFormatError": ValueError,
    "OutputExistsError": FileExistsError,
    "WorkerError": RuntimeError,
    "WriteError": OSError,
    "MissingPackageError": ImportError,
}


@pytest.mark.parametrize(("name", "builtin"), CHILDREN.items())
def test_each_error_is_caught_as_ours_and_as_the_builtin_a_caller_expects(name: str, builtin: type[Exception]) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, GalfitMLError)
    assert issubclass(kind, builtin)


def test_no_error_is_left_out_of_the_list_above() -> None:
    ours = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, GalfitMLError)}
    assert ours == {*CHILDREN, "GalfitMLError"}


def test_an_unknown_name_suggests_the_nearest_one() -> None:
    message = str(unknown_name("backend", "emce", ["cnn", "emcee"]))
    assert message == "No backend 'emce'. Did you mean 'emcee'? Installed: cnn, emcee."


def test_a_name_in_capitals_is_still_recognised() -> None:
    assert "Did you mean 'sdss'?" in str(unknown_name("instrument", "SDSS", ["sdss", "boss"]))


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    message = str(unknown_name("parameter", "zzzzzz", ["redshift"], "See the docs."))
    assert message == "No parameter 'zzzzzz'. Known: redshift. See the docs."


def test_an_empty_choice_says_none() -> None:
    assert "Installed: none." in str(unknown_name("backend", "x", []))


def test_errors_cross_process_borders() -> None:
    error = unknown_name("backend", "emce", ["emcee"])
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))
