"""The validation metric: numbers over scoring units, not over windows."""

from __future__ import annotations

from ignite.engine import Engine
from ignite.metrics import Metric

from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.handlers.window_rows import WindowRows
from monai_tff.metrics import aggregate, evaluate_units


class SubjectMetrics(Metric):
    """Metrics over scoring units, to be MONAI's `key_val_metric` of an evaluator of whole scans.

    Window scores are gathered from all processes, averaged to scoring units and evaluated there, so that the numbers
    are the same on one process and on many. Every process must take part. It starts anew with each
    evaluation and computes no intervals.

    Args:
        target: what is predicted.
        key: name of the number that the metric stands for, for example `cross_entropy` or `mae`.
        flat: average over all windows at once (the paper's recipe).
        threshold: probability above which class 1 is predicted.
        baseline_value: mean of a regression target over the training subjects, to compare with.
        prefix: put before the names of the numbers in `engine.state.metrics`.

    Example:
        >>> target = Target("sex", "binary", ("F", "M"))
        >>> key_val_metric = {"val_selection": SubjectMetrics(target, key="cross_entropy")}
    """

    def __init__(
        self,
        target: Target,
        key: str,
        flat: bool = False,
        threshold: float = 0.5,
        baseline_value: float | None = None,
        prefix: str = "",
    ) -> None:
        self.target = target
        self.key = key
        self.flat = flat
        self.threshold = threshold
        self.baseline_value = baseline_value
        self.prefix = prefix
        self._rows = WindowRows(target)
        super().__init__(skip_unrolling=True)

    def reset(self) -> None:
        """Starts an evaluation."""
        self._rows.reset()

    def iteration_completed(self, engine: Engine) -> None:
        """Takes the scores of the scan from the engine, together with its record.

        Args:
            engine: the evaluator.
        """
        self.update(engine)

    def update(self, output: Engine) -> None:
        """Adds the windows of one scan, see `WindowRows.add`.

        Args:
            output: the evaluator, whose state holds the scores and the record.
        """
        self._rows.add(output)

    def compute(self) -> float:
        """The number named `key`."""
        return self._pick(self.compute_all())

    def compute_all(self) -> dict[str, float]:
        """All numbers of the evaluation, by name; NaN where a number is not defined.

        Raises:
            DatalistError: without scans, or for a unit without a label.
            ContractError: for scores that are not finite.
        """
        units = aggregate(self._rows.gather(), self.target, flat=self.flat)
        result = evaluate_units(
            units,
            self.target,
            threshold=self.threshold,
            baseline_value=self.baseline_value,
            bootstrap_samples=0,
        )
        return result.values

    def _pick(self, values: dict[str, float]) -> float:
        if self.key not in values:
            raise ConfigError(
                f"SubjectMetrics: there is no number '{self.key}' for the {self.target.kind} target "
                f"'{self.target.name}', expected one of {', '.join(values)}."
            )
        return values[self.key]

    def completed(self, engine: Engine, name: str) -> None:
        """Puts all numbers, and the one named `key` under `name`, into `engine.state.metrics`.

        Args:
            engine: the evaluator.
            name: name of the metric.
        """
        values = self.compute_all()
        engine.state.metrics.update({f"{self.prefix}{key}": value for key, value in values.items()})
        engine.state.metrics[name] = self._pick(values)
