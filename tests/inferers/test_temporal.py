from __future__ import annotations

import pytest
import torch

from monai_tff.data import CompactScan
from monai_tff.errors import ScanError
from monai_tff.inferers import TemporalInferer
from monai_tff.inferers.temporal import frame_order
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

SIZE = (7, 8, 9)


@pytest.fixture
def scan() -> CompactScan:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(SIZE, generator=generator) > 0.3
    return CompactScan.from_frames(torch.randint(1, 4000, (13, *SIZE), generator=generator), mask)


def _network(kind, **options):
    torch.manual_seed(2)
    return kind(SIZE, hidden_size=32, **options).eval()


@pytest.mark.parametrize("frames_per_batch", [1, 4, 50])
@pytest.mark.parametrize(("stride", "starts"), [(None, [0, 5, 8]), (3, [0, 3, 6, 8])])
def test_windows_of_shared_codes_equal_windows_on_their_own(scan, stride, starts, frames_per_batch):
    network = _network(TFFPredictor, num_outputs=3)
    inferer = TemporalInferer(window_length=5, stride=stride, frames_per_batch=frames_per_batch)
    with torch.no_grad():
        outputs = inferer(scan, network)
        alone = torch.cat([network(scan.window(start, 5).unpack()[None]) for start in starts])
    assert inferer.starts(13) == starts
    torch.testing.assert_close(outputs, alone, rtol=1e-5, atol=1e-6)


def test_each_frame_is_encoded_once(scan, monkeypatch):
    network = _network(TFFPredictor)
    encoded = []
    original = network.encode_frames
    monkeypatch.setattr(network, "encode_frames", lambda image: encoded.append(image.shape[-1]) or original(image))
    with torch.no_grad():
        TemporalInferer(window_length=5, stride=1, frames_per_batch=4)(scan, network)
    assert encoded == [4, 4, 4, 1]


@pytest.mark.parametrize("kind", [TFFAutoEncoder, TFFReconstructor])
def test_overlapping_reconstructions_are_averaged(scan, kind):
    network = _network(kind)
    with torch.no_grad():
        result = TemporalInferer(window_length=5)(scan, network)
        windows = {start: network(scan.window(start, 5).unpack()[None]) for start in (0, 5, 8)}
    assert result.shape == (1, 1, *SIZE, 13)
    torch.testing.assert_close(result[..., :5], windows[0], rtol=1e-5, atol=1e-5)
    both = (windows[5][..., 3:] + windows[8][..., :2]) / 2
    torch.testing.assert_close(result[..., 8:10], both, rtol=1e-5, atol=1e-5)


def test_a_plain_tensor_gives_the_same_as_a_compact_scan(scan):
    network = _network(TFFPredictor)
    frames = _frames_of(scan)
    with torch.no_grad():
        expected = TemporalInferer(window_length=5)(scan, network)
        found = TemporalInferer(window_length=5)(frames[None], network)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _frames_of(scan: CompactScan) -> torch.Tensor:
    image = scan.unpack()[0].movedim(-1, 0)
    return torch.where(scan.mask, image * scan.global_std + scan.global_mean, 0).round()


def test_wrappers_are_taken_off(scan):
    network = _network(TFFPredictor)
    with torch.no_grad():
        expected = TemporalInferer(window_length=5)(scan, network)
        wrapped = TemporalInferer(window_length=5)(scan, torch.nn.DataParallel(torch.compile(network, backend="eager")))
    assert torch.equal(expected, wrapped)


def test_a_short_scan_is_refused(scan):
    with pytest.raises(ScanError, match="13"):
        TemporalInferer(window_length=14)(scan, _network(TFFPredictor))


def test_a_tensor_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected one scan of shape \[1, T, H, W, D\], found \(2, 5, 7, 8, 9\)"):
        TemporalInferer(window_length=5)(torch.ones(2, 5, *SIZE), _network(TFFPredictor))


@pytest.mark.parametrize("kind", [TFFPredictor, TFFReconstructor])
def test_codes_give_the_same_as_the_scan_that_they_are_of(scan, kind):
    network = _network(kind)
    inferer = TemporalInferer(window_length=5, stride=3)
    with torch.no_grad():
        codes = network.encode_frames(scan.unpack()[None])
        torch.testing.assert_close(inferer(codes, network), inferer(scan, network), rtol=1e-5, atol=1e-5)


def test_codes_of_too_few_frames():
    with pytest.raises(ScanError, match="the scan has 4 frames, expected at least 5"):
        TemporalInferer(window_length=5)(torch.zeros(1, 4, 32), _network(TFFPredictor))


def test_the_order_of_frames_follows_from_seed_length_and_name():
    order = frame_order(7, 13, "here/sub-1_bold.nii.gz")
    assert sorted(order.tolist()) == [*range(13)]
    assert order.tolist() == [11, 2, 1, 5, 10, 9, 7, 0, 4, 12, 8, 3, 6]
    assert frame_order(7, 13, "/elsewhere/sub-1_bold.nii.gz").tolist() == order.tolist()
    others = [frame_order(8, 13, "sub-1_bold.nii.gz"), frame_order(7, 13, "sub-2_bold.nii.gz"), frame_order(7, 13)]
    assert len({tuple(other.tolist()) for other in [order, *others]}) == 4
    state = torch.get_rng_state()
    frame_order(7, 13)
    assert torch.equal(torch.get_rng_state(), state)


def test_shuffled_frames_are_the_windows_of_shuffled_codes(scan):
    network = _network(TFFPredictor)
    order = frame_order(7, 13, scan.source)
    with torch.no_grad():
        codes = network.encode_frames(scan.unpack()[None])
        expected = torch.cat([network.predict_codes(codes[:, order[start : start + 5]]) for start in (0, 5, 8)])
        found = TemporalInferer(window_length=5, frame_order_seed=7)(scan, network)
        plain = TemporalInferer(window_length=5)(scan, network)
        again = TemporalInferer(window_length=5, frame_order_seed=7)(scan, network)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(found, again)
    assert (found - plain).abs().max() > 1e-5


class _MeanOverTime(torch.nn.Module):
    """Says of a window the mean of its codes, or of its first frame's alone."""

    def __init__(self, first_alone: bool) -> None:
        super().__init__()
        self.first_alone = first_alone
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def predict_codes(self, codes: torch.Tensor) -> torch.Tensor:
        return (codes[:, 0] if self.first_alone else codes.mean(dim=1)).mean(dim=1, keepdim=True)


def test_a_network_that_does_not_look_at_the_order_scores_shuffled_frames_alike():
    """One window over the whole scan: only the order in it changes."""
    codes = torch.arange(13.0).reshape(1, 13, 1).expand(1, 13, 4)
    shuffled, plain = TemporalInferer(window_length=13, frame_order_seed=7), TemporalInferer(window_length=13)
    with torch.no_grad():
        for inferer in (shuffled, plain):
            assert inferer(codes, _MeanOverTime(first_alone=False)).tolist() == [[6.0]]
        assert plain(codes, _MeanOverTime(first_alone=True)).tolist() == [[0.0]]
        first = frame_order(7, 13)[0].item()
        assert first != 0
        assert shuffled(codes, _MeanOverTime(first_alone=True)).tolist() == [[float(first)]]
