"""Prints what MLflow holds as JSON: python mlflow_numbers.py URI.

A list of runs, each with `experiment`, `name`, `status` and `numbers`: lists of [step, value] by name.
"""

from __future__ import annotations

import json
import sys

from mlflow import MlflowClient


def main(uri: str) -> None:
    client = MlflowClient(uri)
    found = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
            numbers = {name: [[point.step, point.value] for point in points] for name, points in histories.items()}
            found.append({"experiment": experiment.name, "name": run.info.run_name, "status": run.info.status})
            found[-1]["numbers"] = numbers
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
