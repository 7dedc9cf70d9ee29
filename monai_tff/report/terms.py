"""The numbers of an evaluation: what each is called on the page, and what it means in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from monai_tff.contract import Target

_TERMS = {
    "auroc": (
        "AUROC",
        "Area under the receiver operating characteristic: how often a unit of the one class scores higher than a "
        "unit of the other; 0.5 is chance, 1 is perfect. With several classes, the mean over each class against the "
        "rest.",
    ),
    "auprc": (
        "AUPRC",
        "Area under the curve of precision against recall (average precision); chance is the prevalence.",
    ),
    "prevalence": ("Prevalence", "Share of the second class among the units: what the AUPRC has to beat."),
    "balanced_accuracy": (
        "Balanced accuracy",
        "Mean over the classes of the share that is named rightly; naming one class for everybody gives 1 / classes.",
    ),
    "accuracy": ("Accuracy", "Share of the units whose class is named rightly; compare it with the largest class."),
    "sensitivity": ("Sensitivity", "Share of the second class that is named rightly, at the threshold."),
    "specificity": ("Specificity", "Share of the first class that is named rightly, at the threshold."),
    "cross_entropy": (
        "Cross-entropy",
        "Mean negative logarithm of the probability that was given to the true class (log loss, natural logarithm); "
        "saying 0.5 for everybody of two classes gives 0.693.",
    ),
    "brier": (
        "Brier score",
        "Mean squared distance between the probabilities and what is true; 0 is perfect, always saying 0.5 gives "
        "0.25 for two classes.",
    ),
    "calibration_intercept": (
        "Calibration intercept",
        "What would have to be added to the logits so that the class is predicted as often as it occurs; 0 is right.",
    ),
    "calibration_slope": (
        "Calibration slope",
        "What the logits would have to be multiplied by; 1 is right, below 1 the scores are too sure.",
    ),
    "expected_calibration_error": (
        "Expected calibration error",
        "Mean distance between score and observed share over bins of scores; not computed for fewer than 200 subjects.",
    ),
    "mae": ("MAE", "Mean absolute error, in the units of the target."),
    "mse": ("MSE", "Mean squared error, in squared units of the target."),
    "nmse": ("NMSE", "Mean of the squared error over the squared true value, as published."),
    "pearson_r": ("Pearson r", "Linear correlation of predicted and true values; 0 is none, 1 is perfect."),
    "spearman_r": ("Spearman r", "Correlation of the ranks of predicted and true values."),
    "r2": ("R²", "Share of the variance of the true values that the predictions explain; 0 is what their mean gives."),
    "baseline_mae": ("MAE of the mean", "Mean absolute error of predicting the training subjects' mean for everybody."),
    "baseline_mse": ("MSE of the mean", "Mean squared error of predicting the training subjects' mean for everybody."),
}

_OF_VALUES = {
    "calibration_intercept": (
        "Calibration intercept",
        "Mean of true minus predicted value, in the units of the target; above 0 the predictions are too low.",
    ),
    "calibration_slope": (
        "Calibration slope",
        "Slope of the true values on the predicted ones; 1 is right, below 1 the predictions are spread too far.",
    ),
}
"""What differs where the target is a number."""

UNIT_TERMS = {
    "Score": (
        "Of two classes, the probability of the second; of several, of each class; or the predicted value. The mean "
        "over windows, then over runs."
    ),
    "Spread over windows": (
        "Standard deviation of the scores of a unit's windows: variability within the scan, not the uncertainty of "
        "the prediction."
    ),
    "95 % interval": (
        "The 2.5 and 97.5 percentiles of the number when whole groups (families or subjects) are drawn again with "
        "replacement; it knows nothing of other cohorts, and nothing of other trainings."
    ),
    "Scoring unit": "What gets one score: a subject, or a session where the target differs within a subject.",
}


def label_of(name: str) -> str:
    """What a number is called on the page.

    Example:
        >>> label_of("pearson_r"), label_of("sensitivity_M")
        ('Pearson r', 'Sensitivity for M')
    """
    if name in _TERMS:
        return _TERMS[name][0]
    if name.startswith("sensitivity_"):
        return f"Sensitivity for {name.removeprefix('sensitivity_')}"
    return name.replace("_", " ").capitalize()


def meanings(names: Iterable[str]) -> list[tuple[str, str]]:
    """Label and meaning of each number of an evaluation that has one, each once, in their order."""
    names, found = list(names), {}
    terms = _TERMS | _OF_VALUES if "mae" in names else _TERMS
    for name in names:
        if name in terms:
            found[terms[name][0]] = terms[name][1]
        elif name.startswith("sensitivity_"):
            found["Sensitivity for a class"] = "Share of the units of that class that are named rightly."
    return [*found.items(), *UNIT_TERMS.items()]


def main_number(target: Target) -> str:
    """The number that a result is judged by."""
    return "pearson_r" if target.kind == "regression" else "auroc"


def chance(name: str) -> float | None:
    """The value of a number where nothing was learned, None where that depends on the cohort."""
    return {"auroc": 0.5, "pearson_r": 0.0, "r2": 0.0, "calibration_intercept": 0.0, "calibration_slope": 1.0}.get(name)


def class_label(target: Target, index: float) -> str:
    """The name of a class by its index."""
    return target.class_names[int(index)]
