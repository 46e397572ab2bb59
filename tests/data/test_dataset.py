import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from augmentation_list import EVERY
from small_corpus import corpus_rows, write_npy

from aslutils.data.augment import build
from aslutils.data.dataset import TrainLoader, evaluation_batches
from aslutils.data.prepare import prepare
from aslutils.data.store import Store
from aslutils.data.transforms import TimeAugmentation
from aslutils.task.landmarks import HANDS
from aslutils.task.preprocess import resample, standardise
from aslutils.task.text import CHARACTERS, EOS, NOTHING, decode, encode


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """70 training sequences of 5 people and 30 supplemental ones with 6 phrases, 1 to 420 frames; one person has a single one."""
    folder = tmp_path_factory.mktemp("loader")
    rows = corpus_rows(files=7, sequences=10, supplemental=3, participants=5)
    rows["length"] = np.random.default_rng(0).gamma(3, 20, len(rows)).astype(int) + 1
    rows.loc[:2, "length"] = [1, 2, 420]
    rows.loc[3, "participant_id"] = 77
    symbols, rng = list(CHARACTERS + NOTHING), np.random.default_rng(1)
    rows["shown"] = ["".join(rng.choice(symbols, length)) if number % 5 else "" for number, length in enumerate(rows["length"])]
    write_npy(folder / "data", rows)
    return prepare(folder / "data", folder / "store")


@pytest.fixture(scope="module")
def scores(store):
    return np.linspace(0, 1, len(store))


def loader(store, scores, augmentations=EVERY, rows=None, **options) -> TrainLoader:
    rows = np.arange(len(store)) if rows is None else rows
    return TrainLoader(store, rows, scores[rows], build(augmentations), **{"batch_size": 8, "seed": 5, **options})


def shown_in(store, row) -> np.ndarray:
    """What each stored frame shows, as tokens; -1 where that is not known."""
    known = [(CHARACTERS + NOTHING).index(symbol) for symbol in store.shown[row]]
    return np.array(known or [-1] * int(store.lengths[row]))


def assert_same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others)
    for batch, other in zip(batches, others):
        assert batch.keys() == other.keys()
        for key in batch:
            assert torch.equal(batch[key], other[key]), key


def test_a_batch_has_the_promised_shapes_and_types(store, scores):
    for batch in loader(store, scores).epoch(0):
        size, longest = batch["frames"].shape[:2]
        assert batch["frames"].dtype == torch.float32 and batch["frames"].is_contiguous()
        assert batch["frames"].shape[2:] == (130, 3)
        assert batch["lengths"].dtype == torch.int64 and batch["lengths"].max() == longest <= 384
        assert batch["tokens"].dtype == torch.int64 and batch["tokens"].shape == (size, 33)
        assert ((batch["tokens"] == EOS).sum(1) == 1).all()
        assert batch["score"].dtype == torch.float32 and ((0 <= batch["score"]) & (batch["score"] <= 1)).all()
        assert batch["row"].dtype == torch.int64 and torch.isfinite(batch["frames"]).all()
        assert batch["shown"].dtype == torch.int64 and batch["shown"].shape == (size, longest)
        assert -1 == batch["shown"].min() < batch["shown"].max() <= 59
        for frames, length in zip(batch["frames"], batch["lengths"]):
            assert 1 <= length and not frames[length:].any()


def test_without_augmentation_a_sample_is_the_stored_sequence(store, scores):
    for batch in loader(store, scores, []).epoch(0):
        for frames, length, tokens, score, row in zip(*(batch[key] for key in ("frames", "lengths", "tokens", "score", "row"))):
            expected = store.frames(int(row))
            expected = resample(expected, 384) if len(expected) > 384 else expected
            np.testing.assert_array_equal(frames[:length].numpy(), expected)
            assert decode(tokens) == store.table["phrase"][int(row)] and score == pytest.approx(scores[int(row)])


def test_an_augmented_sample_is_what_its_plan_done_step_by_step_gives(store, scores):
    source = loader(store, scores)
    augmentations = build(EVERY)
    seen = set()
    for plans, batch in zip(source.plans(1), source.epoch(1)):
        for place, plan in enumerate(plans):
            frames, phrase, score = store.frames(plan.row), store.table["phrase"][plan.row], scores[plan.row]
            shown = shown_in(store, plan.row)
            if plan.mirrored:
                frames = augmentations.mirror.apply(frames)
            if plan.partner >= 0:
                frames = augmentations.cutmix.apply(frames, store.frames(plan.partner), *plan.cut)
                shown = augmentations.cutmix.apply(shown, shown_in(store, plan.partner), *plan.cut)
                phrase = augmentations.cutmix.join(phrase, store.table["phrase"][plan.partner], *plan.cut)
                score = augmentations.cutmix.mix(score, scores[plan.partner], *plan.cut)
            for number, drawn in plan.drawn:
                frames = augmentations.rest[number].apply(frames, *drawn)
                if isinstance(augmentations.rest[number], TimeAugmentation):
                    shown = augmentations.rest[number].apply(shown + 1, *drawn) - 1              # where zeros come in: -1
            seen.add((plan.mirrored, plan.partner >= 0, len(frames) > 384))
            frames, shown = (resample(each, 384) if len(each) > 384 else each for each in (frames, shown))
            hidden = ~frames[:, HANDS].any(axis=(1, 2))
            np.testing.assert_array_equal(batch["shown"][place, :plan.length], np.where(hidden, -1, shown))
            assert (batch["shown"][place, plan.length:] == -1).all()
            np.testing.assert_array_equal(batch["frames"][place, :plan.length].numpy(), frames)
            assert batch["tokens"][place].tolist() == encode(phrase).tolist()
            assert float(batch["score"][place]) == pytest.approx(score)
    assert len(seen) >= 5


def test_every_epoch_takes_each_training_row_and_each_supplemental_phrase_once(store, scores):
    source = loader(store, scores)
    is_sup = store.table["is_sup"].to_numpy()
    orders = []
    for epoch in range(4):
        rows = np.concatenate([batch["row"] for batch in source.epoch(epoch)])
        orders.append(rows.tolist())
        assert sorted(rows[~is_sup[rows]]) == np.flatnonzero(~is_sup).tolist()
        assert sorted(store.table["phrase"][rows[is_sup[rows]]]) == sorted(store.table["phrase"][is_sup].unique())
    chosen = {tuple(sorted(row for row in order if is_sup[row])) for order in orders}
    assert len(chosen) == 4 and len({tuple(order) for order in orders}) == 4  # other sequences, another order each epoch


def test_batches_of_an_epoch_are_about_equally_many_and_large(store, scores):
    source = loader(store, scores, batch_size=9)
    sizes = [len(batch["row"]) for batch in source.epoch(0)]
    assert len(sizes) == len(source) == -(-source.samples // 9)
    assert max(sizes) <= 9 and max(sizes) - min(sizes) <= 1 and sum(sizes) == source.samples == 76


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_samples_are_the_same_for_any_number_of_workers(store, scores):
    alone = list(loader(store, scores).epoch(3))
    for workers in (1, 4):
        assert_same(alone, loader(store, scores, workers=workers).epoch(3))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("start", [0, 1, 5, 9, 10])
def test_a_resumed_epoch_goes_on_with_the_same_batches(store, scores, start, workers):
    whole = list(loader(store, scores).epoch(2))
    assert_same(whole[start:], loader(store, scores, workers=workers).epoch(2, start_batch=start))


def test_resuming_works_across_pools_of_batches(store, scores, monkeypatch):
    monkeypatch.setattr("aslutils.data.dataset.POOL", 3)
    whole = list(loader(store, scores).epoch(2))
    for start in range(len(whole) + 1):
        assert_same(whole[start:], loader(store, scores).epoch(2, start_batch=start))


def test_another_seed_epoch_or_run_order_decides_and_nothing_else(store, scores):
    first = list(loader(store, scores).epoch(0))
    torch.manual_seed(123)
    np.random.seed(7)
    source = loader(store, scores)
    list(source.epoch(4))
    state = torch.get_rng_state()
    assert_same(first, source.epoch(0))
    assert torch.equal(state, torch.get_rng_state())                         # dropout's numbers are not touched
    for other in (loader(store, scores).epoch(1), loader(store, scores, seed=6).epoch(0)):
        assert not torch.equal(torch.cat([batch["lengths"] for batch in first]), torch.cat([b["lengths"] for b in other]))


def test_ranks_share_every_batch_without_overlap(store, scores):
    whole = loader(store, scores, batch_size=10)
    ranks = [loader(store, scores, batch_size=10, rank=rank, world=3) for rank in range(3)]
    assert {len(rank) for rank in ranks} == {len(whole)}
    for batch, *parts in zip(whole.epoch(1), *(rank.epoch(1) for rank in ranks)):
        for rank, part in enumerate(parts):
            assert part["row"].tolist() == batch["row"].tolist()[rank::3]
            assert torch.equal(part["frames"], batch["frames"][rank::3, :part["frames"].shape[1]])
            assert part["frames"].shape[1] == part["lengths"].max()


def test_cutmix_joins_only_the_given_rows_of_the_same_participant(store, scores):
    rows = np.arange(0, len(store), 2)
    people = store.table["participant_id"].to_numpy()
    source = loader(store, scores, [{"name": "CutMix", "p": 1.0}], rows=rows)
    partners, singles = set(), 0
    for epoch in range(20):
        for plan in (plan for plans in source.plans(epoch) for plan in plans):
            if plan.partner < 0:
                assert (people[rows] == people[plan.row]).sum() == 1
                singles += 1
                continue
            assert plan.partner in rows and plan.partner != plan.row and people[plan.partner] == people[plan.row]
            partners.add((plan.row, plan.partner))
    one = rows[people[rows] == 0]
    assert {pair for pair in partners if pair[0] == one[0]} == {(one[0], other) for other in one[1:]}   # every one in turn
    assert any(store.table["is_sup"][partner] for _, partner in partners)
    lonely = loader(store, scores, [{"name": "CutMix", "p": 1.0}], rows=np.array([3]))
    assert [plan.partner for plans in lonely.plans(0) for plan in plans] == [-1]


@pytest.mark.slow
def test_mirror_and_cutmix_act_on_half_of_the_samples_each_independently(store, scores):
    rows = np.delete(np.arange(len(store)), 3)                               # row 3 has no partner
    source = loader(store, scores, rows=rows)
    plans = [plan for epoch in range(50) for batch in source.plans(epoch) for plan in batch]
    acted = np.array([(plan.mirrored, plan.partner >= 0) for plan in plans])
    observed = np.bincount(acted @ [1, 2], minlength=4)
    expected = len(acted) / 4
    assert len(acted) > 3000 and ((observed - expected) ** 2 / expected).sum() < 16.27   # chi-square, one in a thousand


def test_a_planned_length_is_the_length_that_comes_out(store, scores):
    source = loader(store, scores)
    for plans, batch in zip(source.plans(0), source.epoch(0)):
        assert [plan.length for plan in plans] == batch["lengths"].tolist()


@pytest.mark.slow
def test_padding_stays_under_ten_percent_of_the_augmented_frames_at_the_lengths_of_the_corpus():
    shares, lengths = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100), (1, 6, 35, 66, 104, 148, 207, 270, 312, 408, 807)
    rng, count = np.random.default_rng(0), 6000
    frames = np.interp(rng.uniform(0, 100, count), shares, lengths).astype(np.int64)
    table = pd.DataFrame({"participant_id": rng.integers(90, size=count), "phrase": "a", "is_sup": False})

    class Lengths:                                                           # planning reads no frames
        def __init__(self):
            self.table, self.lengths, self.shown = table, frames, None

        def __len__(self):
            return count

    source = TrainLoader(Lengths(), np.arange(count), np.ones(count), build(EVERY), batch_size=64, seed=1)
    batches = [[plan.length for plan in plans] for plans in source.plans(0)]
    padded = sum(max(batch) * len(batch) for batch in batches)
    assert 1 - sum(map(sum, batches)) / padded < 0.1
    means = np.array([np.mean(batch) for batch in batches])
    assert np.abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3            # short and long batches follow each other at random


def test_short_sequences_are_left_out_on_request(store, scores):
    source = loader(store, scores, [], min_frames=15)
    rows = np.concatenate([batch["row"] for batch in source.epoch(0)])
    assert store.lengths[rows].min() >= 15 and 0 not in rows
    with pytest.raises(ValueError, match="none of .* rows has at least 1000 frames"):
        loader(store, scores, [], min_frames=1000)


def test_long_sequences_are_resampled_to_the_limit(store, scores):
    longest = max(int(batch["lengths"].max()) for batch in loader(store, scores, max_frames=50).epoch(0))
    assert longest == 50


def test_wrong_rows_scores_or_batch_sizes_are_refused(store, scores):
    with pytest.raises(ValueError, match="distinct rows and one score for each"):
        TrainLoader(store, [1, 2, 2], [1, 1, 1], build([]), batch_size=2, seed=1)
    with pytest.raises(ValueError, match="distinct rows and one score for each"):
        TrainLoader(store, [1, 2, 3], [1, 1], build([]), batch_size=2, seed=1)
    with pytest.raises(ValueError, match="raise batch_size"):
        loader(store, scores, batch_size=2, world=4)


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_takes_every_row_exactly_once_unaugmented_and_sorted_by_length(store, workers):
    rows = np.array([5, 2, 0, 40, 80, 99, 7])
    batches = list(evaluation_batches(store, rows, batch_size=3, workers=workers))
    assert [len(batch["row"]) for batch in batches] == [3, 3, 1]
    found = np.concatenate([batch["row"] for batch in batches])
    assert sorted(found) == sorted(rows) and (np.diff(np.minimum(store.lengths[found], 384)) <= 0).all()
    for batch in batches:
        for frames, length, tokens, row in zip(*(batch[key] for key in ("frames", "lengths", "tokens", "row"))):
            expected = store.frames(int(row))
            expected = expected if len(expected) <= 384 else resample(expected, 384)
            np.testing.assert_array_equal(frames[:length].numpy(), expected)
            assert not frames[length:].any() and decode(tokens) == store.table["phrase"][int(row)]


def test_evaluating_nothing_gives_no_batch(store):
    assert list(evaluation_batches(store, [], batch_size=3)) == []


def test_frames_are_mapped_not_loaded(store):
    assert isinstance(store.array, np.memmap) and store.array.filename.name == "columns.bin"
    tracemalloc.start()
    again = Store(store.path)
    for row in range(len(again)):
        standardise(again.landmarks(row))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert os.path.getsize(store.path / "columns.bin") > 4e6 and peak < 4e6
