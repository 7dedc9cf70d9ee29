"""Counts to six and loses MLflow's database after three: python mlflow_lost.py DATABASE RUN_DIR."""

from __future__ import annotations

import logging
import sqlite3
import sys

from ignite.engine import Engine, Events

from monai_tff.handlers import MLflowRun


def main(database: str, run_dir: str) -> None:
    logging.basicConfig(format="%(levelname)s %(message)s")
    trainer = Engine(lambda _, number: {"loss": float(number)})

    @trainer.on(Events.ITERATION_COMPLETED(once=4))
    def lose_it() -> None:
        with sqlite3.connect(database) as connection:
            connection.execute("DROP TABLE metrics")

    tracking = MLflowRun(f"sqlite:///{database}", run_dir, "training", every=1, output_transform=dict, completes=True)
    tracking.attach(trainer)
    trainer.run(range(6))
    print(f"{trainer.state.iteration} iterations")


if __name__ == "__main__":
    main(*sys.argv[1:])
