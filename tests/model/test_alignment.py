"""The likeliest alignment of a phrase against a search through all of them."""

from itertools import groupby, product

import pytest
import torch

from aslutils.model.alignment import borders
from aslutils.model.network import BLANK

A, B = 0, 1


def one(logits: torch.Tensor, *phrase: int) -> list[int] | None:
    """The borders of one phrase in frames (T, 60)."""
    return borders(logits[None], torch.tensor([len(logits)]), torch.tensor([[*phrase, 59, 59]]), torch.tensor([len(phrase)]))[0]


def searched(logits: torch.Tensor, *phrase: int) -> list[int] | None:
    """The same by the best of all alignments: the middle between a character's last frame and the next one's first."""
    table, best = logits.log_softmax(1), None
    for alignment in product((A, B, BLANK), repeat=len(logits)):
        runs = [(label, len(list(run))) for label, run in groupby(alignment)]
        if tuple(label for label, _ in runs if label != BLANK) != phrase:
            continue
        value = float(table[range(len(logits)), list(alignment)].sum())
        if best is None or value > best[0]:
            ends, t = [], 0
            for label, length in runs:
                if label != BLANK:
                    ends.append((t, t + length))
                t += length
            best = value, [(before[1] + after[0]) // 2 for before, after in zip(ends, ends[1:])]
    return best and best[1]


@pytest.mark.parametrize("phrase", [(A,), (A, B), (A, A), (B, A, B), (A, A, B), (A, B, B, A)])
@pytest.mark.parametrize("frames", [3, 5, 7])
def test_borders_are_those_of_the_best_alignment(phrase, frames):
    for seed in range(4):
        logits = torch.full((frames, BLANK + 1), -1e4)
        logits[:, [A, B, BLANK]] = 2 * torch.randn(frames, 3, generator=torch.Generator().manual_seed(seed))
        assert one(logits, *phrase) == searched(logits, *phrase)


def test_a_batch_is_aligned_as_each_of_its_sequences_is_alone():
    logits = torch.randn(4, 30, BLANK + 1, generator=torch.Generator().manual_seed(1))
    lengths, characters = torch.tensor([30, 12, 4, 25]), torch.tensor([8, 3, 5, 1])
    phrases = torch.randint(59, (4, 8), generator=torch.Generator().manual_seed(2))
    found = borders(logits, lengths, phrases, characters)
    assert found[2] is None and found[3] == []                       # 4 frames cannot show 5 characters
    for row, border in enumerate(found):
        assert border == one(logits[row, :lengths[row]], *phrases[row, :characters[row]].tolist())
