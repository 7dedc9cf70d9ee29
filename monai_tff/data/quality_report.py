"""The report of a check: summed up for the screen, whole as JSON, one row per scan as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_tff import __version__
from monai_tff.data.quality_cohort import CheckedScan
from monai_tff.data.quality_facts import ScanFacts
from monai_tff.data.quality_findings import LEVELS, MUST_FIX, Finding
from monai_tff.data.text_file import write_text
from monai_tff.errors import DatalistError

MADE_BY = "monai_tff check"
"""Value of `made_by` in the JSON: what has another one is no report, and never replaced."""

RECORD_COLUMNS = ("section", "image", "subject", "session", "run")
FACT_COLUMNS = tuple(ScanFacts().to_dict())
COLUMNS = (*RECORD_COLUMNS, "must_fix", "notes", "findings", *FACT_COLUMNS)


@dataclasses.dataclass(frozen=True)
class QualityReport:
    """What the check of a datalist found.

    Attributes:
        datalist: path of the datalist.
        dataset_dir: folder that its paths start from.
        layer: the dataset layer that scans were compared with, empty for none.
        scans: every scan with its section, record and facts.
        findings: what must be fixed first.
    """

    datalist: str
    dataset_dir: str
    layer: dict[str, Any]
    scans: Sequence[CheckedScan]
    findings: Sequence[Finding]

    @property
    def must_fix(self) -> list[Finding]:
        """Findings that a training would fail of, or be ruined by."""
        return [finding for finding in self.findings if finding.level == MUST_FIX]

    @cached_property
    def of_scan(self) -> dict[tuple[str, str], list[Finding]]:
        """Findings by section and image."""
        found: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            found[finding.section, finding.image].append(finding)
        return found

    def summary(self) -> dict[str, Any]:
        """Numbers of scans, scans with a finding of each level, and findings of each kind, by level."""
        levels = {
            level: len({(f.section, f.image) for f in self.findings if f.level == level and f.image})
            for level in LEVELS
        }
        kinds = {level: dict(Counter(f.kind for f in self.findings if f.level == level)) for level in LEVELS}
        sections = Counter(scan.section for scan in self.scans)
        return {"scans": len(self.scans), "sections": dict(sections), "scans_with": levels, "findings": kinds}

    def to_dict(self) -> dict[str, Any]:
        """The whole report, ready for JSON."""
        scans = [
            {**{key: scan.record.get(key) for key in RECORD_COLUMNS}, "section": scan.section, **scan.facts.to_dict()}
            for scan in self.scans
        ]
        return {
            "made_by": MADE_BY,
            "version": __version__,
            "datalist": self.datalist,
            "dataset_dir": self.dataset_dir,
            "layer": self.layer,
            "summary": self.summary(),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "scans": scans,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row per scan for a table, under `COLUMNS`."""
        rows = []
        for scan in self.scans:
            findings = self.of_scan.get((scan.section, scan.record["image"]), [])
            must_fix = sum(finding.level == MUST_FIX for finding in findings)
            facts = {
                key: " x ".join(f"{size:g}" for size in value) if isinstance(value, list) else value
                for key, value in scan.facts.to_dict().items()
            }
            rows.append(
                {
                    **{key: scan.record.get(key) for key in RECORD_COLUMNS},
                    "section": scan.section,
                    "must_fix": must_fix,
                    "notes": len(findings) - must_fix,
                    "findings": " | ".join(f"{finding.level}: {finding.sentence}" for finding in findings),
                    **facts,
                }
            )
        return rows


def report_files(output: str | os.PathLike[str], datalist: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Where a report goes; refused before hours of reading, and never over something that is not a report.

    Args:
        output: a folder that is there (or ends with `/`), or the files' path without `.json` and `.csv`.
        datalist: the datalist; its name is that of a report in a folder.

    Returns:
        The JSON and the CSV file.

    Raises:
        DatalistError: when one of them exists and is no report of a check, or the folder cannot be written to.
    """
    path, stem = Path(output), f"{Path(datalist).stem}_check"
    prefix = path / stem if path.is_dir() or str(output).endswith(("/", os.sep)) else path
    prefix = prefix.with_suffix("") if prefix.suffix in (".json", ".csv") else prefix
    files = prefix.with_name(f"{prefix.name}.json"), prefix.with_name(f"{prefix.name}.csv")
    for file in files:
        if file.exists() and not _is_report(file):
            raise DatalistError(
                f"{file}: exists and is no report of a check, which may be replaced; choose another name."
            )
    there = next(folder for folder in files[0].absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise DatalistError(f"{there}: is no folder that you may write to, expected one; choose another --output.")
    return files


def write_report(report: QualityReport, files: tuple[Path, Path]) -> None:
    """Writes a report, each file whole or not at all.

    Args:
        report: what was found.
        files: from `report_files`.

    Raises:
        DatalistError: when the folder cannot be written to.
    """
    json_file, csv_file = files
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS)
    writer.writeheader()
    writer.writerows(report.rows())
    write_text(csv_file, table.getvalue())
    write_text(json_file, json.dumps(_finite(report.to_dict()), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_report(file: Path) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if file.suffix == ".csv":
        return text.splitlines()[:1] == [",".join(COLUMNS)]
    try:
        content = json.loads(text)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY
