"""The list of augmentations in a parameter file -> what the loader does to every training sequence.

`build([{"name": "Mirror", "p": 0.5}, {"name": "Resample", "low": 0.3, "high": 2.0, "p": 0.8}])` checks the list and builds the
classes that it names: those of `aslutils.data.transforms`, and from here CutMix (joins two sequences) and OneOf (chooses one).
"""

import difflib
import inspect

import numpy as np

from aslutils.data import transforms
from aslutils.data.transforms import Augmentation, InPlaceAugmentation, Mirror, TimeAugmentation
from aslutils.system.errors import UserError


class OneOf(InPlaceAugmentation):
    """Apply one of several in-place augmentations, chosen uniformly. of: a list of entries as for `build`, without p."""

    def __init__(self, of: list, p: float = 1.0):
        super().__init__(p)
        self.choices = [_make(entry) for entry in of] if isinstance(of, list) else []
        if not self.choices or any(choice.p != 1 or not isinstance(choice, InPlaceAugmentation) for choice in self.choices):
            raise UserError("OneOf: expected one entry or more without p (OneOf's applies), none that changes time or is CutMix")

    def draw(self, rng):
        choice = int(rng.integers(len(self.choices)))
        return choice, self.choices[choice].draw(rng)

    def apply_(self, frames, choice, drawn):
        self.choices[choice].apply_(frames, *drawn)


class CutMix(Augmentation):
    """Join a piece of each of two sequences of the same participant: frames, phrase and score (after Yun et al. 2019).

    Both are cut at the same fraction u ~ U(0, 1) of their frames and of their phrases; in half of the cases the result
    is the second's tail, then the first's head; else the first's tail, then the second's head. Only the first is ever mirrored.
    With `align_cuts`, the frames of aligned sequences are cut where their phrase is (the competition's 5th place), and sequences
    that round 1 hardly read are left alone.
    """

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def draw(self, rng):
        return rng.random(), rng.random()

    @staticmethod
    def place(length: int, u: float) -> int:
        """Where a sequence or phrase of this length is cut: so many frames or characters are its head."""
        return min(max(round(u * length), 1), length - 1) if length > 1 else 0

    @staticmethod
    def pieces(first: int, second: int, u: float, branch: float, at: tuple = ()) -> list[tuple[int, slice]]:
        """Which of the two (0, 1), of the given lengths, and which slice of it, in the order in which they are joined.

        at: where each is cut, if not at the fraction u.
        """
        at = at or [CutMix.place(length, u) for length in (first, second)]
        tails, heads = (slice(at[0], first), slice(at[1], second)), (slice(0, at[0]), slice(0, at[1]))
        return [(1, tails[1]), (0, heads[0])] if branch < 0.5 else [(0, tails[0]), (1, heads[1])]

    def join(self, first: str, second: str, u: float, branch: float) -> str:
        """The joined phrase."""
        return "".join((first, second)[which][piece] for which, piece in self.pieces(len(first), len(second), u, branch))

    @staticmethod
    def mix(first: float, second: float, u: float, branch: float) -> float:
        """The mixed score: the head has weight u, the tail 1 - u."""
        return u * first + (1 - u) * second if branch < 0.5 else u * second + (1 - u) * first

    def apply(self, frames, other, u, branch):
        """The joined frames of `frames` (T, 130, 3) and `other` (T', 130, 3)."""
        return np.concatenate([(frames, other)[which][piece] for which, piece in self.pieces(len(frames), len(other), u, branch)])


NAMES = ("Mirror", "Resample", "DynamicResample", "TimeShift", "SpatialAffine", "FingersDrop", "PartDrop", "TemporalMask",
         "SpatialMask")
CLASSES = {"CutMix": CutMix, "OneOf": OneOf, **{name: getattr(transforms, name) for name in NAMES}}


def _nearest(word: str, words) -> str:
    close = difflib.get_close_matches(str(word), list(words), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(words)}"


def _make(entry: dict) -> Augmentation:
    """The augmentation that one entry describes. Raises ValueError naming what is unknown and the closest known name."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"augmentation {entry!r}: expected a mapping with a name, such as {{name: Mirror, p: 0.5}}")
    name, options = entry["name"], {key: value for key, value in entry.items() if key != "name"}
    if name not in CLASSES:
        raise UserError(f"there is no augmentation {name!r}{_nearest(name, CLASSES)}")
    known = inspect.signature(CLASSES[name]).parameters
    for key in options:
        if key not in known:
            raise UserError(f"{name} has no parameter {key!r}{_nearest(key, known)}")
    lacking = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in options]
    if lacking:
        raise UserError(f"{name} lacks {', '.join(lacking)}")
    return CLASSES[name](**options)


class Augmentations:
    """Augmentations as the loader applies them: mirror, then CutMix (each None where not in the list), then the rest in order."""

    def __init__(self, augmentations: list[Augmentation]):
        self.mirror = self._only(augmentations, Mirror)
        self.cutmix = self._only(augmentations, CutMix)
        self.rest = [each for each in augmentations if not isinstance(each, Mirror | CutMix)]

    @staticmethod
    def _only(augmentations, cls):
        found = [each for each in augmentations if isinstance(each, cls)]
        if len(found) > 1:
            raise UserError(f"{cls.__name__} occurs {len(found)} times in the list of augmentations, expected once")
        return found[0] if found else None

    def draw(self, rng: np.random.Generator) -> list[tuple[int, tuple]]:
        """Which of `rest` act on one sequence: (index in `rest`, what it drew), in the order of the list."""
        return [(place, each.draw(rng)) for place, each in enumerate(self.rest) if rng.random() < each.p]

    def length(self, length: int, drawn: list) -> int:
        """The length of a sequence of `length` frames after the augmentations in `drawn`."""
        for place, arguments in drawn:
            if isinstance(self.rest[place], TimeAugmentation):
                length = self.rest[place].length(length, *arguments)
        return length

    def split(self, length: int, drawn: list) -> tuple[np.ndarray, list]:
        """`drawn` as one index map and the augmentations that remain.

        The leading changes of time are composed: int64, which of `length` frames each new frame takes, -1 for zeros.
        """
        indices = np.arange(length)
        for done, (place, arguments) in enumerate(drawn):
            if not isinstance(self.rest[place], TimeAugmentation):
                return indices, drawn[done:]
            following = self.rest[place].indices(len(indices), *arguments)
            indices = np.where(following < 0, -1, indices[following])
        return indices, []

    def indices(self, length: int, drawn: list) -> np.ndarray:
        """Which of `length` frames each frame shows after all changes of time in `drawn`, int64; -1 for zeros."""
        return self.split(length, [each for each in drawn if isinstance(self.rest[each[0]], TimeAugmentation)])[0]

    def apply(self, frames: np.ndarray, drawn: list) -> np.ndarray:
        """Apply `drawn`, from `draw` or `split`, to `frames` (T, 130, 3), which may be overwritten."""
        for place, arguments in drawn:
            if isinstance(self.rest[place], TimeAugmentation):
                frames = self.rest[place].apply(frames, *arguments)
            else:
                self.rest[place].apply_(frames, *arguments)
        return frames


def build(entries: list[dict]) -> Augmentations:
    """Build augmentations from a list as in the parameter files, `[{name: Mirror, p: 0.5}, ...]`, in the order of acting.

    Mirror and CutMix always come first. Raises ValueError for an unknown name or key, naming the closest known one, and for
    values out of range.
    """
    return Augmentations([_make(entry) for entry in entries or []])
