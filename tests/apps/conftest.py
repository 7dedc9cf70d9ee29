"""Tests of the server run where MONAI Label is installed (`make label-test`); elsewhere they are not collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("monailabel") else ["*"]
