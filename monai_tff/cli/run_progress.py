"""What is said while the members of a folder of folds run: a line as each starts and ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from monai_tff.handlers.progress import clock


class MembersProgress:
    """Counts members, and foretells the end.

    Args:
        total: number of members.
        done: of them, before this call.
        say: takes each line.
    """

    def __init__(self, total: int, done: int, say: Callable[[str], None]) -> None:
        self.total = total
        self.before = done
        self.say = say
        self._ended = 0
        self._begin = time.monotonic()

    def start(self, name: str, how: str) -> None:
        """Says that a member starts.

        Args:
            name: of the member.
            how: for example `started` and the place of its log.
        """
        self.say(f"{name}: {how}")

    def end(self, name: str, outcome: str = "done") -> None:
        """Says that a member has ended, how many have, how fast, and how long the others will take.

        Args:
            name: of the member.
            outcome: `done` or `failed`.
        """
        self._ended += 1
        elapsed = max(time.monotonic() - self._begin, 1e-9)
        left = self.total - self.before - self._ended
        parts = [
            f"{name}: {outcome}",
            f"{self.before + self._ended} of {self.total} members ended",
            f"{3600 * self._ended / elapsed:.3g} per hour",
            f"{clock(elapsed / self._ended * left)} left",
        ]
        self.say(", ".join(parts))
