from __future__ import annotations

import re

import pytest
import torch
from torch.export import Dim

from monai_tff.errors import ContractError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.blocks import ResidualBlock

SIZE = (7, 8, 9)


@pytest.mark.parametrize(
    ("make_network", "count"),
    [(TFFAutoEncoder, 7_271_359), (TFFReconstructor, 109_559_023), (TFFPredictor, 102_568_207)],
)
def test_published_number_of_parameters_on_the_hcp_grid(make_network, count):
    with torch.device("meta"):
        network = make_network((75, 93, 81))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("name", ["autoencoder", "reconstructor"])
@pytest.mark.parametrize(("batch_size", "num_frames"), [(1, 1), (2, 3), (3, 6)])
def test_reconstruction_has_one_channel(make, name, batch_size, num_frames):
    network = make(name).eval()
    with torch.no_grad():
        output = network(torch.randn(batch_size, 2, *SIZE, num_frames))
        codes = network.encode_frames(torch.randn(batch_size, 2, *SIZE, num_frames))
    assert output.shape == (batch_size, 1, *SIZE, num_frames)
    assert network.reconstruct_codes(codes).shape == output.shape


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_prediction_has_one_row_per_window(make, num_outputs):
    network = make("predictor", num_outputs=num_outputs).eval()
    image = torch.randn(2, 2, *SIZE, 4)
    with torch.no_grad():
        output = network(image)
        torch.testing.assert_close(network.predict_codes(network.encode_frames(image)), output, rtol=0, atol=0)
        _, pooled = network.encode_sequence(network.encode_frames(image))
    assert output.shape == (2, num_outputs)
    torch.testing.assert_close(output, pooled @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize(
    ("paper_head", "function"),
    [
        ("binary", lambda value: 1 / (1 + torch.exp(-value))),
        ("regression", lambda value: value.clamp(min=0.01 * value)),
    ],
)
def test_published_heads(make, paper_head, function):
    plain, paper = make("predictor").eval(), make("predictor", paper_head=paper_head).eval()
    paper.load_state_dict(plain.state_dict())
    image = torch.randn(3, 2, *SIZE, 2)
    with torch.no_grad():
        value = plain(image)
        torch.testing.assert_close(paper(image), function(value))
        paper.head.bias -= 10
        torch.testing.assert_close(paper(image), function(value - 10), rtol=1e-4, atol=1e-6)


def test_reconstructor_decodes_the_tokens_of_the_frames(make):
    network = make("reconstructor").eval()
    codes = torch.randn(2, 4, 12)
    with torch.no_grad():
        tokens, _ = network.encode_sequence(codes)
        torch.testing.assert_close(network.reconstruct_codes(codes), network.decode_frames(tokens), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "dropout"), [("autoencoder", 0.2), ("reconstructor", 0.2), ("predictor", 0.35)])
def test_published_dropout_is_the_default(make, name, dropout):
    modules = dict(make(name).named_modules())
    found = {module.dropout for module in modules.values() if isinstance(module, ResidualBlock)}
    assert found == {dropout}


def test_every_parameter_that_can_learn_gets_a_gradient(network):
    network.train()
    network(torch.randn(2, 2, *SIZE, 3)).square().mean().backward()
    without = {name for name, value in network.named_parameters() if value.requires_grad and value.grad is None}
    assert without == set()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_traced_network_gives_the_same_at_other_sizes(network):
    image = torch.randn(3, 2, *SIZE, 6)
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.randn(2, 2, *SIZE, 4))
        torch.testing.assert_close(traced(image), network(image), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["reconstructor", "predictor"])
def test_exported_network_gives_the_same_at_other_sizes(make, name):
    network = make(name).eval()
    sizes = {0: Dim("B", min=1, max=8), 5: Dim("T", min=1, max=6)}
    exported = torch.export.export(network, (torch.randn(2, 2, *SIZE, 4),), dynamic_shapes=(sizes,)).module()
    for batch_size, num_frames in ((1, 1), (3, 6)):
        image = torch.randn(batch_size, 2, *SIZE, num_frames)
        with torch.no_grad():
            torch.testing.assert_close(exported(image), network(image), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("size", [(7, 8), (7, 8, 0), (7, 8, 9, 10), (7.5, 8, 9)])
def test_wrong_spatial_size(size):
    with pytest.raises(ContractError, match=re.escape("] came, expected three sizes of at least 1 voxel")):
        TFFAutoEncoder(size, hidden_size=12)


def test_grid_whose_bottleneck_is_one_voxel_cannot_be_reconstructed():
    with pytest.raises(ContractError, match=re.escape("[8, 8, 8] leaves one voxel at the bottleneck")):
        TFFReconstructor((8, 8, 8), hidden_size=32)
    predictor = TFFPredictor((8, 8, 8), hidden_size=32, feedforward_size=8)
    assert predictor(torch.randn(2, 2, 8, 8, 8, 3)).shape == (2, 1)


@pytest.mark.parametrize("options", [{"paper_head": "sex"}, {"paper_head": "binary", "num_outputs": 3}])
def test_wrong_paper_head(options):
    with pytest.raises(ContractError, match=r"paper_head: '.*' with . outputs came, expected binary or regression"):
        TFFPredictor(SIZE, hidden_size=32, **options)
