"""A command in a process of its own that ends when the process which started it does, however that ends.

    python -m monai_tff.cli.run_member run my_experiment.yaml ...      with a pipe as standard input

Without it the members of a folder of folds would go on writing after their parent was killed, and beside the members
that the next `--resume` starts.
"""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """Ends this process and those it started as soon as its standard input is closed."""

    def watch() -> None:
        # not sys.stdin, whose lock a forked worker would inherit
        while os.read(0, 1):
            pass
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    from monai_tff.cli.app import main

    main()
