"""The training loss: labels, decoder inputs, and what counts."""

import math

import golden_toy
import numpy as np
import pytest
import torch
from configs import loss_config
from hypothesis import given, settings
from hypothesis import strategies as st

from aslutils.model.loss import compute_loss, decoder_inputs, label_lengths, reverse
from aslutils.task import text
from aslutils.task.text import CHARACTERS, EOS, MASK, PAD, SOS

PHRASES = st.text(st.sampled_from(CHARACTERS), min_size=0, max_size=40)
PLAIN = loss_config(mask_probability=0)


def labels(*phrases):
    return torch.from_numpy(np.stack([text.encode(phrase) for phrase in phrases]))


def batch(*phrases, frames=6):
    generator = torch.Generator().manual_seed(2)
    return {"frames": torch.randn(len(phrases), frames, 130, 3, generator=generator),
            "lengths": torch.full((len(phrases),), frames), "tokens": labels(*phrases),
            "score": torch.linspace(0.2, 0.9, len(phrases))}


class Answers(torch.nn.Module):
    """A network that answers with given logits."""

    def __init__(self, **outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, frames, lengths, tokens, backward_tokens):
        return self.outputs


@given(st.lists(PHRASES, min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_backward_labels_are_the_phrase_reversed_then_end_then_spaces(phrases):
    for row, phrase in zip(reverse(labels(*phrases)).tolist(), phrases):
        characters = [text.INDEX[character] for character in reversed(phrase[:32])]
        assert row == characters + [EOS] + [0] * (32 - len(characters))


def test_label_lengths_count_the_end():
    assert label_lengths(labels("", "ab", "x" * 40)).tolist() == [1, 3, 33]


def test_decoder_inputs_are_the_labels_one_step_later():
    tokens = labels("abc")
    assert decoder_inputs(tokens, 0)[0].tolist() == [SOS] + tokens[0, :-1].tolist()


def test_masked_decoder_inputs_hide_their_share_and_never_the_start():
    torch.manual_seed(1)
    tokens = labels("abc").expand(3000, -1)
    inputs = decoder_inputs(tokens, 0.2)
    assert (inputs[:, 0] == SOS).all()
    hidden = inputs == MASK
    assert hidden[:, 1:].float().mean(0) == pytest.approx(torch.full((32,), 0.2), abs=0.03)   # EOS and PAD too
    assert torch.equal(inputs[~hidden], decoder_inputs(tokens, 0)[~hidden])


def test_replaced_decoder_inputs_are_any_character_and_masked_ones_stay_as_many():
    torch.manual_seed(1)
    tokens = labels("abc").expand(3000, -1)
    inputs, plain = decoder_inputs(tokens, 0.2, 0.3), decoder_inputs(tokens, 0)
    other = (inputs != plain) & (inputs != MASK)
    assert (inputs[:, 0] == SOS).all() and (inputs[:, 1:] == MASK).float().mean() == pytest.approx(0.2, abs=0.01)
    assert other[:, 1:].float().mean() == pytest.approx(0.3, abs=0.02)
    assert inputs[other].unique().tolist() == list(range(59))


def test_more_hidden_decoder_inputs_than_there_are_is_refused():
    with pytest.raises(ValueError, match="mask_probability 0.6 and replace_probability 0.5 .*at most 1"):
        loss_config(mask_probability=0.6, replace_probability=0.5)


def test_both_decoders_inputs_are_masked_separately():
    seen = {}

    class Watching(Answers):
        def forward(self, frames, lengths, tokens, backward_tokens):
            seen.update(forward=tokens == MASK, backward=backward_tokens == MASK)
            return self.outputs

    compute_loss(Watching(forward=torch.zeros(2, 33, 63)), batch("abc", "cab"), loss_config(mask_probability=0.5))
    assert not torch.equal(seen["forward"], seen["backward"])


def by_hand(logits, targets, counted):
    """Mean cross entropy by loops over (sequence, step) pairs."""
    exponents = np.exp(logits.double().numpy())
    losses = [-math.log(exponents[b, s, targets[b, s]] / exponents[b, s].sum()) for b, s in counted]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("ignore_pad", [False, True])
def test_the_loss_is_its_formula_by_loops(ignore_pad):
    data = batch("ab", "hello")
    lengths, generator = [3, 6], torch.Generator().manual_seed(4)
    outputs = {name: torch.randn(2, 33, 63, generator=generator) for name in ("forward", "backward")}
    outputs["confidence"] = torch.tensor([0.7, -1.2])
    own, every, up_to_longest = ([(b, s) for b in range(2) for s in range(steps[b])] for steps in (lengths, [33, 33], [6, 6]))
    forward = by_hand(outputs["forward"], data["tokens"], own if ignore_pad else every)
    backward = by_hand(outputs["backward"], reverse(data["tokens"]), own if ignore_pad else up_to_longest)
    chance = 1 / (1 + np.exp(-outputs["confidence"].numpy()))
    score = data["score"].numpy()
    confidence = -(score * np.log(chance) + (1 - score) * np.log(1 - chance)).mean()

    found = compute_loss(Answers(**outputs), data, loss_config(mask_probability=0, ignore_pad=ignore_pad))
    assert found["forward"].item() == pytest.approx(forward, rel=1e-5)
    assert found["backward"].item() == pytest.approx(backward, rel=1e-5)
    assert found["confidence"].item() == pytest.approx(confidence, rel=1e-5)
    assert found["loss"].item() == pytest.approx(0.98 * (0.6 * forward + 0.4 * backward) + 0.02 * confidence, rel=1e-5)


def test_round_ones_loss_is_its_only_decoders():
    found = compute_loss(golden_toy.network(1), batch("ab", "c"), PLAIN)
    assert set(found) == {"loss", "forward"}
    assert found["loss"] is found["forward"]


def test_ignored_pad_gives_no_gradient():
    logits = torch.randn(1, 33, 63, requires_grad=True)
    compute_loss(Answers(forward=logits), batch("ab"), loss_config(mask_probability=0, ignore_pad=True))["loss"].backward()
    assert logits.grad[0, :3].any(dim=-1).all()
    assert not logits.grad[0, 3:].any()


def test_ctc_loss_is_torchs_a_character_and_impossible_alignments_count_nothing():
    """The second phrase's 8 characters and 4 repeats do not fit into 6 frames."""
    data, config = batch("ab", "aabbccdd"), loss_config(mask_probability=0, ctc_weight=0.5)
    logits = torch.randn(2, 6, 60, generator=torch.Generator().manual_seed(1))
    found = compute_loss(Answers(forward=torch.zeros(2, 33, 63), ctc=logits), data, config)
    alone = torch.nn.functional.ctc_loss(logits[:1].log_softmax(-1).transpose(0, 1), data["tokens"][:1, :2],
                                         torch.tensor([6]), torch.tensor([2]), blank=59, reduction="sum")
    assert found["ctc"].item() == pytest.approx(alone.item() / 2 / 2, rel=1e-5)
    assert found["loss"].item() == pytest.approx(math.log(63) + 0.5 * found["ctc"].item(), rel=1e-5)


def test_the_loss_of_single_frames_counts_those_whose_character_is_known():
    data, config = batch("ab", "c"), loss_config(mask_probability=0, shown_weight=0.5)
    data["shown"] = torch.tensor([[4, 59, -1], [7, -1, -1]])
    logits = torch.randn(2, 3, 60, generator=torch.Generator().manual_seed(1), requires_grad=True)
    found = compute_loss(Answers(forward=torch.zeros(2, 33, 63), shown=logits), data, config)
    assert found["shown"].item() == pytest.approx(by_hand(logits.detach(), data["shown"], [(0, 0), (0, 1), (1, 0)]), rel=1e-5)
    assert found["loss"].item() == pytest.approx(math.log(63) + 0.5 * found["shown"].item(), rel=1e-5)
    found["loss"].backward()
    assert logits.grad.any(dim=-1).tolist() == [[True, True, False], [True, False, False]]


@pytest.mark.parametrize("field, value", [
    ("mask_probability", 1.2), ("backward_weight", -0.1), ("confidence_weight", 2), ("ctc_weight", -1), ("shown_weight", -1)])
def test_an_impossible_share_is_an_error_that_names_it(field, value):
    with pytest.raises(ValueError, match=field):
        loss_config(**{field: value})


def test_pad_is_a_target_as_published():
    logits = torch.zeros(1, 33, 63)
    logits[0, :, PAD] = 9
    assert compute_loss(Answers(forward=logits), batch("a"), PLAIN)["loss"] < compute_loss(
        Answers(forward=logits), batch("a"), loss_config(mask_probability=0, ignore_pad=True))["loss"]
