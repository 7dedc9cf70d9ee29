"""The files of a study as text: its dataset layer and its experiment, every value with the reason for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.study import Guess, Study


def dataset_text(name: str, study: Study, dataset_dir: Path, datalist: Path) -> str:
    """The dataset layer of a study.

    Args:
        name: of the study.
        study: the guesses.
        dataset_dir: folder of the cohort.
        datalist: the datalist's file.

    Returns:
        YAML.
    """
    places = {
        "dataset_dir": Guess(str(dataset_dir.resolve()), "that the paths of the datalist start from"),
        "datalist": Guess(str(datalist.resolve()), "scans, labels and split"),
    }
    return "\n".join(
        [
            f"# Dataset layer of {name}. `python -m monai_tff init` guessed the values: edit them, or use --set.",
            *(_line(key, guess) for key, guess in {**places, **study.dataset}.items()),
            "# packed_dir: packed      # once `python -m monai_tff prepare` has written it",
            "",
        ]
    )


def experiment_text(
    name: str,
    study: Study,
    layer: str,
    phases: Mapping[str, Sequence[str]],
    batch_sizes: Mapping[str, int],
) -> str:
    """The experiment of a study: the recommended recipe with the dataset layer in each phase.

    Args:
        name: of the study.
        study: the guesses.
        layer: file name of the dataset layer, which lies beside the experiment.
        phases: config files of each phase.
        batch_sizes: windows of a step, by phase.

    Returns:
        YAML.
    """
    window, hidden = study.network["window_length"], study.network["hidden_size"]
    lines = [
        f"# Experiment of {name}: the recommended recipe. `python -m monai_tff init` guessed the overrides.",
        "#",
        f"#   python -m monai_tff run {name}_experiment.yaml",
        f"name: {_value(name)}",
        "overrides:",
        f"  {_line('hidden_size', hidden)}",
        "phases:",
    ]
    for number, (phase, files) in enumerate(phases.items()):
        lines += [f"  {phase}:", "    config_file:", *(f"    - {_value(file)}" for file in (*files, layer))]
        lines += ["    overrides:", f"      batch_size: {batch_sizes[phase]}"]
        if number:  # the first phase reconstructs single frames
            lines.append(f"      {_line('window_length', window)}")
    return "\n".join([*lines, ""])


def _line(key: str, guess: Guess) -> str:
    return f"{key}: {_value(guess.value)}   # {' '.join(guess.why.split())}"


def _value(value: Any) -> str:
    # JSON is YAML, and quotes whatever YAML would read otherwise
    return json.dumps(value, ensure_ascii=False)
