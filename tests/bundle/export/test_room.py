"""Room for a bundle."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from monai_tff.bundle.export.room import COPIES, REST, refuse_full_disk
from monai_tff.errors import BundleError


def test_room_is_counted_in_bytes_of_the_weights(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    refuse_full_disk(tmp_path, {"weight": torch.zeros(1000)})
    # tensors without memory: only their sizes count
    enough = torch.empty((free - REST) // COPIES // 8, dtype=torch.float32, device="meta")
    refuse_full_disk(tmp_path, {"weight": enough})
    too_many = torch.empty(free // COPIES, dtype=torch.float16, device="meta")
    sentence = r": has [\d,]+ MB free, expected [\d,]+ MB for the bundle and its zip file; make room, or choose another"
    with pytest.raises(BundleError, match=re.escape(str(tmp_path)) + sentence):
        refuse_full_disk(tmp_path, {"weight": too_many, "bias": torch.zeros(3)})
