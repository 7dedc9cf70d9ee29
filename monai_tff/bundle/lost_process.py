"""What to tell a user whose run lost one of its processes: torch and torchrun show where it was noticed, not why."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch.distributed as dist

from monai_tff.errors import ConfigError

WAY_OUT = (
    "look above and below for the one that failed first and why (an error of its own, or a kill by the system, for "
    "example for lack of memory), then start all of them again, a training with --resume true."
)


def lost_process(error: BaseException) -> str | None:
    """The sentence for an error that goes back to another process that ended.

    Args:
        error: the exception that reached the top.

    Returns:
        One sentence; None where the error is another one.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        # gloo's errors are plain RuntimeErrors, which name a file of its source
        if isinstance(current, dist.DistError) or (isinstance(current, RuntimeError) and "gloo/" in str(current)):
            return f"{_own_name()} waited for another one, which has ended or does not answer; {WAY_OUT}"
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


@contextmanager
def lost_process_as_user_error() -> Iterator[None]:
    """Turns what torch raises for a lost process into a sentence.

    Raises:
        ConfigError: see `lost_process`.
    """
    try:
        yield
    except RuntimeError as error:
        sentence = lost_process(error)
        if sentence is None:
            raise
        raise ConfigError(sentence) from error


def say_why_it_ends() -> None:
    """Lets this process say why it ends where torchrun ends it, as it does when another one failed or was killed."""
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != owner:  # a child of this process
            os.kill(os.getpid(), number)
        print(f"error: {_own_name()} was ended, as all are when one has ended; {WAY_OUT}", file=sys.__stderr__)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def _own_name() -> str:
    return f"process {os.environ.get('RANK', '0')} (of 0 to {int(os.environ.get('WORLD_SIZE', '1')) - 1})"
