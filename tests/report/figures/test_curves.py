from __future__ import annotations

import re

import pandas as pd
import pytest

from monai_tff.report.figures.curves import learning_chart
from monai_tff.report.html import write


@pytest.mark.parametrize("epochs", [[1], [1, 2], [1, 2, 3, 4]])
def test_ticks_of_epochs_are_whole_numbers(epochs):
    rows = [{"epoch": epoch, "split": "train", "name": "loss", "value": 3.5 - epoch} for epoch in epochs]
    text = write(learning_chart("curves", [pd.DataFrame(rows)] * 2, [("train", "loss", "training")], "loss"))
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", text)
    assert texts[: texts.index("epoch")] == [str(epoch) for epoch in epochs]
