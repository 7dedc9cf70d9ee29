"""The command `datalist`: from a cohort's folder to a datalist with a split that does not leak."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_tff.cli import options

if TYPE_CHECKING:
    from monai_tff.data.cohorts import Cohort
    from monai_tff.data.split_plan import SplitPlan

FAULTS = 1
"""Exit code where a datalist was written, but scans or rows were left out because something is wrong with them."""


def datalist(
    folder: Annotated[Path, typer.Argument(help="Folder of the cohort.")],
    target: options.TargetName,
    cohort: options.Kind = "bids",
    output: options.Output = Path("datalist.json"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the cohort, within which subjects are compared with those that weights have seen."),
    ] = None,
    kind: options.TargetKind = None,
    classes: options.Classes = None,
    ratios: options.Ratios = "0.7,0.15,0.15",
    seed: options.Seed = 0,
    folds: options.Folds = None,
    repeats: options.Repeats = 1,
    leave_one_site_out: options.LeaveOneSiteOut = False,
    stratify_site: options.StratifySite = False,
    split_file: options.SplitFile = None,
    task: options.Task = None,
    session: options.Session = None,
    run: options.Run = None,
    space: options.Space = None,
    res: options.Res = None,
    desc: options.Desc = None,
    echo: options.Echo = None,
    variant: options.Variant = None,
    raw: options.Raw = None,
    table: options.Tables = None,
    id_column: options.IdColumn = None,
    path_column: options.PathColumn = None,
    allow_unregistered: options.AllowUnregistered = False,
    allow_unknown_families: options.AllowUnknownFamilies = False,
    max_mean_fd: options.MaxMeanFd = None,
    exclude: options.Exclude = None,
    pretrain_unlabelled: options.PretrainUnlabelled = False,
    mask: options.Mask = "auto",
    no_content: options.NoContent = False,
    workers: options.Workers = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Makes a datalist from a cohort: scans, targets and a split by family or subject."""
    given = dict(locals())
    plan = _plan(given)
    _refuse_existing(plan, output, overwrite)
    found = _read(given)
    _write(found, _as_published(plan, split_file, found), given)


def _plan(given: Mapping[str, Any]) -> SplitPlan:
    from monai_tff.data.split_plan import SplitPlan

    return SplitPlan(
        seed=given["seed"],
        ratios=options.ratios_of(given["ratios"]),
        folds=given["folds"],
        repeats=given["repeats"],
        by_site=given["stratify_site"],
        leave_one_site_out=given["leave_one_site_out"],
    )


def _refuse_existing(plan: SplitPlan, output: Path, overwrite: bool) -> None:
    """Before the work; the names of several datalists are known only after it."""
    from monai_tff.data.datalist import refuse_existing

    if plan.is_single:
        refuse_existing(output, overwrite=overwrite)


def _read(given: Mapping[str, Any]) -> Cohort:
    from monai_tff.data.cohorts import read_cohort
    from monai_tff.data.cohorts.exclusion import narrowed

    names = (
        *("task", "session", "run", "space", "res", "desc", "echo", "variant", "raw", "id_column", "path_column"),
        *("allow_unregistered", "allow_unknown_families"),
    )
    choices = {name: given[name] for name in names} | {"tables": given["table"]}
    found = read_cohort(given["cohort"], given["folder"], given["target"], choices)
    return narrowed(found, given["exclude"] or (), given["max_mean_fd"])


def _as_published(plan: SplitPlan, split_file: Path | None, cohort: Cohort) -> SplitPlan:
    """The plan with the sections of a published split, if there is one."""
    from monai_tff.data.cohorts.published import published_sections

    if split_file is None:
        return plan
    return dataclasses.replace(plan, assignment=published_sections(split_file, [*cohort.records, *cohort.unlabelled]))


def _write(cohort: Cohort, plan: SplitPlan, given: Mapping[str, Any]) -> None:
    """Builds and writes the datalists, prints what they hold, and exits with 1 after faults."""
    from monai_tff.cli.datalist_summary import print_summary
    from monai_tff.data.building import build_datalists
    from monai_tff.data.datalist import refuse_existing, write_datalist
    from monai_tff.data.split_plan import split_suffixes

    contents = build_datalists(
        cohort,
        given["target"],
        dataset_dir=given["folder"],
        plan=plan,
        kind=given["kind"],
        classes=options.words_of(given["classes"]) if given["classes"] is not None else None,
        mask=given["mask"],
        name=given["name"],
        pretrain_unlabelled=given["pretrain_unlabelled"],
        content=not given["no_content"],
        workers=given["workers"],
        progress=True,
    )
    output, overwrite = given["output"], given["overwrite"]
    suffixes = split_suffixes([content["split"] for content in contents])
    written = {output.with_stem(output.stem + end): content for end, content in zip(suffixes, contents, strict=True)}
    for path in written:
        refuse_existing(path, overwrite=overwrite)
    for path, content in written.items():
        write_datalist(content, path, overwrite=overwrite)
    print_summary(written, cohort.left_out)
    if contents[0]["faults"]:
        raise typer.Exit(FAULTS)
