from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.errors import WeightsError
from monai_tff.networks import HandoverReport, TFFAutoEncoder, TFFReconstructor, load_finished, load_pretrained
from monai_tff.networks.original import original_name
from monai_tff.networks.weights import fitted_positions, part_of

SIZE = (7, 8, 9)


def parts(names) -> set[str]:
    return {part_of(name) for name in names}


def scrambled(network):
    """The state of a network in which every number is another one, so that loading shows."""
    return {name: torch.randn_like(value) for name, value in network.state_dict().items()}


HANDOVERS = [
    (
        "autoencoder",
        "reconstructor",
        {"encoder", "bottleneck_in", "bottleneck_out", "decoder"},
        {"transformer.bert", "transformer.class_token"},
        set(),
    ),
    (
        "reconstructor",
        "predictor",
        {"encoder", "bottleneck_in", "transformer.bert"},
        {"transformer.class_token", "head"},
        {"transformer.class_token", "bottleneck_out", "decoder"},
    ),
    (
        "autoencoder",
        "predictor",
        {"encoder", "bottleneck_in"},
        {"transformer.bert", "transformer.class_token", "head"},
        {"bottleneck_out", "decoder"},
    ),
    (
        "predictor",
        "predictor",
        {"encoder", "bottleneck_in", "transformer.bert"},
        {"transformer.class_token", "head"},
        {"transformer.class_token", "head"},
    ),
]


@pytest.mark.parametrize(("earlier", "later", "loaded", "new", "left_out"), HANDOVERS)
@pytest.mark.parametrize("names_of_tff", [False, True])
def test_what_each_phase_takes(make, earlier, later, loaded, new, left_out, names_of_tff):
    state = scrambled(make(earlier))
    network = make(later)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    source = {"model_state_dict": {original_name(name): value for name, value in state.items()}}
    report = load_pretrained(network, source if names_of_tff else state)
    assert (parts(report.loaded), parts(report.new), parts(report.left_out)) == (loaded, new, left_out)
    after = network.state_dict()
    assert {*report.loaded, *report.new} == set(after)
    assert {*report.loaded, *report.left_out} == set(state)
    assert all(torch.equal(after[name], state[name]) for name in report.loaded)
    assert all(torch.equal(after[name], before[name]) for name in report.new)


def test_the_pooler_is_handed_over(make):
    report = load_pretrained(make("predictor"), make("reconstructor").state_dict())
    assert "transformer.bert.pooler.dense.weight" in report.loaded


def test_the_class_token_is_handed_over_on_request_only(make):
    report = load_pretrained(make("predictor"), make("reconstructor").state_dict(), load_class_token=True)
    assert parts(report.new) == {"head"}
    assert "transformer.class_token.weight" in report.loaded


def test_a_code_normalisation_may_be_new_or_handed_over(make):
    report = load_pretrained(make("predictor", code_normalisation=True), make("autoencoder").state_dict())
    assert "code_norm" in parts(report.new)
    state = make("autoencoder", code_normalisation=True).state_dict()
    report = load_pretrained(make("predictor", code_normalisation=True), state)
    assert "code_norm" in parts(report.loaded)


def test_what_can_learn_stays_what_it_was(make):
    predictor = make("predictor")
    load_pretrained(predictor, make("reconstructor").state_dict())
    assert all(parameter.requires_grad for parameter in predictor.transformer.bert.pooler.parameters())


def test_report_reads_as_counts_per_part():
    report = HandoverReport(("encoder.stem.weight", "encoder.stem.bias", "transformer.bert.x"), ("head.bias",), ())
    assert str(report) == (
        "loaded: 3 tensors (encoder 2, transformer.bert 1)\nnew: 1 tensors (head 1)\nleft out: nothing"
    )


@pytest.mark.parametrize("load", [load_pretrained, load_finished])
def test_a_finished_network_comes_back_whole(network, make, load):
    state = scrambled(network)
    if load is load_finished:
        report = load(network, {"model": state})
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        assert (set(report.loaded), report.new, report.left_out) == (set(state), (), ())
    else:
        report = load(network, {"model": state}, load_class_token=True)
        assert parts(report.new) <= {"head"}


def test_nothing_to_load(make):
    message = r"the given weights: nothing to load, it holds 1 tensors \(head 1\) and the network takes bottleneck_in, "
    with pytest.raises(WeightsError, match=message + "encoder, transformer.bert; use a checkpoint of an earlier phase"):
        load_pretrained(make("predictor"), {"head.bias": torch.ones(1)})


@pytest.mark.parametrize("load", [load_pretrained, load_finished])
def test_weights_of_another_shape(make, load):
    state = TFFAutoEncoder(SIZE, hidden_size=16).state_dict()
    message = "'bottleneck_in.linear.weight' has the shape [16, 4], expected [12, 4]; it belongs to a network of"
    with pytest.raises(WeightsError, match=re.escape(message)):
        load(make("autoencoder"), state)


@pytest.mark.parametrize("load", [load_pretrained, load_finished])
def test_part_that_is_there_in_part(make, load):
    state = make("autoencoder").state_dict()
    del state["encoder.stages.1.down.bias"]
    with pytest.raises(WeightsError, match=r"'encoder\.stages\.1\.down\.bias' is missing, expected all of encoder"):
        load(make("autoencoder"), state)


@pytest.mark.parametrize("load", [load_pretrained, load_finished])
def test_weights_with_a_linear_layer_for_a_network_that_has_none(load):
    state = TFFAutoEncoder(SIZE, hidden_size=12).state_dict()
    with pytest.raises(WeightsError, match=r"found 'bottleneck_in.linear.weight', which the network's bottleneck_in"):
        load(TFFAutoEncoder(SIZE, hidden_size=4), state)


def test_finished_network_with_another_head(make):
    state = make("predictor").state_dict()
    with pytest.raises(WeightsError, match=re.escape("'head.weight' has the shape [1, 12], expected [3, 12]")):
        load_finished(make("predictor", num_outputs=3), state)
    with pytest.raises(
        WeightsError, match=r"'decoder.stages.0.conv.weight' is missing|'bottleneck_out.linear.weight' is"
    ):
        load_finished(make("reconstructor"), state)


def test_weights_that_are_not_finite_leave_the_network_as_it_was(make):
    network = make("autoencoder")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = scrambled(network)
    state["decoder.output.bias"][0] = float("nan")
    with pytest.raises(
        WeightsError, match=r"'decoder\.output\.bias' holds NaN or infinite values, expected finite ones"
    ):
        load_pretrained(network, state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


POSITIONS = "transformer.bert.embeddings.position_embeddings.weight"


@pytest.mark.parametrize(
    ("max_frames", "rows"),
    [(3, [0, 1, 2, 3]), (6, [0, 1, 2, 3, 4, 5, 6]), (9, [0, 1, 2, 3, 4, 5, 6, 1, 2, 3]), (1, [0, 1])],
)
def test_positions_of_longer_and_shorter_windows(make, max_frames, rows):
    state = scrambled(make("reconstructor"))  # windows of up to 6 frames
    network = TFFReconstructor(SIZE, hidden_size=12, num_heads=3, feedforward_size=20, max_frames=max_frames)
    report = load_pretrained(network, state)
    assert torch.equal(network.state_dict()[POSITIONS], state[POSITIONS][rows])
    assert report.positions == (None if max_frames == 6 else (6, max_frames))
    assert POSITIONS in report.loaded
    network.eval()(torch.zeros(1, 2, *SIZE, max_frames))


@given(found=st.integers(1, 12), wanted=st.integers(1, 40))
def test_positions_are_repeated_in_turn(found, wanted):
    table = torch.arange(2.0 * (1 + found)).reshape(1 + found, 2)
    fitted = fitted_positions(table, wanted)
    assert torch.equal(fitted[0], table[0])
    assert len(fitted) == 1 + wanted
    for frame in range(wanted):
        assert torch.equal(fitted[1 + frame], table[1 + frame % found])


@pytest.mark.parametrize(
    ("positions", "line"),
    [
        ((29, 256), "\npositions: those of 29 frames, repeated in turn for 256 frames"),
        ((29, 12), "\npositions: those of 29 frames, of which the first 12 are kept"),
        (None, ""),
    ],
)
def test_the_report_says_what_became_of_the_positions(positions, line):
    assert str(HandoverReport((), (), (), positions)).endswith("left out: nothing" + line)


def test_a_finished_network_has_its_own_positions(make):
    network = TFFReconstructor(SIZE, hidden_size=12, num_heads=3, feedforward_size=20, max_frames=9)
    with pytest.raises(WeightsError, match=re.escape(f"'{POSITIONS}' has the shape [7, 12], expected [10, 12]")):
        load_finished(network, make("reconstructor").state_dict())
