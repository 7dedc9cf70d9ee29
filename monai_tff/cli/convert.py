"""The command `convert`: weights in the published format become a bundle that everything else reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monai_tff.cli import details, options

if TYPE_CHECKING:
    from monai_tff.contract import Target


Phase = Annotated[
    Literal["autoencoder", "transformer", "finetune"] | None,
    typer.Option(help="Phase that the weights must be of; default: what their tensors show."),
]
TargetName = Annotated[str | None, typer.Option(help="Phase 3: what the weights predict, sex for example.")]
Kind = Annotated[Literal["binary", "regression"] | None, typer.Option(help="Phase 3: of the target.")]
Classes = Annotated[
    str | None, typer.Option(help="Two class names, separated by commas; the second is what was trained as 1.")
]


def convert(
    weights: Annotated[Path, typer.Argument(help="Checkpoint of the published TFF code (.pth).")],
    name: details.Name,
    out: details.Out,
    layer: options.Layers = None,
    phase: Phase = None,
    target: TargetName = None,
    kind: Kind = None,
    classes: Classes = None,
    window_length: Annotated[
        int | None, typer.Option(min=1, help="Frames in a window; default: the published number.")
    ] = None,
    version: details.Version = "0.1.0",
    changelog: details.Changelog = "First version.",
    authors: details.Authors = "not stated",
    copyright: details.Copyright = "not stated",
    description: details.Description = None,
    cohort_name: details.CohortName = None,
    data_license: details.DataLicense = None,
    url: details.Url = None,
    inference_only: details.InferenceOnly = False,
    overwrite: details.Overwrite = False,
) -> None:
    """Convert weights of the published TFF code to a bundle."""
    from monai_tff.bundle.export.published_source import convert_published

    said = details.details_of(
        data_license,
        name=name,
        version=version,
        changelog=changelog,
        authors=authors,
        copyright=copyright,
        description=description,
        cohort_name=cohort_name,
        url=url,
    )
    exported = convert_published(
        weights,
        out,
        said,
        layers=options.layer_paths(layer),
        phase=phase,
        target=_target(target, kind, classes),
        window_length=window_length,
        inference_only=inference_only,
        overwrite=overwrite,
        say=typer.echo,
    )
    details.print_exported(exported)


def _target(name: str | None, kind: str | None, classes: str | None) -> Target | None:
    """What the options say of the target; None where they say nothing."""
    from monai_tff.contract import Target
    from monai_tff.errors import ConfigError

    if name is None and kind is None and classes is None:
        return None
    if name is None or kind is None:
        missing = "--target" if name is None else "--kind"
        raise ConfigError(f"{missing} is not given, expected --target and --kind together; give both.")
    names = options.words_of(classes or "")
    if len(set(names)) < len(names):
        raise ConfigError(f"--classes {classes}: a name stands there twice, expected two names; correct it.")
    return Target(name, kind, tuple(names))
