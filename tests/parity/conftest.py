from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def recipe():
    """The module that makes the seeded weights and inputs."""
    spec = importlib.util.spec_from_file_location("parity_recipe", HERE / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def keys():
    """Names, shapes and checksums of the published parameters and inputs."""
    return json.loads((HERE / "keys.json").read_text())


@pytest.fixture(scope="session")
def expected():
    """Losses, gradients, optimiser steps and tolerances."""
    return json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="session")
def reference():
    """Outputs and activations, sampled."""
    with np.load(HERE / "reference.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}
