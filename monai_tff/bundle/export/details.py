"""What the person who exports says of a bundle, and what an export is made from and gives back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_tff.bundle.export.private import Private
from monai_tff.contract import InputContract
from monai_tff.errors import BundleError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
VERSION = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}")
LINES = ("changelog", "authors", "copyright", "description", "cohort_name")
"""Attributes that are one line each: they stand in a list, a table or a sentence of the model card."""

FOLDER_ADDRESS = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(/[^\s?#@]*)?")
"""A user name, a password or a token in an address would be published with the bundle."""


@dataclasses.dataclass(frozen=True)
class Details:
    """What no run folder knows of the bundle to be.

    Attributes:
        name: of the bundle and its folder: letters, digits, `_` and `-`.
        version: three numbers with points between.
        changelog: one sentence for this version.
        authors: who stands behind it.
        copyright: of the bundle.
        description: one sentence; None writes one from the target.
        cohort_name: what the cohort is called in public; None does not name it.
        data_license: text of `docs/data_license.txt`; None writes a short one.
        url: folder on a web server from which large files can be downloaded, `https://...`; None for no such place.
        earlier: version -> its sentence, of the bundle that this one replaces.

    Example:
        >>> Details(name="hcp_sex_classification").version
        '0.1.0'
    """

    name: str
    version: str = "0.1.0"
    changelog: str = "First version."
    authors: str = "not stated"
    copyright: str = "not stated"
    description: str | None = None
    cohort_name: str | None = None
    data_license: str | None = None
    url: str | None = None
    earlier: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BundleError(
                f"--name '{self.name}': expected letters, digits, _ and - alone, beginning with a letter or digit; "
                "choose another name, hcp_sex_classification for example."
            )
        if not VERSION.fullmatch(self.version):
            raise BundleError(f"--version '{self.version}': expected three numbers such as 0.1.0; correct it.")
        for name in LINES:
            if len((getattr(self, name) or "").splitlines()) > 1:
                option = name.replace("_", "-")
                raise BundleError(f"--{option}: holds a line break, expected one line; give it without the break.")
        if not self.changelog.strip():
            raise BundleError("--changelog: is empty, expected a sentence on what is new in this version; give one.")
        if self.url is not None and not FOLDER_ADDRESS.fullmatch(self.url):
            raise BundleError(
                "--url: the address that is given is of another form, expected that of a folder, "
                "https://server/folder, without user, password, '?' and '#': everybody who has the bundle reads it; "
                "correct it."
            )


@dataclasses.dataclass(frozen=True)
class ExportSource:
    """Everything that a bundle is written from: a run folder, or weights that were converted.

    Attributes:
        template: the shipped bundle that it is one of, `tff_fmri_prediction` or `tff_fmri_reconstruction`.
        contract: the input contract of the weights.
        network: `network_def` of the inference configuration, with every value filled in.
        state: the weights, name -> tensor on the CPU.
        sections: text of those sections of the model card that only the source knows: `Data`,
            `Training configuration` and `Performance` (Markdown, without the heading).
        inference: ids and values of `inference.yaml` other than the template's, `{"reader": "ITKReader"}`.
        train: configuration of the training, None for none.
        evaluate: configuration of the evaluation, None for none.
        versions: package -> version that the weights were made with; what is missing is the tested version.
        lineage: what the weights have seen; None where it is not known.
        private: strings that must not be anywhere in the bundle.
        warning: what is doubtful in the source, one sentence; None for nothing.
    """

    template: str
    contract: InputContract
    network: Mapping[str, Any]
    state: Mapping[str, torch.Tensor]
    sections: Mapping[str, str]
    inference: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    train: Mapping[str, Any] | None = None
    evaluate: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lineage: Sequence[Mapping[str, Any]] | None = None
    private: Private = dataclasses.field(default_factory=Private)
    warning: str | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """A finished bundle.

    Attributes:
        folder: of the bundle.
        archive: the same as a zip file.
    """

    folder: Path
    archive: Path
