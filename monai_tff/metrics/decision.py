"""From a score to the name of a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monai_tff.contract import Target


def predicted_classes(scores: NDArray, target: Target, threshold: float | NDArray) -> NDArray:
    """Names the class of each scoring unit.

    Args:
        scores: [units, 1] probabilities of the second of two classes, or [units, classes] probabilities.
        target: a binary or multiclass target.
        threshold: probability above which the second of two classes is named, one number or one per unit [units];
            not used for several classes.

    Returns:
        Class names, [units].

    Example:
        >>> predicted_classes(np.array([[0.4], [0.6]]), Target("sex", "binary", ("F", "M")), 0.5).tolist()
        ['F', 'M']
    """
    chosen = scores[:, 0] > threshold if target.kind == "binary" else scores.argmax(axis=1)
    return np.asarray(target.class_names)[chosen.astype(int)]
