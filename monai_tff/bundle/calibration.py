"""Calibration of a finished run: a temperature and a threshold, fitted on its validation subjects.

They go into the contract of the best weights, which every evaluation, prediction and export follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from monai_tff.bundle import layout
from monai_tff.bundle.caller import calling_parser
from monai_tff.bundle.experiment import quiet_workflow, run_workflow
from monai_tff.bundle.merged import portable_config
from monai_tff.bundle.processes import IN_GROUP, by_first_process
from monai_tff.bundle.run_folder import MAY_CHANGE, write_contract
from monai_tff.contract import InputContract, Target
from monai_tff.data.datalist import load_datalist
from monai_tff.handlers.checkpoint_files import write_checkpoint
from monai_tff.handlers.evaluation_files import write_json
from monai_tff.handlers.window_rows import read_windows
from monai_tff.metrics.calibration import Calibration, fit_calibration
from monai_tff.networks import read_checkpoint

SECTION = "validation"
FOLDER = "validation"
"""Of the run folder: the files of the evaluation that the calibration is fitted on."""

FILE_NAME = "calibration.json"
UNCALIBRATED = {"temperature": 1.0, "threshold": 0.5}
FINEST = 2.0**-24
"""Scores are float32: a threshold closer to 0 or 1 tells nothing apart."""


@dataclasses.dataclass(frozen=True)
class _Run:
    """What the calibration of a run folder depends on."""

    weights: Path
    target: Target
    flat: bool
    paper_head: bool
    has_subjects: bool

    def obstacle(self) -> str | None:
        """Why nothing can be fitted, as far as that is known before the evaluation."""
        if not self.weights.is_file():
            return "there are no best weights, because no validation gave a finite number"
        if not self.has_subjects:
            return "there is no validation subject"
        if self.target.kind == "regression":
            return "the target is a number"
        if self.paper_head:
            return "the published head gives probabilities, and is used as published"
        return None


def calibrate_training() -> Path:
    """Calibrates the run that the calling configuration has trained, on the device and with the data that it used.

    Returns:
        See `calibrate`.
    """
    parser = calling_parser()
    config = portable_config(parser)
    # a continued run may be elsewhere than the configuration in its folder says
    places = {name: config[name] for name in MAY_CHANGE if name in config and name not in IN_GROUP}
    return calibrate(parser.get_parsed_content("run_dir"), places)


def calibrate(run_dir: str | Path, overrides: Mapping[str, Any] | None = None) -> Path:
    """Fits a temperature and a threshold on the validation subjects and writes them into the contract of a run.

    The best weights are evaluated on the validation section at temperature 1 and threshold 0.5; the files of that are
    in `validation/`. What was fitted goes into the contract in `models/model.pt`, then into that of
    `configs/inference.yaml`, and last into `calibration.json`; a calibration that was interrupted is done again from
    the start, and a second one changes nothing. Nothing is fitted for a regression, for the published heads (whose
    outputs are probabilities that no temperature divides) or without validation subjects: the contract then stays as
    it is, and `calibration.json` says why. Every process of a run must take part.

    Args:
        run_dir: run folder of phase 3.
        overrides: ids and values over those of `configs/evaluate.yaml`, such as the device.

    Returns:
        `calibration.json` of the run folder: `fitted_on`, `fitted`, `reason` (of no fit), `temperature`, `threshold`,
        `units`, `cross_entropy` (`before` and `after` the temperature, of the validation units), `warnings`.

    Raises:
        WeightsError: for weights that cannot be read.
        ConfigError: if the disk refuses a file.
    """
    folder = Path(run_dir).resolve()
    config, values = str(folder / layout.EVALUATE), dict(overrides or {})
    run = by_first_process(partial(_read_run, folder, config, values))
    obstacle = run.obstacle()
    if run.weights.is_file() and run.has_subjects:
        where = {"section": SECTION, "output_dir": str(folder / FOLDER), "pretraining_overlap": None}
        run_workflow([config], "eval", {**values, **where, **UNCALIBRATED})
    return by_first_process(partial(_write, folder, run, obstacle))


def _read_run(folder: Path, config: str, overrides: Mapping[str, Any]) -> _Run:
    parser = quiet_workflow([config], "eval", overrides).parser
    names = ("target", "flat_average", "paper_head", "datalist")
    target, flat, paper_head, datalist = (parser.get_parsed_content(name) for name in names)
    return _Run(folder / layout.STATE_DICT, target, flat, paper_head, bool(load_datalist(datalist)[SECTION]))


def _write(folder: Path, run: _Run, obstacle: str | None) -> Path:
    found = Calibration() if obstacle is not None else _fit(folder / FOLDER / "windows.csv", run)
    contract = _contract_of(run.weights) if run.weights.is_file() else None
    if contract is not None and obstacle is None:
        calibrated = dataclasses.replace(contract, temperature=found.temperature, threshold=found.threshold)
        if calibrated != contract:
            checkpoint = read_checkpoint(run.weights)
            write_checkpoint(run.weights, {**checkpoint, layout.CONTRACT_KEY: calibrated.to_dict()})
        write_contract(folder, calibrated)
        contract = calibrated
    path = folder / FILE_NAME
    write_json(path, _content(contract, found, obstacle))
    print(*_lines(found, obstacle), sep="\n", flush=True)
    return path


def _contract_of(weights: Path) -> InputContract:
    return InputContract.from_dict(read_checkpoint(weights)[layout.CONTRACT_KEY])


def _fit(windows: Path, run: _Run) -> Calibration:
    found = fit_calibration(read_windows(windows, run.target), run.target, flat=run.flat)
    return dataclasses.replace(found, threshold=min(max(found.threshold, FINEST), 1 - FINEST))


def _content(contract: InputContract | None, found: Calibration, obstacle: str | None) -> dict[str, Any]:
    return {
        "fitted_on": SECTION,
        "fitted": obstacle is None,
        "reason": obstacle,
        "temperature": UNCALIBRATED["temperature"] if contract is None else contract.temperature,
        "threshold": UNCALIBRATED["threshold"] if contract is None else contract.threshold,
        "units": found.units,
        "cross_entropy": {"before": found.cross_entropy_before, "after": found.cross_entropy_after},
        "warnings": found.warnings,
    }


def _lines(found: Calibration, obstacle: str | None) -> list[str]:
    if obstacle is not None:
        return [f"calibration: nothing fitted, {obstacle}"]
    return [
        *(f"warning (calibration): {sentence}" for sentence in found.warnings),
        f"calibration on {found.units} validation units: temperature {found.temperature:.3g}, threshold "
        f"{found.threshold:.3g}, cross-entropy {found.cross_entropy_before:.3g} -> {found.cross_entropy_after:.3g}",
    ]
