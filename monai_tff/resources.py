"""Where the shipped bundles and configs are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from monai_tff.errors import ConfigError

SHIPPED = "monai_tff:"
"""Start of a path that stands for what the package ships, `monai_tff:configs/datasets/hcp.yaml` for example."""


def shipped_path(path: str, folder: Path) -> Path:
    """Absolute path of a file that a user names.

    Args:
        path: starts with `monai_tff:`, or is relative to the folder, or absolute.
        folder: that relative paths start from.

    Raises:
        ConfigError: for a shipped folder that there is not.
    """
    if not path.startswith(SHIPPED):
        return (folder / path).resolve()
    kind, _, rest = path.removeprefix(SHIPPED).partition("/")
    folders = {"bundles": bundles_folder, "configs": configs_folder}
    if kind not in folders:
        raise ConfigError(f"{path}: the package ships bundles/ and configs/; correct the path.")
    return folders[kind]() / rest


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
