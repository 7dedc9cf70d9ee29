"""What happens before a run: the window is checked, weights are handed over, and a user's error is printed last."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from monai_tff.bundle import check_window, hand_over
from monai_tff.bundle.start import _sentence_last
from monai_tff.errors import ConfigError, ScanError, WeightsError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

SIZE = (9, 8, 10)


def reconstructor() -> TFFReconstructor:
    return TFFReconstructor(SIZE, hidden_size=16, max_frames=6)


@pytest.mark.parametrize("window_length", [1, 6])
def test_windows_that_fit(window_length: int) -> None:
    check_window(reconstructor(), window_length)
    check_window(TFFAutoEncoder(SIZE, hidden_size=16), 50)


@pytest.mark.parametrize(("window_length", "wanted"), [(7, "1 to 6"), (0, "1 to 6"), (-1, "1 to 6")])
def test_windows_that_do_not_fit(window_length: int, wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"window_length is {window_length}, expected {wanted} \(max_frames\)"):
        check_window(reconstructor(), window_length)


def test_no_window_at_all() -> None:
    with pytest.raises(ConfigError, match="window_length is 0, expected at least 1"):
        check_window(TFFAutoEncoder(SIZE, hidden_size=16), 0)


def test_hand_over_loads_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = reconstructor()
    torch.save({"model": first.state_dict()}, tmp_path / "model.pt")
    second = TFFPredictor(SIZE, hidden_size=16, max_frames=6)
    hand_over(second, str(tmp_path / "model.pt"))
    shown = capsys.readouterr().out
    assert shown.startswith(f"initial weights: {tmp_path / 'model.pt'}\nloaded: 125 tensors (encoder 80")
    assert "\nnew: 4 tensors (transformer.class_token 2, head 2)\n" in shown
    torch.testing.assert_close(second.encoder.state_dict(), first.encoder.state_dict())


def test_without_weights_nothing_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    network = reconstructor()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    hand_over(network, None)
    assert capsys.readouterr().out == "initial weights: random\n"
    torch.testing.assert_close(dict(network.state_dict()), before)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    torch.save({"model": TFFReconstructor(SIZE, hidden_size=32).state_dict()}, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"model.pt: '.*' has the shape .*, expected "):
        hand_over(reconstructor(), str(tmp_path / "model.pt"))


def test_the_sentence_comes_after_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            raise ScanError("scan.nii.gz: is 3D, expected 4D; use a 4D scan.")
        except ScanError as cause:
            raise RuntimeError("applying transform <object>") from cause
    except RuntimeError as error:
        _sentence_last(RuntimeError, error, error.__traceback__)
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "error: scan.nii.gz: is 3D, expected 4D; use a 4D scan."


def test_other_errors_keep_their_traceback_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _sentence_last(KeyError, KeyError("a bug"), None)
    assert capsys.readouterr().err.splitlines()[-1] == "KeyError: 'a bug'"


def test_the_hook_of_a_debugger_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.bundle import ConfigParser

    def hook(*arguments: object) -> None: ...

    monkeypatch.setattr(sys, "excepthook", hook)
    parser = ConfigParser({"imports": ["$import monai_tff"], "initialize": ["$monai_tff.bundle.start()"]})
    parser.get_parsed_content("initialize")
    assert sys.excepthook is hook


def test_a_frozen_encoder_keeps_what_it_has_learned(tmp_path: Path) -> None:
    torch.save({"model": reconstructor().state_dict()}, tmp_path / "model.pt")
    network = TFFPredictor(SIZE, hidden_size=16, max_frames=6)
    hand_over(network, str(tmp_path / "model.pt"), frozen_encoder=True)
    learning = {name.partition(".")[0] for name, value in network.named_parameters() if value.requires_grad}
    assert learning == {"transformer", "head"}


@pytest.mark.parametrize("weights", [None, "model.pt"])
def test_an_encoder_that_has_learned_nothing_is_not_frozen(weights: str | None, tmp_path: Path) -> None:
    state = reconstructor().state_dict()
    torch.save(
        {"model": {name: state[name] for name in state if name.startswith("transformer.")}}, tmp_path / "model.pt"
    )
    found = "initial_weights is null" if weights is None else ".*model.pt has no encoder"
    with pytest.raises(ConfigError, match=f"frozen_encoder is true, but {found}: an encoder that has learned nothing"):
        hand_over(reconstructor(), weights and str(tmp_path / weights), frozen_encoder=True)
