"""Starts MONAI Label's app `monaibundle` with bundles, and writes its `/info`: sample_app.py FOLDER BUNDLE ..."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

folder, *bundles = map(Path, sys.argv[1:])

# The torchvision of the package index is built for CUDA: beside a torch without it, two of its operations are not
# there, and it does not import. Nothing here calls them.
missing = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        missing.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

app = folder / "app"
shutil.copytree(Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle", app)
for bundle in bundles:
    shutil.copytree(bundle, app / "model" / bundle.name)
(folder / "studies").mkdir()

from monailabel.config import settings  # noqa: E402

settings.MONAI_LABEL_APP_DIR = str(app)
settings.MONAI_LABEL_STUDIES = str(folder / "studies")
settings.MONAI_LABEL_SESSION_PATH = str(folder / "sessions")
names = ",".join(bundle.name for bundle in bundles)
settings.MONAI_LABEL_APP_CONF = {"models": names, "zoo_source": "ngc", "skip_trainers": "true"}

from monailabel.app import app as server  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

with TestClient(server) as client:
    (folder / "info.json").write_bytes(client.get("/info/").raise_for_status().content)
