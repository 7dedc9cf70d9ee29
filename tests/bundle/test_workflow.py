"""The workflow that checks its configuration before it is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import create_workflow

from monai_tff.bundle import Workflow
from monai_tff.errors import ConfigError

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "bundles" / "tff_fmri_prediction" / "configs" / "train.yaml"


def workflow(layers: dict[Path, str], **overrides: Any) -> Workflow:
    for path, content in layers.items():
        path.write_text(content)
    return Workflow([str(TRAIN), *map(str, layers)], workflow_type="train", logging_file=False, **overrides)


@pytest.mark.parametrize(
    ("layer", "overrides", "message"),
    [
        ("seed: 1", {"max_epochz": 5}, r"config key 'max_epochz': .*did you mean 'max_epochs'\?"),
        ("drop_out: 0.1", {}, r"config key 'drop_out': .*did you mean 'dropout'\?"),
        ("seed: 1", {"optimizer#lrr": 0.1}, r"config key 'optimizer#lrr': .*did you mean 'lr'\?"),
        ("seed: 1", {"optimzer#lr": 0.1}, r"config id below .*optimzer.*: there is no such key in .*layer.yaml"),
        ("seed: 1\nseed: 2", {}, r"layer.yaml: key 'seed' stands on line 1 and again on line 2"),
        ("seed: [1", {}, r"layer.yaml: cannot be read as YAML or JSON"),
        ("network_def#hidden: 7", {}, r"config key 'network_def#hidden': .*did you mean 'hidden_size'\?"),
    ],
)
def test_what_is_wrong_is_named(layer: str, overrides: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        workflow({tmp_path / "layer.yaml": layer}, **overrides)


def test_the_stock_command_takes_it() -> None:
    """`--workflow_name monai_tff.bundle.Workflow` checks before anything is parsed."""
    with pytest.raises(ConfigError, match="max_epochz"):
        create_workflow("monai_tff.bundle.Workflow", config_file=str(TRAIN), logging_file=False, max_epochz=5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no_such.yaml: there is no such config file"):
        Workflow([str(TRAIN), str(tmp_path / "no_such.yaml")])


def test_a_single_file_and_overrides_by_id() -> None:
    made = Workflow(str(TRAIN), workflow_type="train", logging_file=False, **{"network_def#max_frames": 40, "seed": 3})
    assert made.config_files == [str(TRAIN)]
    assert (made.parser["network_def#max_frames"], made.parser["seed"]) == (40, 3)


def test_a_key_of_the_base_stays_known_when_its_component_is_replaced(tmp_path: Path) -> None:
    """The optimiser of this layer does not use `weight_decay`, but who sets it has misspelt nothing."""
    layer = "optimizer: {_target_: torch.optim.SGD, params: '$@network.parameters()', lr: '@learning_rate'}"
    workflow({tmp_path / "layer.yaml": layer}, weight_decay=0.1)
