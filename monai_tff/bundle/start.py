"""First entries of every bundle's `initialize`: the checks, and the folder that a training run writes."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import nn

from monai_tff.bundle.caller import bundle_root, calling_parser, config_files
from monai_tff.bundle.checks import check_config_files, check_known_keys
from monai_tff.bundle.lost_process import lost_process
from monai_tff.bundle.merged import merged_config
from monai_tff.bundle.processes import check_processes, silence_others
from monai_tff.errors import ConfigError, user_error_in
from monai_tff.networks import load_pretrained


def start() -> None:
    """Checks the merged configuration, and makes a user's error the last line of what is printed.

    Of several processes the first alone prints anything but errors.

    Raises:
        ConfigError: for an unknown, misspelt or duplicate key, or for several processes that the configuration does
            not know of.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _sentence_last
    silence_others()
    files = config_files()
    check_config_files(files)
    # a plain ConfigWorkflow that was made in Python does not keep the names of its files
    folder = Path(bundle_root()) / "configs"
    config = merged_config(calling_parser())
    check_known_keys(config, files[:1] or sorted(folder.glob("*.yaml")))
    check_processes(config)
    # nilearn, matplotlib and others log at import; their debug lines would bury a run's own
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


def check_window(network: nn.Module, window_length: int) -> None:
    """Refuses a window that the network cannot take, before anything is trained.

    Args:
        network: one of the TFF networks.
        window_length: frames in a window.

    Raises:
        ConfigError: naming the length and the longest one.
    """
    longest = getattr(getattr(network, "transformer", None), "max_frames", None)
    if window_length < 1 or (longest is not None and window_length > longest):
        wanted = "at least 1" if longest is None else f"1 to {longest} (max_frames)"
        raise ConfigError(f"window_length is {window_length}, expected {wanted}; change one of the two.")


def hand_over(network: nn.Module, initial_weights: str | None, frozen_encoder: bool = False) -> None:
    """Starts a phase from the weights of the one before, and says what was loaded, new and left out.

    Args:
        network: changed in place.
        initial_weights: checkpoint of the phase before; None leaves the random initial weights.
        frozen_encoder: keep the encoder as it comes.

    Raises:
        WeightsError: if nothing fits, see `monai_tff.networks.load_pretrained`.
        ConfigError: for a frozen encoder that has learned nothing.
    """
    if initial_weights is None:
        if frozen_encoder:
            raise _unlearned_encoder("initial_weights is null")
        print("initial weights: random")
        return
    report = load_pretrained(network, initial_weights)
    print(f"initial weights: {initial_weights}\n{report}")
    if frozen_encoder:
        if any(name.startswith("encoder.") for name in report.new):
            raise _unlearned_encoder(f"{initial_weights} has no encoder")
        plain: Any = network
        plain.freeze_encoder()


def _unlearned_encoder(found: str) -> ConfigError:
    return ConfigError(
        f"frozen_encoder is true, but {found}: an encoder that has learned nothing would stay so; expected weights of "
        "phase 1 or 2, set initial_weights to their model.pt."
    )


def _sentence_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.__excepthook__(kind, error, trace)
    sentence = user_error_in(error) or lost_process(error)
    if sentence is not None:
        print(f"error: {sentence}", file=sys.stderr)
