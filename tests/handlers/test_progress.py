"""A bar in a terminal, few lines elsewhere."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from monai_tff.handlers import progress
from monai_tff.handlers.progress import Progress, clock


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _engine() -> Engine:
    return Engine(lambda engine, batch: {"loss": torch.tensor(0.25 * engine.state.iteration)})


def _shown(output: Any) -> dict[str, Any]:
    return {"loss": output["loss"]}


def test_ten_lines_for_a_run_of_any_length() -> None:
    stream = io.StringIO()
    engine = _engine()
    Progress("training", _shown, stream=stream).attach(engine)
    engine.run(range(50), max_epochs=20)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert re.fullmatch(
        r"training: epoch 2/20, iteration 50/50 \(10 %\), loss 25, [\d.e+]+ iterations/s, \d+:\d\d left", lines[0]
    )
    assert lines[-1].startswith("training: epoch 20/20, iteration 50/50 (100 %), loss 250,")
    assert lines[-1].endswith(" 0:00 left")


def test_a_continued_run_counts_what_is_left() -> None:
    stream = io.StringIO()
    engine = _engine()
    Progress(stream=stream).attach(engine)
    engine.state.max_epochs, engine.state.epoch_length = 4, 5

    @engine.on(Events.STARTED)
    def _continue(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = 2, 10

    engine.run(range(5), max_epochs=4)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("training: epoch 3/4, iteration 1/5 (10 %), ")


def test_at_most_a_hundred_lines_more_where_time_is_up_at_once() -> None:
    stream = io.StringIO()
    engine = _engine()
    Progress(seconds=0.0, stream=stream).attach(engine)
    engine.run(range(500), max_epochs=2)
    assert 90 <= len(stream.getvalue().splitlines()) <= 110


def test_an_evaluator_that_runs_again_and_again(make_run: Any) -> None:
    stream = io.StringIO()
    run = make_run()
    Progress("validation", stream=stream).attach(run.evaluator)
    for epoch in (1, 7):
        run.evaluator.run(epoch)
    lines = stream.getvalue().splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        f"validation: {epoch}iteration {i}/3" for epoch in ("", "epoch 7/7, ") for i in (1, 2, 3)
    ]


def test_bar_in_a_terminal() -> None:
    stream = Terminal()
    engine = _engine()
    Progress("training", _shown, stream=stream).attach(engine)
    engine.run(range(30), max_epochs=2)
    text = stream.getvalue()
    assert "training [1/2]" in text
    assert "loss=" in text
    assert "it/s" in text
    assert "\n" not in text.strip()


def test_a_bar_reads_its_numbers_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(0.125 * i for i in range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    read: list[float] = []

    def shown(output: Any) -> dict[str, Any]:
        read.append(output["loss"].item())
        return {"loss": output["loss"]}

    engine = _engine()
    Progress("training", shown, stream=Terminal()).attach(engine)
    engine.run(range(13), max_epochs=1)
    assert read == [0.25 * iteration for iteration in (1, 5, 9, 13)]


def test_data_without_a_length_show_nothing() -> None:
    stream = io.StringIO()
    engine = _engine()
    Progress(stream=stream).attach(engine)
    engine.run(iter(range(3)), max_epochs=1)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (61, "1:01"), (3600, "1:00:00"), (90061, "25:01:01")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
