"""What may be logged, and what a refusal says."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_tff.apps.monailabel.quiet import keep_logs_quiet, logger
from monai_tff.apps.monailabel.refusals import refusal_of_scan
from monai_tff.errors import ContractError, ScanError, WeightsError


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler of the root logger writes; everything is put back at the end."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    root.handlers[:] = [handler]
    for _ in range(2):
        keep_logs_quiet()
    assert len(handler.filters) == 1
    yield text
    logging.captureWarnings(False)
    root.handlers[:] = before


def test_only_our_own_lines_are_written(written: io.StringIO) -> None:
    logger.info("request 1: status %s", 200)
    logging.getLogger("monailabel.x").info("image sub-secret")
    for _ in range(3):
        logging.getLogger("monailabel.y").warning("image %s", "sub-secret", exc_info=ValueError("sub-secret"))
    warnings.warn("sub-secret is odd", UserWarning, stacklevel=1)
    lines = written.getvalue().splitlines()
    assert lines == [
        "request 1: status 200",
        "left out messages of monailabel.y: they may name scans",
        "left out messages of py.warnings: they may name scans",
    ]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("{path}: the grid is 3, expected 4.", "sub-1/x: the grid is 3, expected 4."),
        ("{folder}/sub-1/x_mask.nii: of another grid than {path}.", "sub-1/x_mask.nii: of another grid than sub-1/x."),
        ("{path}: see /opt/data/other.nii, '/srv/a/b c'.", "sub-1/x: see (a file), '(a file) c'."),
        ("{path}: 3 / 4 of [2, 3] and 1/2 stay.", "sub-1/x: 3 / 4 of [2, 3] and 1/2 stay."),
    ],
)
def test_a_refusal_names_the_scan_and_no_path(message: str, sentence: str) -> None:
    folder, path = Path("/data/studies"), Path("/data/studies/sub-1/x.nii")
    for kind in (ScanError, ContractError):
        refused = refusal_of_scan(kind(message.format(folder=folder, path=path)), path, "sub-1/x", folder)
        assert refused is not None
        assert [refused.status, refused.sentence] == [422, sentence]


def test_other_errors_are_not_told() -> None:
    for error in (ValueError("x"), WeightsError("x")):
        assert refusal_of_scan(error, Path("/a"), "a", Path("/")) is None


def test_a_path_with_several_spaces_is_not_told() -> None:
    folder, path = Path("/data/my  studies"), Path("/data/my  studies/sub-1/x  y.nii")
    refused = refusal_of_scan(ScanError(f"{path}:  odd,\nbeside {folder}/a.nii."), path, "sub-1/x  y", folder)
    assert refused is not None
    assert refused.sentence == "sub-1/x y: odd, beside a.nii."
