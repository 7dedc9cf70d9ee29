"""Loads a downloaded bundle with `monai.bundle.load`: python load_with_monai.py FOLDER OUTPUTS.

OUTPUTS gets what the network gives for one random window, by the way in which it was loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from monai.bundle import ConfigParser, load


def main(folder: str, outputs: str) -> None:
    place = {"name": Path(folder).name, "bundle_dir": Path(folder).parent, "device": "cpu"}
    parser = ConfigParser()
    parser.read_config(str(Path(folder, "configs", "inference.yaml")))
    network = load(model=parser.get_parsed_content("network_def"), **place)
    program, _, _ = load(load_ts_module=True, **place)
    size, length = parser["contract#spatial_size"], parser["contract#window_length"]
    window = torch.rand(1, 2, *size, length, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.save({"state_dict": network.eval()(window), "torchscript": program(window)}, outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
