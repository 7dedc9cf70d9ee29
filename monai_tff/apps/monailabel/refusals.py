"""What a caller is told when a request is refused: one sentence, and never a path of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from monai_tff.errors import ContractError, ScanError, user_error_in

STOPPING = "The server is stopping."
"""What is said to those whose request the server gives up."""

UNWRITABLE = (
    "The server cannot write to labels/ in its folder of scans, so no answer could be saved; give it the right to, or "
    "send save_label as false."
)
"""What is said where an answer is to be saved and cannot be."""

_PATH = re.compile(r"(?<![\w.\-/])/(?:[^\s/:'\"]+/)+[^\s:'\",;)]*")


class RefusedError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        sentence: for the caller.
        headers: of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


def refusal_of_scan(error: BaseException, path: Path, name: str, folder: Path) -> RefusedError | None:
    """The refusal for an error about a scan.

    Args:
        error: what a prediction raised.
        path: of the scan.
        name: what the caller knows it as.
        folder: of the studies; what it holds is named from there.

    Returns:
        A refusal with the status 422 for a scan that cannot be used or does not match the input contract; None for
        any other error, which is none of the caller's business.
    """
    found = user_error_in(error)
    if not isinstance(found, (ScanError, ContractError)):
        return None
    sentence = str(found)
    for known in (str(path), str(path.resolve())):
        sentence = sentence.replace(known, name)
    for known in (str(folder), str(folder.resolve()), str(path.parent)):
        sentence = sentence.replace(known + "/", "").replace(known, "the folder")
    return RefusedError(422, " ".join(_PATH.sub("(a file)", sentence).split()))
