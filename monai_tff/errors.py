"""Errors a user can cause.

Each message is one sentence that names the file or key, what was found, what was expected and the way out. The
command line prints the sentence alone and exits with a code other than 0.
"""

from __future__ import annotations

import re

_IN_TRACEBACK = re.compile(r"^monai_tff\.errors\.(\w+): (.+)$", re.MULTILINE)


class UserError(ValueError):
    """Base of every error that the user, not the programmer, can put right."""


class ScanError(UserError):
    """A scan or its mask cannot be used: unreadable, truncated, wrong dimensions, no usable voxels."""


class DatalistError(UserError):
    """A cohort folder, participants table, datalist or split cannot be used."""


class ContractError(UserError):
    """A scan, a datalist or a set of weights does not match the input contract."""


class WeightsError(UserError):
    """A checkpoint cannot be read, or does not fit the network."""


class ConfigError(UserError):
    """A configuration file, key or override is wrong."""


class BundleError(UserError):
    """A bundle breaks a rule, would run code of its own, or would tell what must not leave the lab."""


def user_error_in(error: BaseException) -> UserError | None:
    """Finds the user error that a chain of exceptions goes back to.

    MONAI wraps what a transform or a config expression raises; the sentence for the user is then the cause of
    the cause.

    Args:
        error: the exception that reached the top.

    Returns:
        The outermost `UserError` of the chain of causes and contexts, or None where there is none.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        # a worker process of a DataLoader hands over its traceback as text
        from_worker = _IN_TRACEBACK.findall(str(current))
        if from_worker:
            name, sentence = from_worker[-1]
            return globals()[name](sentence)
        if isinstance(current, UserError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None
