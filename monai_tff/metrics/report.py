"""The lines that a person reads at the end of an evaluation."""

from __future__ import annotations

from monai_tff.contract import Target
from monai_tff.metrics.subject import SubjectResult


def format_result(result: SubjectResult, target: Target, split: str = "test") -> list[str]:
    """Puts a result into words.

    Args:
        result: what `evaluate_units` returned.
        target: what is predicted.
        split: name of the split, the first word of the last two lines.

    Returns:
        Each warning, then two lines.

    Example:
        The last two lines of the three kinds of target::

            test balanced accuracy 0.92, cross-entropy 0.21
            test AUROC 0.97 [0.91, 1.00] (24 subjects)

            test balanced accuracy 0.61, cross-entropy 0.80
            test macro AUROC 0.78 [0.70, 0.86] (60 subjects)

            test MAE 3.1, predicting the training mean 5.6
            test Pearson r 0.71 [0.52, 0.83] (40 subjects)
    """
    lines = [f"warning ({split}): {sentence}" for sentence in result.warnings]
    values = result.values
    if target.kind == "regression":
        baseline = values.get("baseline_mae")
        beside = "" if baseline is None else f", predicting the training mean {baseline:.4g}"
        lines.append(f"{split} MAE {values['mae']:.4g}{beside}")
        lines.append(f"{split} Pearson r {_with_interval(result, 'pearson_r')} ({_count(result)})")
        return lines
    name = "AUROC" if target.kind == "binary" else "macro AUROC"
    lines.append(
        f"{split} balanced accuracy {values['balanced_accuracy']:.2f}, cross-entropy {values['cross_entropy']:.2f}"
    )
    lines.append(f"{split} {name} {_with_interval(result, 'auroc')} ({_count(result)})")
    return lines


def _with_interval(result: SubjectResult, name: str) -> str:
    value = f"{result.values[name]:.2f}"
    if name not in result.intervals:
        return value
    low, high = result.intervals[name]
    return f"{value} [{low:.2f}, {high:.2f}]"


def _count(result: SubjectResult) -> str:
    subjects = f"{result.num_subjects} subject{'s' if result.num_subjects != 1 else ''}"
    if result.num_units == result.num_subjects:
        return subjects
    return f"{result.num_units} sessions of {subjects}"
