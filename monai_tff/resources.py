"""Where the shipped bundles and configs are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from monai_tff.errors import ConfigError


def bundles_folder() -> Path:
    """The folder that holds `tff_fmri_reconstruction` and `tff_fmri_prediction`.

    Raises:
        ConfigError: if the installation lacks it.
    """
    return _folder("bundles")


def configs_folder() -> Path:
    """The folder that holds the layers `datasets`, `hardware` and `experiments`.

    Raises:
        ConfigError: if the installation lacks it.
    """
    return _folder("configs")


def _folder(name: str) -> Path:
    package = Path(str(resources.files("monai_tff")))
    installed, checkout = package / f"_{name}", package.parent / name
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"{name}: found neither {installed} (a wheel) nor {checkout} (a checkout), expected one of them; "
        "install monai_tff again."
    )
