"""Tests of the server run where MONAI Label is installed (`make label-test`); elsewhere they are not collected."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

TORCHVISION = Path(sys.prefix) / "torchvision"
"""Where `make label-sample` puts torchvision, out of the way of everything else."""

collect_ignore_glob = [] if importlib.util.find_spec("monailabel") else ["*"]
if not TORCHVISION.is_dir():
    collect_ignore_glob.append("*/test_sample_app.py")
