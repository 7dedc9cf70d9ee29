from __future__ import annotations

import itertools

import pytest
import torch

from monai_tff import errors
from monai_tff.errors import ConfigError, ScanError, UserError, user_error_in


def chained(*links: Exception) -> Exception:
    """The last of the exceptions after each was raised from the one before it."""
    for cause, error in itertools.pairwise(links):
        error.__cause__ = cause
    return links[-1]


@pytest.mark.parametrize("name", ["ScanError", "DatalistError", "ContractError", "WeightsError", "ConfigError"])
def test_every_user_error_is_a_value_error_with_its_sentence(name: str) -> None:
    error = getattr(errors, name)("scan.nii.gz: found 3 dimensions, expected 4; use a 4D scan.")
    assert isinstance(error, UserError)
    assert isinstance(error, ValueError)
    assert str(error) == "scan.nii.gz: found 3 dimensions, expected 4; use a 4D scan."


def test_finds_the_error_itself() -> None:
    error = ScanError("a")
    assert user_error_in(error) is error


def test_finds_the_cause_of_a_cause() -> None:
    error = ScanError("a")
    assert user_error_in(chained(error, RuntimeError("applying transform"), RuntimeError("evaluating"))) is error


def test_finds_the_outermost_of_two() -> None:
    inner, outer = ScanError("inner"), ConfigError("outer")
    assert user_error_in(chained(inner, RuntimeError("between"), outer, RuntimeError("top"))) is outer


def test_follows_the_context_where_there_is_no_cause() -> None:
    error, failed_while_handling = ScanError("a"), KeyError("b")
    failed_while_handling.__context__ = error
    assert user_error_in(failed_while_handling) is error


def test_other_errors_hold_no_user_error() -> None:
    assert user_error_in(chained(KeyError("a"), RuntimeError("b"))) is None


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert user_error_in(first) is None


def test_an_error_in_a_worker_process_is_found():
    class Failing(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int):
            raise ScanError("scan.nii.gz: is 3D, expected 4D.")

    with pytest.raises(ScanError, match="Traceback") as caught:
        next(iter(torch.utils.data.DataLoader(Failing(), num_workers=1)))
    found = user_error_in(caught.value)
    assert isinstance(found, ScanError)
    assert str(found) == "scan.nii.gz: is 3D, expected 4D."
