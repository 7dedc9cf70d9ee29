"""MONAI's config workflow, with the configuration checked before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_tff.bundle.checks import check_config_files, check_known_keys
from monai_tff.bundle.merged import merged_config
from monai_tff.errors import ConfigError


class Workflow(ConfigWorkflow):
    """A `monai.bundle.ConfigWorkflow` that refuses a misspelt override, an unknown key and a duplicate key.

    MONAI accepts all three silently, and a run with a misspelt `--max_epochz 5` looks like one that did what was
    asked. The plain command makes the same checks in the first entry of `initialize`, see `start`.

    Args:
        config_file: path of the config file, or several that merge in their order.
        **kwargs: as for `ConfigWorkflow`, and overrides by id.

    Raises:
        ConfigError: naming the file or key.

    Example:
        `python -m monai.bundle run training --workflow_name monai_tff.bundle.Workflow --config_file train.yaml`
    """

    def __init__(self, config_file: str | Sequence[str], **kwargs: Any) -> None:
        self.properties = None  # type: ignore[assignment]  # MONAI reads it at each assignment that follows
        self.config_files = files = [config_file] if isinstance(config_file, str) else list(config_file)
        check_config_files(files)
        try:
            super().__init__(config_file=files, **kwargs)
        except KeyError as error:  # of an id below a key that is not there
            raise ConfigError(
                f"config id below {error}: there is no such key in {', '.join(map(str, files))} or the overrides, "
                "expected an id that can be set; check its spelling."
            ) from error
        check_known_keys(merged_config(self.parser), files[:1])
