"""Options of the commands that read cohorts, each described once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

CohortKind = Literal["bids", "hcp", "ucla", "oasis3", "development_fmri", "adhd", "abide", "published"]

Kind = Annotated[CohortKind, typer.Option(help="Which reader; bids reads any BIDS folder or derivative.")]
TargetName = Annotated[str, typer.Option(help="What to predict: a column of the table, or a target of the reader.")]
TargetKind = Annotated[
    Literal["binary", "multiclass", "regression"] | None, typer.Option(help="Found from the values by default.")
]
Classes = Annotated[
    str | None, typer.Option(help="Class names in order, separated by commas; the second is the positive one.")
]
Task = Annotated[str | None, typer.Option(help="Only scans of this task.")]
Session = Annotated[str | None, typer.Option(help="Only scans of this session.")]
Run = Annotated[str | None, typer.Option(help="Only this run.")]
Space = Annotated[str | None, typer.Option(help="Only scans in this space.")]
Res = Annotated[str | None, typer.Option(help="Only scans of this resolution.")]
Desc = Annotated[str | None, typer.Option(help="Only this description; preproc is preferred by default.")]
Echo = Annotated[str | None, typer.Option(help="Only this echo.")]
Variant = Annotated[
    str | None, typer.Option(help="HCP: plain, hp2000_clean or hp2000_clean_rclean_tclean; ABIDE: PIPELINE/STRATEGY.")
]
Raw = Annotated[Path | None, typer.Option(help="Raw dataset of a derivative, which holds its tables.")]
Tables = Annotated[list[Path] | None, typer.Option("--table", help="Table of subjects or visits (may be repeated).")]
IdColumn = Annotated[str | None, typer.Option(help="Column of the table that holds the subjects' IDs.")]
PathColumn = Annotated[str | None, typer.Option(help="Column of the table that holds the scans' paths.")]
SplitFile = Annotated[Path | None, typer.Option(help="Published split file: the section of each subject.")]
AllowUnregistered = Annotated[
    bool, typer.Option("--allow-unregistered", help="Take raw scans that no pipeline brought to a template.")
]
AllowUnknownFamilies = Annotated[
    bool, typer.Option("--allow-unknown-families", help="Split by subject where no table knows the families.")
]
MaxMeanFd = Annotated[float | None, typer.Option(min=0.0, help="Leave out scans with more mean motion, in mm.")]
PretrainUnlabelled = Annotated[
    bool, typer.Option("--pretrain-unlabelled", help="Scans without a label join phases 1 and 2.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Leave out a subject, or scans whose path fits a pattern such as '*run-2*' (may be repeated)."),
]
NoContent = Annotated[
    bool,
    typer.Option("--no-content", help="Do not read the voxels: the same data under two names is not found."),
]
Ratios = Annotated[str, typer.Option(help="Shares for training, validation and test.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the split.")]
Folds = Annotated[int | None, typer.Option(min=2, help="Make this many folds, each a datalist of its own.")]
Repeats = Annotated[int, typer.Option(min=1, help="Draw the folds anew this often.")]
LeaveOneSiteOut = Annotated[
    bool, typer.Option("--leave-one-site-out", help="One datalist for each site, which is its test section.")
]
StratifySite = Annotated[bool, typer.Option("--stratify-site", help="Spread the sites over the sections too.")]
Mask = Annotated[
    Literal["auto", "nonzero"], typer.Option(help="auto: note the mask beside each scan; nonzero: note none.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads that hash scans; default one for each core, 16 at most.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="JSON file to write.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Dataset layer, monai_tff:configs/datasets/NAME.yaml too (may be repeated)."),
]


def words_of(text: str) -> list[str]:
    """The words of a list that is separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def ratios_of(text: str) -> list[float]:
    """The shares of the sections.

    Raises:
        DatalistError: for words that are no numbers.
    """
    from monai_tff.errors import DatalistError

    try:
        return [float(word) for word in words_of(text)]
    except ValueError as error:
        raise DatalistError(f"--ratios: found '{text}', expected three numbers such as 0.7,0.15,0.15.") from error


def layer_paths(layers: Sequence[str] | None) -> list[Path]:
    """The files of dataset layers, shipped ones found."""
    from monai_tff.resources import shipped_path

    return [shipped_path(layer, Path.cwd()) for layer in layers or ()]


def place_of(given: Path | None, layer: Mapping[str, Any], key: str, option: str) -> Path:
    """A file or folder that an argument names, or else a dataset layer.

    Args:
        given: the argument.
        layer: from `read_dataset_layers`.
        key: of the layer.
        option: what the argument is called, for the message.

    Raises:
        ConfigError: where neither says it.
    """
    from monai_tff.errors import ConfigError

    if given is None and layer.get(key) is None:
        raise ConfigError(f"{key}: neither {option} nor a layer says where it is; give one of them.")
    return given if given is not None else Path(layer[key])


WITHOUT_A_SCAN = (
    "To go on without a scan, build the datalist again with --exclude SUBJECT, or --exclude and its path in quotes."
)
"""What commands say at the end that found scans which cannot be used."""
