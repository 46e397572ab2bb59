"""The list of augmentations in a parameter file -> what the loader does to every training sequence.

`build([{"name": "Mirror", "p": 0.5}, {"name": "Resample", "low": 0.3, "high": 2.0, "p": 0.8}])` checks the list and makes the
classes that it names: those of `aslutils.data.transforms`, and here CutMix, which joins two sequences, and OneOf, which chooses.
"""

import difflib
import inspect

import numpy as np

from aslutils.data.transforms import (
    Augmentation,
    DynamicResample,
    FingersDrop,
    InPlaceAugmentation,
    Mirror,
    PartDrop,
    Resample,
    SpatialAffine,
    SpatialMask,
    TemporalMask,
    TimeAugmentation,
    TimeShift,
)


class OneOf(InPlaceAugmentation):
    """One of several that act in place, each equally often. of: a list of entries as `build` takes them, without p."""

    def __init__(self, of: list, p: float = 1.0):
        super().__init__(p)
        self.choices = [_make(entry) for entry in of]
        if not self.choices or any(choice.p != 1 or not isinstance(choice, InPlaceAugmentation) for choice in self.choices):
            raise ValueError("OneOf: expected one entry or more without p (OneOf's acts), none that changes time or is CutMix")

    def draw(self, rng):
        choice = int(rng.integers(len(self.choices)))
        return choice, self.choices[choice].draw(rng)

    def apply_(self, frames, choice, drawn):
        self.choices[choice].apply_(frames, *drawn)


class CutMix(Augmentation):
    """Join one piece each of two sequences of the same participant: frames, phrase and score (after Yun et al. 2019).

    Both are cut at the same fraction u ~ U(0, 1) of their frames and of their phrases; in half of the cases the second's
    tail comes first and the first's head behind it, else the first's tail and the second's head. Only the first is ever mirrored.
    """

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def draw(self, rng):
        return rng.random(), rng.random()

    @staticmethod
    def pieces(first: int, second: int, u: float, branch: float) -> list[tuple[int, slice]]:
        """Which of two things (0, 1), of the given lengths, and which slice of it, in the order in which they are joined."""
        at = [min(max(round(u * length), 1), length - 1) if length > 1 else 0 for length in (first, second)]
        tails, heads = (slice(at[0], first), slice(at[1], second)), (slice(0, at[0]), slice(0, at[1]))
        return [(1, tails[1]), (0, heads[0])] if branch < 0.5 else [(0, tails[0]), (1, heads[1])]

    def join(self, first: str, second: str, u: float, branch: float) -> str:
        """The joined phrase."""
        return "".join((first, second)[which][piece] for which, piece in self.pieces(len(first), len(second), u, branch))

    @staticmethod
    def mix(first: float, second: float, u: float, branch: float) -> float:
        """The mixed score: head's share u, tail's 1 - u."""
        return u * first + (1 - u) * second if branch < 0.5 else u * second + (1 - u) * first

    def apply(self, frames, other, u, branch):
        """The joined frames of `frames` (T, 130, 3) and `other` (T', 130, 3)."""
        return np.concatenate([(frames, other)[which][piece] for which, piece in self.pieces(len(frames), len(other), u, branch)])


CLASSES = {cls.__name__: cls for cls in (Mirror, CutMix, Resample, DynamicResample, TimeShift, SpatialAffine, FingersDrop,
                                         PartDrop, OneOf, TemporalMask, SpatialMask)}


def _nearest(word: str, words) -> str:
    close = difflib.get_close_matches(str(word), list(words), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(words)}"


def _make(entry: dict) -> Augmentation:
    """The augmentation that one entry describes. Raises ValueError naming what is unknown and the nearest right word."""
    if not isinstance(entry, dict) or "name" not in entry:
        raise ValueError(f"an augmentation is {entry!r}, expected a mapping with a name, as {{name: Mirror, p: 0.5}}")
    name, options = entry["name"], {key: value for key, value in entry.items() if key != "name"}
    if name not in CLASSES:
        raise ValueError(f"there is no augmentation {name!r}{_nearest(name, CLASSES)}")
    known = inspect.signature(CLASSES[name]).parameters
    for key in options:
        if key not in known:
            raise ValueError(f"{name} has no parameter {key!r}{_nearest(key, known)}")
    lacking = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in options]
    if lacking:
        raise ValueError(f"{name} lacks {', '.join(lacking)}")
    return CLASSES[name](**options)


class Augmentations:
    """A list of them, as the loader uses it: mirror, then CutMix (each None where not in the list), then the rest in order."""

    def __init__(self, augmentations: list[Augmentation]):
        self.mirror = self._only(augmentations, Mirror)
        self.cutmix = self._only(augmentations, CutMix)
        self.rest = [each for each in augmentations if not isinstance(each, Mirror | CutMix)]

    @staticmethod
    def _only(augmentations, cls):
        found = [each for each in augmentations if isinstance(each, cls)]
        if len(found) > 1:
            raise ValueError(f"{cls.__name__} stands {len(found)} times in the list of augmentations, expected once")
        return found[0] if found else None

    def draw(self, rng: np.random.Generator) -> list[tuple[int, tuple]]:
        """Which of the rest act on one sequence, by their place in the list and in that order, and what each drew."""
        return [(place, each.draw(rng)) for place, each in enumerate(self.rest) if rng.random() < each.p]

    def length(self, length: int, drawn: list) -> int:
        """How many frames a sequence of `length` frames has after what `draw` gave."""
        for place, arguments in drawn:
            if isinstance(self.rest[place], TimeAugmentation):
                length = self.rest[place].length(length, *arguments)
        return length

    def split(self, length: int, drawn: list) -> tuple[np.ndarray, list]:
        """What `draw` gave as one index map and the acts that follow it.

        The changes of time that come first are composed: int64, which of `length` frames each frame takes, -1 for zeros.
        """
        indices = np.arange(length)
        for done, (place, arguments) in enumerate(drawn):
            if not isinstance(self.rest[place], TimeAugmentation):
                return indices, drawn[done:]
            following = self.rest[place].indices(len(indices), *arguments)
            indices = np.where(following < 0, -1, indices[following])
        return indices, []

    def apply(self, frames: np.ndarray, drawn: list) -> np.ndarray:
        """`frames` (T, 130, 3), which may be overwritten, after what `draw` gave or what `split` left of it."""
        for place, arguments in drawn:
            if isinstance(self.rest[place], TimeAugmentation):
                frames = self.rest[place].apply(frames, *arguments)
            else:
                self.rest[place].apply_(frames, *arguments)
        return frames


def build(entries: list[dict]) -> Augmentations:
    """Augmentations from a list such as the parameter files hold, `[{name: Mirror, p: 0.5}, ...]`, in the order of acting.

    Mirror and CutMix always come first. Raises ValueError for an unknown name or key, naming the nearest right one, and for
    values out of range.
    """
    return Augmentations([_make(entry) for entry in entries or []])
