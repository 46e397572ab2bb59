"""Landmark store + augmentations -> batches: a new permutation every epoch, padded to the longest sample, with little padding.

A batch is a dict of tensors (B sequences, T frames of the longest, L = 130 landmarks, S = 33 text steps):
`frames` float32 (B, T, L, 3), standardised, 0 after a sample's end; `lengths` int64 (B,); `tokens` int64 (B, S);
`score` float32 (B,); `row` int64 (B,), the sequence's row in the store. From a store that knows what single frames show, also
`shown` int64 (B, T): a character's token, 59 where a frame shows none, -1 where that is not known or no hand is seen.

The iterating process draws what will happen to each sample from the seed, epoch and row alone, so it knows the sample's length
before any frame is read; workers only carry it out. The samples are therefore the same for any number of workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from aslutils.data.augment import Augmentations, CutMix
from aslutils.data.store import Store
from aslutils.system.errors import UserError
from aslutils.task.landmarks import HANDS
from aslutils.task.preprocess import MAX_FRAMES, as_landmarks, fit_length, standardise
from aslutils.task.text import STEPS, encode, encode_shown

UNKNOWN = -1                      # what a frame shows, where that is not known
POOL = 32                         # batches whose samples are sorted by length together; more: less padding, less shuffling


@dataclass(slots=True)
class Plan:
    """What will happen to one sample."""

    row: int                      # in the store
    score: float = 0.0            # target of the confidence head, CutMix included
    length: int = 0               # frames after all augmentations
    mirrored: bool = False
    partner: int = -1             # row of CutMix's second sequence; -1: no CutMix
    cut: tuple = ()               # what CutMix drew
    at: tuple = ()                # the frames before which it cuts the two; (): at the fraction that it drew
    drawn: list = field(default_factory=list)    # what the other augmentations drew


class Planner:
    """Draws a plan for each sample.

    store: Store; rows: int (n,), distinct rows of it, the only ones that CutMix may join; scores: float (n,), one for each;
    borders: of those rows that are aligned, the frames before which their second and each later character begins: CutMix then
    cuts frames where it cuts phrases; None: of rows that CutMix leaves alone.
    """

    def __init__(self, store: Store, rows, scores, augmentations: Augmentations, seed: int, max_frames: int,
                 borders: dict[int, list[int] | None] | None = None):
        self.store, self.augmentations, self.seed, self.max_frames = store, augmentations, seed, max_frames
        self.borders = borders or {}
        participants = store.table["participant_id"].to_numpy()[rows]
        order = np.argsort(participants, kind="stable")
        _, first, count = np.unique(participants[order], return_index=True, return_counts=True)
        group = np.repeat(np.arange(len(first)), count)
        self._by_participant = rows[order]                                   # grouped by participant
        self._place = np.zeros(len(store), np.int64)                         # index of a store row in it
        self._place[rows[order]] = np.arange(len(rows))
        self._first, self._count = first[group], count[group]                # of the participant's rows, by place
        self._score = np.zeros(len(store))
        self._score[rows] = scores

    def plan(self, epoch: int, row: int) -> Plan:
        """The plan of store row `row` in an epoch: the same on every call."""
        rng = np.random.default_rng([self.seed, epoch, 1 + row])             # [..., 0] draws the epoch's order
        chosen, lengths = self.augmentations, self.store.lengths
        plan = Plan(row, float(self._score[row]))
        plan.mirrored = chosen.mirror is not None and rng.random() < chosen.mirror.p
        length = int(lengths[row])
        if chosen.cutmix is not None and rng.random() < chosen.cutmix.p and self._joins(row):
            plan.partner = self._partner(row, rng)
            plan.cut = chosen.cutmix.draw(rng)
            if plan.partner >= 0:
                if self.borders:
                    plan.at = tuple(self._cut(row, plan.cut[0]) for row in (row, plan.partner))
                pieces = chosen.cutmix.pieces(length, int(lengths[plan.partner]), *plan.cut, plan.at)
                length = sum(piece.stop - piece.start for _, piece in pieces)
                plan.score = chosen.cutmix.mix(plan.score, float(self._score[plan.partner]), *plan.cut)
        plan.drawn = chosen.draw(rng)
        plan.length = min(chosen.length(length, plan.drawn), self.max_frames)
        return plan

    def _cut(self, row: int, u: float) -> int:
        """The frame before which CutMix cuts a row at the fraction u: at a border between two characters if it is aligned."""
        if row not in self.borders:
            return CutMix.place(int(self.store.lengths[row]), u)
        return [0, *self.borders[row]][CutMix.place(len(self.borders[row]) + 1, u)]

    def _joins(self, row: int) -> bool:
        """Whether CutMix may join this row to another."""
        return self.borders.get(row, ()) is not None

    def _partner(self, row: int, rng: np.random.Generator) -> int:
        """Another row of the same participant, -1 when there is none or the one that was drawn is to be left alone."""
        place = self._place[row]
        others = int(self._count[place]) - 1
        if not others:
            return -1
        chosen = int(self._first[place] + rng.integers(others))
        other = int(self._by_participant[chosen + (chosen >= place)])        # any row but itself
        return other if self._joins(other) else -1


class Samples(Dataset):
    """Plans -> batches: indexed with a list of plans, it returns their batch."""

    def __init__(self, store: Store, augmentations: Augmentations):
        self.store, self.augmentations = store, augmentations
        self.phrases = store.table["phrase"].tolist()
        self.shown = store.shown and [encode_shown(frames) if frames else np.full(length, UNKNOWN)
                                      for frames, length in zip(store.shown, store.lengths.tolist())]

    def __getitem__(self, plans: list[Plan]) -> dict[str, torch.Tensor]:
        batch = torch.empty(len(plans), max(plan.length for plan in plans), 130, 3)
        if get_worker_info() is not None:
            batch.share_memory_()                                            # while it is empty: handing it over is then free
        frames, tokens = batch.numpy(), np.empty((len(plans), STEPS), np.int64)
        shown = np.full(frames.shape[:2], UNKNOWN) if self.shown else None
        for place, plan in enumerate(plans):
            sample = self.frames(plan)
            if shown is not None:
                shown[place, :plan.length] = np.where(sample[:, HANDS, 0].any(axis=1), self.shown_in(plan), UNKNOWN)
            for coordinate in range(3):                                      # 3.5 times as fast as copying all at once
                frames[place, :plan.length, :, coordinate] = sample[..., coordinate]
            frames[place, plan.length:] = 0
            tokens[place] = encode(self.phrase(plan))
        known = {} if shown is None else {"shown": torch.from_numpy(shown)}
        return {"frames": batch, **known, "tokens": torch.from_numpy(tokens),
                "lengths": torch.tensor([plan.length for plan in plans]),
                "score": torch.tensor([plan.score for plan in plans], dtype=torch.float32),
                "row": torch.tensor([plan.row for plan in plans])}

    def phrase(self, plan: Plan) -> str:
        """A planned sample's phrase, not truncated."""
        if plan.partner < 0:
            return self.phrases[plan.row]
        return self.augmentations.cutmix.join(self.phrases[plan.row], self.phrases[plan.partner], *plan.cut)

    def frames(self, plan: Plan) -> np.ndarray:
        """A planned sample's frames, float32 (plan.length, 130, 3).

        Where possible, changes of time are made while reading: one gather takes the wanted frames of one or two sequences.
        """
        pieces = self._pieces(plan)
        places = np.concatenate([self.store.starts[row] + np.arange(piece.start, piece.stop) for row, piece in pieces])
        indices, acts = self.augmentations.split(len(places), plan.drawn)
        columns = self.store.array.take(places[indices], axis=0)
        if columns.dtype == np.float16:                                      # torch converts 25 times as fast as numpy
            columns = torch.from_numpy(columns).float().numpy()
        frames = as_landmarks(columns)
        start, joint = np.searchsorted(indices, [0, pieces[0][1].stop - pieces[0][1].start])    # indices never decrease
        for (row, _), part in zip(pieces, (frames[:joint], frames[joint:])):
            standardise(part, self.store.statistics[row], out=part)
            if plan.mirrored and row == plan.row:
                self.augmentations.mirror.apply_(part)
        frames[:start] = 0                                                   # where the index was -1
        return fit_length(self.augmentations.apply(frames, acts), plan.length)

    def shown_in(self, plan: Plan) -> np.ndarray:
        """What a planned sample's frames show, int64 (plan.length,): a token, 59 for nothing, -1 where that is not known."""
        shown = np.concatenate([self.shown[row][piece] for row, piece in self._pieces(plan)])
        indices = self.augmentations.indices(len(shown), plan.drawn)
        return fit_length(np.where(indices < 0, UNKNOWN, shown[indices]), plan.length)

    def _pieces(self, plan: Plan) -> list[tuple[int, slice]]:
        """Which frames of which rows a planned sample is made of, in this order."""
        if plan.partner < 0:
            return [(plan.row, slice(0, int(self.store.lengths[plan.row])))]
        rows = plan.row, plan.partner
        return [(rows[which], piece) for which, piece in
                self.augmentations.cutmix.pieces(*(int(self.store.lengths[row]) for row in rows), *plan.cut, plan.at)]


class TrainLoader:
    """Batches of augmented training samples; every epoch holds each training row once and each supplemental phrase once.

    rows: int (n,), the store rows to train on, training and supplemental; scores: float (n,), one for each; augmentations:
    from `aslutils.data.augment.build`; batch_size: at most this many samples per batch, over all ranks; min_frames: shorter
    sequences are left out; max_frames: longer samples are resampled to this; workers: processes that read and augment, 0 for
    none; rank, world: this process takes batch[rank::world] of every batch; borders: see `Planner`.

    Each epoch takes one random sequence of each supplemental phrase. All batches have about the same size: none is left
    over. `len(loader)` is the number of batches, the same in every epoch.
    """

    def __init__(self, store: Store, rows, scores, augmentations: Augmentations, *, batch_size: int, seed: int,
                 min_frames: int = 1, max_frames: int = MAX_FRAMES, workers: int = 0, rank: int = 0, world: int = 1,
                 borders: dict[int, list[int] | None] | None = None):
        rows, scores = np.asarray(rows, np.int64), np.asarray(scores, np.float64)
        if rows.shape != scores.shape or len(np.unique(rows)) != len(rows):
            raise ValueError(f"expected distinct rows and one score for each, got {rows.shape} rows, {len(np.unique(rows))} "
                             f"of them distinct, and {scores.shape} scores")
        enough = store.lengths[rows] >= min_frames
        rows, scores = rows[enough], scores[enough]
        is_sup = store.table["is_sup"].to_numpy(bool)[rows]
        self.seed, self.workers, self.rank, self.world = seed, workers, rank, world
        self._train = rows[~is_sup]
        self._sup, self._sup_first, self._sup_count = _by_phrase(store, rows[is_sup])
        self.samples = len(self._train) + len(self._sup_first)
        if not self.samples:
            raise UserError(f"no sequence to train on: none of {len(enough)} rows has at least {min_frames} frames")
        self._edges = np.linspace(0, self.samples, -(-self.samples // batch_size) + 1).round().astype(np.int64)
        if np.diff(self._edges).min() < world:
            raise UserError(f"{self.samples} samples in batches of {batch_size} leave one of {world} ranks without a sample; "
                             f"raise batch_size to at least {world} or use fewer processes")
        self._planner = Planner(store, rows, scores, augmentations, seed, max_frames, borders)
        self._samples = Samples(store, augmentations)

    def __len__(self):
        return len(self._edges) - 1

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of an epoch from `start_batch` on: a resumed epoch continues with the same batches."""
        return _batches(self._samples, self.plans(epoch, start_batch), self.workers)

    def plans(self, epoch: int, start_batch: int = 0) -> Iterator[list[Plan]]:
        """This rank's plans of every batch of an epoch from `start_batch` on."""
        rng = np.random.default_rng([self.seed, epoch, 0])
        chosen = self._sup[self._sup_first + (rng.random(len(self._sup_first)) * self._sup_count).astype(np.int64)]
        order = rng.permutation(np.concatenate([self._train, chosen]))
        pools = np.array_split(np.arange(len(self)), max(1, round(len(self) / POOL)))
        pools = [(batches, rng.permutation(batches)) for batches in pools]
        pools = [(batches, shuffled) for batches, shuffled in pools if batches[-1] >= start_batch]
        rows = [order[self._edges[batches[0]]:self._edges[batches[-1] + 1]].tolist() for batches, _ in pools]
        upcoming = [self._planner.plan(epoch, row) for row in rows[0]] if rows else []
        for (batches, shuffled), following in zip(pools, [*rows[1:], []]):
            plans, upcoming = sorted(upcoming, key=lambda plan: plan.length), []
            shuffled, first = shuffled[max(0, start_batch - batches[0]):], self._edges[batches[0]]
            for number, batch in enumerate(shuffled, 1):
                yield plans[self._edges[batch] - first:self._edges[batch + 1] - first][self.rank::self.world]
                planned = following[len(upcoming):len(following) * number // len(shuffled)]     # a part at a time: nobody waits
                upcoming += [self._planner.plan(epoch, row) for row in planned]


def _by_phrase(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`rows` grouped by phrase, and where each group starts and how many rows it has."""
    phrases = store.table["phrase"].to_numpy(object)[rows].astype(str)
    order = np.argsort(phrases, kind="stable")
    _, first, count = np.unique(phrases[order], return_index=True, return_counts=True)
    return rows[order], first, count


def _batches(samples: Samples, batches, workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Load batches. Raises UserError if the workers have too little shared memory, as in a container with Docker's 64 MB."""
    generator = torch.Generator()                 # its own: the global one, which dropout uses, is unchanged
    loader = DataLoader(samples, sampler=batches, batch_size=None, num_workers=workers, generator=generator,
                      pin_memory=torch.cuda.is_available(), multiprocessing_context="fork" if workers else None)
    try:
        yield from loader
    except RuntimeError as error:
        if "shared memory" not in str(error) and "Bus error" not in str(error):
            raise
        raise UserError(f"{workers} data loading workers need more shared memory than /dev/shm has: start the container with "
                        "docker run --shm-size=2g, or set the parameter workers to 0") from error


def evaluation_batches(store: Store, rows, *, batch_size: int, max_frames: int = MAX_FRAMES,
                       workers: int = 0) -> Iterator[dict[str, torch.Tensor]]:
    """The given store rows without augmentation, each exactly once, longest first, in batches like `TrainLoader`'s (score 0)."""
    rows = np.asarray(rows, np.int64)
    rows = rows[np.argsort(-store.lengths[rows], kind="stable")]
    plans = [Plan(int(row), length=min(int(store.lengths[row]), max_frames)) for row in rows]
    batches = [plans[start:start + batch_size] for start in range(0, len(plans), batch_size)]
    return _batches(Samples(store, Augmentations([])), batches, workers)
