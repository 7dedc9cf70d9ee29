from __future__ import annotations

import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from monai_tff.errors import WeightsError
from monai_tff.networks import read_checkpoint, read_learning_rate, read_state_dict
from monai_tff.networks.original import original_name


def save(content, path):
    torch.save(content, path)
    return path


def published(network) -> dict:
    """What the published code saves: other names, position ids, and NumPy numbers."""
    state = {original_name(name): value for name, value in network.state_dict().items()}
    state["transformer.bert.embeddings.position_ids"] = torch.arange(7)[None]
    return {
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.0005, "params": [0]}]},
        "epoch": 3.5,
        "loss_value": np.float64(1.25),
        "accuracy": np.float32(0.5),
        "lr": 0.00025,
    }


@pytest.mark.parametrize("form", ["ours", "plain", "safetensors", "published", "wrapped", "in memory"])
def test_every_form_gives_the_same_weights(network, tmp_path, form):
    state = network.state_dict()
    path = tmp_path / "weights.pt"
    if form == "ours":
        source = save({"model": state, "optimizer": {}, "epoch": 3}, path)
    elif form == "plain":
        source = str(save(state, path))
    elif form == "safetensors":
        source = tmp_path / "weights.safetensors"
        safetensors.torch.save_file(state, source)
    elif form == "published":
        source = save(published(network), tmp_path / "weights.pth")
    elif form == "wrapped":
        source = save({f"module._orig_mod.{name}": value for name, value in state.items()}, path)
    else:
        source = {"model": state}
    found = read_state_dict(source)
    assert set(found) == set(state)
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_numpy_numbers_under_the_path_of_numpy_1(tmp_path, monkeypatch):
    # The scalar's pickle names the function's module; written here as NumPy 1 did.
    content = {"weight": torch.ones(2), "loss_value": np.float64(1.25)}
    path = save(content, tmp_path / "new.pth")
    old = tmp_path / "old.pth"
    archive = torch.PyTorchFileReader(str(path))
    data = archive.get_record("data.pkl").replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"cnumpy.core.multiarray\n" in data
    with torch.serialization._open_zipfile_writer(str(old)) as writer:
        for record in archive.get_all_records():
            values = data if record == "data.pkl" else archive.get_record(record)
            if record not in (
                ".format_version",
                ".storage_alignment",
                "byteorder",
                "version",
                ".data/serialization_id",
            ):
                writer.write_record(record, values, len(values))
    assert read_checkpoint(old)["loss_value"] == 1.25


class RunsCode:
    def __reduce__(self):
        return print, ("this must not be printed",)


def test_pickle_with_code_is_refused_and_not_run(tmp_path, capsys):
    path = save({"model": {"head.bias": torch.ones(1)}, "extra": RunsCode()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil.pth: holds Python objects that would run code on loading, expected"):
        read_state_dict(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("kept", [0, 30, 0.5, 0.99])
def test_truncated_file(make, tmp_path, name, kept):
    path = tmp_path / name
    state = make("autoencoder").state_dict()
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else kept])
    with pytest.raises(WeightsError, match=rf"{name}: cannot be read as a checkpoint \(\w+\), expected a whole file"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x02.", pickle.dumps({"a": 1}, protocol=2)])
def test_file_of_another_kind(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pt: (cannot be read as a checkpoint|found a in the place of)"):
        read_state_dict(path)


@pytest.mark.parametrize("name", ["nothing.pt", "."])
def test_no_such_file(tmp_path, name):
    with pytest.raises(WeightsError, match="there is no such file, expected a checkpoint; check the path"):
        read_checkpoint(tmp_path / name)


def test_file_that_holds_a_tensor(tmp_path):
    with pytest.raises(WeightsError, match=r"tensor\.pt: holds a Tensor, expected a mapping of names to tensors"):
        read_checkpoint(save(torch.ones(2), tmp_path / "tensor.pt"))


@pytest.mark.parametrize(
    ("content", "found"),
    [({}, "nothing"), ({"epoch": 3, "optimizer": {}}, "epoch, optimizer"), ({"model": {"a": 1}}, "a")],
)
def test_mapping_without_weights(content, found):
    with pytest.raises(WeightsError, match=f"the given weights: found {found} in the place of tensors, expected a"):
        read_state_dict(content)


@pytest.mark.parametrize(
    ("content", "rate"),
    [
        ({"learning_rate": 3e-4, "lr": 1.0}, 3e-4),
        ({"lr": 2e-4}, 2e-4),
        ({"learning_rate": torch.tensor(0.25)}, 0.25),
        ({"learning_rate": np.float64(0.125)}, 0.125),
    ],
)
def test_learning_rate(tmp_path, content, rate):
    assert read_learning_rate(save(content, tmp_path / "last.pt")) == rate


@pytest.mark.parametrize("content", [{}, {"learning_rate": "fast"}, {"learning_rate": 0.0}, {"lr": float("nan")}])
def test_no_learning_rate(tmp_path, content):
    with pytest.raises(WeightsError, match=r"last.pt: the learning rate is .*, expected a positive number under the"):
        read_learning_rate(save(content, tmp_path / "last.pt"))
