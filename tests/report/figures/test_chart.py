from __future__ import annotations

import re
import sys

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from monai_tff.report.figures.chart import SERIES, chart
from monai_tff.report.html import write


def draw(axes: Axes) -> None:
    axes.plot([0, 1, 2], [1, 3, 2], color=SERIES[1], label="<b>a & $b$</b>")
    axes.fill_between([0, 1], [0, 1], [1, 2], color=SERIES[0], alpha=0.2)
    axes.imshow(np.arange(12.0).reshape(3, 4), interpolation="none")
    axes.legend()


def test_a_chart_follows_the_colours_of_the_page() -> None:
    text = write(chart("one", draw, "what it shows", size=(3.0, 2.0)))
    assert text.startswith('<svg width="288" height="192"')
    assert 'role="img"' in text
    assert 'aria-label="what it shows"' in text
    assert "stroke: var(--series-1)" in text
    assert "fill: var(--series-0)" in text
    assert "fill: var(--ink)" in text
    # no colour of its own but those of the picture, whose pixels are data
    assert re.findall(r"#[0-9a-f]{6}", re.sub(r'data:image/png;base64,[^"]*', "", text)) == []
    assert "&lt;b&gt;a &amp; $b$&lt;/b&gt;" in text


def test_a_chart_brings_nothing_that_acts_on_the_page() -> None:
    first, second = (write(chart(name, draw, "d")) for name in ("one", "two"))
    for text in (first, second):
        assert not set(re.findall(r"<(\w+)", text)) & {"style", "script", "metadata", "title"}
        assert not re.search(r'(?:href|src)="(?!#|data:image/png)', text)
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text)) == known
    assert first.replace("one-", "two-") == second


def test_settings_of_the_process_neither_matter_nor_change() -> None:
    before = write(chart("one", draw, "d"))
    with matplotlib.rc_context({"font.size": 40.0, "svg.fonttype": "path", "lines.linewidth": 9.0}):
        assert write(chart("one", draw, "d")) == before
        assert matplotlib.rcParams["font.size"] == 40.0


def test_no_figure_is_left_with_pyplot() -> None:
    chart("one", draw, "d")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
