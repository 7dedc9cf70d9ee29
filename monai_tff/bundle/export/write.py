"""Writes a bundle: everything into a temporary folder beside its place, checked, then moved into its place."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from monai_tff.bundle import layout
from monai_tff.bundle.export.archive import write_archive
from monai_tff.bundle.export.card import write_card
from monai_tff.bundle.export.configs import template_folder, write_configs
from monai_tff.bundle.export.details import Details, Exported, ExportSource
from monai_tff.bundle.export.leaks import refuse_leaks
from monai_tff.bundle.export.metadata import earlier_versions, write_metadata
from monai_tff.bundle.export.programs import write_programs
from monai_tff.bundle.export.room import refuse_full_disk
from monai_tff.bundle.export.weights import built_network, write_weights
from monai_tff.bundle.lineage import write_content_hashes
from monai_tff.bundle.verification import Finding, verify_bundle
from monai_tff.bundle.verification.findings import refused
from monai_tff.bundle.verification.rules import EXPORTED
from monai_tff.errors import BundleError
from monai_tff.handlers.files import replaced_file, write_error

Say = Callable[[str], None]


def write_bundle(
    source: ExportSource, out: Path, details: Details, *, overwrite: bool = False, say: Say = print
) -> Exported:
    """Writes a bundle and its zip file, or nothing at all.

    Args:
        source: what is exported.
        out: folder that gets the bundle's folder and its zip file.
        details: what the person who exports says.
        overwrite: replace the bundle of this name, whatever its version, and the archive of this version.
        say: is told what is being done.

    Returns:
        Folder `<out>/<name>` and archive `<out>/<name>_v<version>.zip`.

    Raises:
        BundleError: if there is something at the destination that may not be replaced, or no room, a program differs
            from the network, or the bundle would tell something private.
        WeightsError: if the weights do not fit the network.
    """
    exported = Exported(out / details.name, out / f"{details.name}_v{details.version}.zip")
    _refuse_existing(exported, overwrite)
    details = dataclasses.replace(details, earlier=earlier_versions(exported.folder)[1])
    with _temporary_folder(out, details.name) as temporary:
        refuse_full_disk(out, source.state)
        folder = temporary / details.name
        folder.mkdir()
        say("writing configurations and the model card")
        _write_texts(folder, source, details)
        # before the work that takes minutes
        refuse_leaks(folder, source.private, _said(source, details))
        _refuse(refused("configs", layout.INFERENCE, EXPORTED["configs"], folder))
        _write_weights(folder, source, details, say)
        layout.write_manifest(folder)
        say("verifying the bundle, and searching it for subjects, paths and names")
        _refuse(verify_bundle(folder))
        refuse_leaks(folder, source.private, _said(source, details))
        archive = temporary / exported.archive.name
        say("packing the zip file")
        write_archive(folder, archive)
        _move(folder, exported.folder, temporary)
        _move(archive, exported.archive, temporary)
    return exported


def _refuse_existing(exported: Exported, overwrite: bool) -> None:
    """Refuses to replace what is there; a folder that is no exported bundle even where replacing is wanted."""
    folder, archive = exported.folder, exported.archive
    if folder.exists() and not (folder / layout.MANIFEST).is_file():
        raise BundleError(
            f"{folder}: exists and is no exported bundle (has no {layout.MANIFEST}), expected no such folder; choose "
            "another --name or --out."
        )
    if overwrite:
        return
    if folder.exists():
        version, _ = earlier_versions(folder)
        raise BundleError(
            f"{folder}: exists already, expected no bundle of this name, but version {version} is there; "
            "replace the folder with --overwrite (its changelog is carried on, zip files of other versions stay), or "
            "choose another --name or --out."
        )
    if archive.exists():
        raise BundleError(
            f"{archive}: exists already, expected no export of this name and version; choose another --name, "
            "--version or --out, or replace it with --overwrite."
        )


@contextmanager
def _temporary_folder(out: Path, name: str) -> Iterator[Path]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    except OSError as error:
        raise write_error(out, error) from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(new: Path, place: Path, temporary: Path) -> None:
    """Puts a finished folder or file into its place; what was there goes with the temporary folder."""
    if place.exists():
        place.rename(temporary / f"old_{place.name}")
    new.rename(place)


def _write_texts(folder: Path, source: ExportSource, details: Details) -> None:
    write_configs(folder, source)
    write_metadata(folder, source, details)
    write_card(folder, source, details)
    template = template_folder(source.template)
    for name in (layout.LOGGING, layout.LICENSE):
        shutil.copyfile(template / name, folder / name)
    _write_text(folder / layout.DATA_LICENSE, details.data_license or _data_license(details))
    write_content_hashes(folder, source.lineage)


def _write_weights(folder: Path, source: ExportSource, details: Details, say: Say) -> None:
    say("writing the weights")
    network = built_network(source.network, source.state)
    write_weights(folder, network, source.contract)
    say("writing TorchScript and the torch.export program, and comparing both with the network")
    write_programs(folder, network, source.contract.window_length)
    _write_large_files(folder, details)


def _data_license(details: Details) -> str:
    """An honest text where the person who exports gives none."""
    cohort = details.cohort_name or "a cohort that is not named here"
    return (
        f"This bundle holds weights and no data. The weights were trained on {cohort}.\n\n"
        "Who exported the bundle has not said under which terms the data and the weights are. Weights may be under\n"
        "the terms of the data that they were trained on: ask the authors of the bundle, and read the data use\n"
        "agreement of the cohort, before you use the weights or pass them on.\n"
    )


def _refuse(findings: list[Finding]) -> None:
    """Refuses to give out what the verification of others would refuse."""
    if not findings:
        return
    of_training = findings[0].where in (layout.TRAIN, layout.EVALUATE)
    way_out = "export with --inference-only, which leaves the configurations of training and evaluation out"
    if not of_training:
        way_out = "correct the run's configurations or what you say of the bundle"
    raise BundleError(f"{findings[0].sentence} (rule '{findings[0].rule}' of verify); {way_out}.")


def _said(source: ExportSource, details: Details) -> str:
    """What is said of the bundle on purpose, and the names of its tensors."""
    target = source.contract.target
    names = () if target is None else (target.name, *target.class_names)
    return "\n".join([*names, *source.state, *(str(value) for value in dataclasses.asdict(details).values())])


def _write_large_files(folder: Path, details: Details) -> None:
    """Lists the files that a repository of bundles does not keep itself."""
    entries = [
        {
            "path": path.relative_to(folder).as_posix(),
            "url": "" if details.url is None else f"{details.url.rstrip('/')}/{path.name}",
            "hash_val": layout.sha256_of(path),
            "hash_type": layout.HASH_TYPE,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size > layout.LARGE
    ]
    _write_text(folder / layout.LARGE_FILES, yaml.safe_dump({"large_files": entries}, sort_keys=False, width=1000))


def _write_text(path: Path, text: str) -> None:
    with replaced_file(path) as file:
        file.write(text.encode())
