from __future__ import annotations

import re

import pytest
import torch
from monai.data import CacheDataset

from monai_tff.data import CompactScan, FrameCodes, WindowDataset
from monai_tff.engines import encode_frames, encode_scans
from monai_tff.engines.encode_frames import encoder_digest
from monai_tff.errors import ConfigError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor

SIZE = (7, 8, 9)
LENGTHS = {"training": [9, 13], "validation": [7]}


def load(record):
    generator = torch.Generator().manual_seed(record["frames"])
    mask = torch.rand(SIZE, generator=generator) > 0.3
    frames = torch.randint(1, 900, (record["frames"], *SIZE), generator=generator)
    return {**record, "image": CompactScan.from_frames(frames, mask)}


@pytest.fixture
def datasets() -> list[CacheDataset]:
    """Three scans of 9, 13 and 7 frames, in the two kinds of datasets that the bundles have."""
    training, validation = (
        [{"image": f"/data/{n}.nii", "scan": f"{section}/{n}.nii", "frames": n} for n in lengths]
        for section, lengths in LENGTHS.items()
    )
    return [
        WindowDataset(training, load, window_length=5, progress=False),
        CacheDataset(validation, load, progress=False, copy_cache=False),
    ]


def frozen(kind=TFFPredictor, **options):
    torch.manual_seed(3)
    network = kind(SIZE, hidden_size=32, code_normalisation=True, **options)
    network.freeze_encoder()
    return network.train()


@pytest.mark.parametrize("frames_per_batch", [1, 4, 50])
def test_every_frame_is_encoded(datasets, tmp_path, frames_per_batch):
    network, codes = frozen(dropout=0.5), FrameCodes(tmp_path / "codes")
    assert encode_scans(network, codes, datasets, frames_per_batch=frames_per_batch) == 3
    scans = [datasets[0].scan(0), datasets[0].scan(1), datasets[1][0]]
    for record in scans:
        found = codes.window(record["scan"], 0, record["frames"])
        expected = network.encode_frames(record["image"].unpack()[None])[0]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not found.requires_grad


def test_what_is_there_is_not_made_again(datasets, tmp_path, capsys):
    codes = FrameCodes(tmp_path)
    encode_scans(frozen(), codes, datasets)
    files = sorted(tmp_path.rglob("*.safetensors"))
    times = {path: path.stat().st_mtime_ns for path in files}
    # what a kill leaves: one scan not begun, one begun, and another training with the same encoder
    files[1].unlink()
    (files[1].parent / f".{files[1].name}.tmp").write_bytes(b"half")
    capsys.readouterr()
    assert encode_scans(frozen(num_outputs=4), FrameCodes(tmp_path), datasets) == 1
    assert capsys.readouterr().out == f"codes of frames: 2 of 3 scans are in {tmp_path}\n"
    assert sorted(tmp_path.rglob("*")) == sorted([*files, *{path.parent for path in files}])
    assert {path: path.stat().st_mtime_ns for path in files if path != files[1]} == {
        path: time for path, time in times.items() if path != files[1]
    }


def test_a_damaged_file_is_made_again(datasets, tmp_path):
    encode_scans(frozen(), FrameCodes(tmp_path), datasets)
    path = next(tmp_path.rglob("*.safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    encode_scans(frozen(), FrameCodes(tmp_path), datasets)
    assert path.read_bytes() == whole


def test_other_weights_make_files_of_their_own(datasets, tmp_path):
    network = frozen()
    encode_scans(network, FrameCodes(tmp_path), datasets)
    network.encoder.stem.bias.data[0] += 1e-3
    assert encode_scans(network, FrameCodes(tmp_path), datasets) == 3
    assert len(list(tmp_path.rglob("*.safetensors"))) == 6


def test_a_continued_training_encodes_with_its_own_weights(datasets, tmp_path):
    network, other = frozen(), frozen()
    other.encoder.stem.bias.data += 1
    torch.save({"model": network.state_dict()}, tmp_path / "last.pt")
    encode_scans(network, FrameCodes(tmp_path / "codes"), datasets)
    assert encode_scans(other, FrameCodes(tmp_path / "codes"), datasets, checkpoint=str(tmp_path / "last.pt")) == 0
    assert encode_scans(other, FrameCodes(tmp_path / "codes"), datasets, checkpoint=str(tmp_path / "none.pt")) == 0


def test_the_digest_is_of_what_makes_the_codes_alone():
    network = frozen()
    digest = encoder_digest(network)
    assert encoder_digest(frozen(TFFAutoEncoder)) == digest
    network.head.weight.data += 1
    assert encoder_digest(network) == digest
    for part in (network.encoder.stem, network.bottleneck_in.linear, network.code_norm):
        part.bias.data[-1] += 1e-3
        changed = encoder_digest(network)
        assert changed != digest
        digest = changed


def test_progress_has_a_rate_and_the_time_left(datasets, tmp_path, capsys):
    encode_scans(frozen(), FrameCodes(tmp_path), datasets, frames_per_batch=3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert re.fullmatch(r"encoding frames: 3 of 29 \(10 %\), \S+ frames/s, \d+:\d\d left", lines[0])
    assert lines[-1].startswith("encoding frames: 29 of 29 (100 %), ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": True}, "use_augmentation is true, but the frames are encoded once and for all"),
        ({}, "frozen_encoder is false, but windows of codes are wanted"),
    ],
)
def test_what_does_not_fit_is_refused_first(datasets, tmp_path, options, message):
    network = frozen() if options else TFFPredictor(SIZE, hidden_size=32)
    with pytest.raises(ConfigError, match=message):
        encode_scans(network, FrameCodes(tmp_path), datasets, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_no_process_writes_is_not_waited_for_for_ever(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(encode_frames, "LONGEST_WAIT", 0.3)
    missing = [encode_frames._Scan(datasets[1], 0, tmp_path / "a.safetensors", 7)]
    with pytest.raises(ConfigError, match=r"a.safetensors: no process has written it, nor any other of 1 files"):
        encode_frames._wait_for(missing, 32)


def test_a_disk_that_refuses_is_named(datasets, tmp_path):
    (tmp_path / "codes").write_text("a file where the folder would be")
    with pytest.raises(ConfigError, match=r"codes.*could not be written"):
        encode_scans(frozen(), FrameCodes(tmp_path / "codes"), datasets)


def _encode_in_a_group(rank, folder, datasets):
    torch.distributed.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    count = encode_scans(frozen(), FrameCodes(folder / "codes"), datasets)
    # each sees the files of the other when it goes on
    (folder / f"{rank}.txt").write_text(f"{count} {len(list((folder / 'codes').rglob('*.safetensors')))}")
    torch.distributed.destroy_process_group()


def test_two_processes_share_the_scans_and_wait_for_each_other(datasets, tmp_path):
    fork = torch.multiprocessing.get_context("fork")
    processes = [fork.Process(target=_encode_in_a_group, args=(rank, tmp_path, datasets)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == ["2 3", "1 3"]
    encode_scans(frozen(), FrameCodes(tmp_path / "alone"), datasets)
    names = [path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("*.safetensors")]
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "codes" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
