"""Sequences of a participant in front of a phone, as from MediaPipe: with jitter and missing parts.

Most participants fingerspell (`spelling`), some only move their hands (`gestures`).
"""

from dataclasses import dataclass
from math import erf

import numpy as np

from aslutils.demo.body import FACE, LOWER_LIP, PALM_POINTS, head_rotation, pose_points
from aslutils.demo.gestures import GESTURES, gesture
from aslutils.demo.hand import limited, pose_hand
from aslutils.demo.participant import Participant
from aslutils.demo.spelling import spell
from aslutils.task.landmarks import HOLISTIC

# Quantiles over the 67,208 training sequences of the competition: frames a character, share of frames with a hand. The lowest
# frames a character there (2.4 at 5 %) are of sequences cut short, which `_corrupt` makes; these are of whole ones.
_LEVELS = (0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1)
_FRAMES_PER_CHARACTER = (1.2, 1.8, 3.4, 5.0, 6.9, 8.9, 11.2, 13.6, 15.4, 19.7, 24)
_SEEN_SHARE = (0.01, 0.037, 0.092, 0.15, 0.30, 0.58, 0.83, 0.953, 0.988, 1, 1)
CORPUS_FRAMES_PER_CHARACTER = 8.9
CORPUS_MISSING = 0.44                                    # mean share of frames in which no hand is seen
CORRUPTIONS = ("late", "early", "unseen", "random")     # starts late, stops early, hand out of sight, random landmarks
_LONGEST_REST = 250                                      # frames
_RUN_MEDIAN, _RUN_SPREAD = 3.0, 1.35                     # frames in a row with or without a hand: log-normal, 90 % at 17
_PARTS = np.cumsum([0, *HOLISTIC.values()])              # where face, left hand, pose, right hand begin among the 543
PART_SLICES = {part: slice(start, stop) for part, start, stop in zip(HOLISTIC, _PARTS, _PARTS[1:])}   # of the 543
_WRISTS = [PART_SLICES[hand].start - PART_SLICES["face"].stop for hand in ("left_hand", "right_hand")]   # of the 75 after face
# Coordinates are multiples of a fraction of a pixel, finer for hands and pose than for the face, so that files stay small.
_STEPS = np.repeat(np.float32([2**12, 2**15, 2**15, 2**15]), list(HOLISTIC.values()))[:, None]


@dataclass(frozen=True)
class Recording:
    """How to record: what all sequences of a data set share."""

    frames_per_character: float = 7.0     # at the median, of all frames; the corpus has 8.9
    fastest: float = 3.0                  # fewest frames a character of a whole sequence
    shortest: int = 15                    # fewest frames of a whole sequence: a shorter phrase is held longer
    missing: float = 0.28                 # mean share of frames in which no hand is seen; the corpus has 0.44
    resting: float = 0.0                  # share of the spelled sequences in which the hand rests in view around the phrase


def record(participant: Participant, phrase: str, how: Recording, rng: np.random.Generator, kind: str = "") -> np.ndarray:
    """A sequence of `participant` spelling `phrase`: float32 (T, 543, 3), face, left hand, pose, right hand, NaN where unseen.

    kind: "", one of CORRUPTIONS, which is applied to the spelling, or one of gestures.GESTURES, which takes its place.
    """
    return recorded(participant, phrase, how, rng, kind)[0]


def recorded(participant: Participant, phrase: str, how: Recording, rng: np.random.Generator, kind: str = "",
             ) -> tuple[np.ndarray, np.ndarray]:
    """What `record` makes, and for each frame the place in `phrase` of the character that the hand shows: int (T,).

    -1 where it is on its way to another one, is down, or spells nothing. It is as before a corruption; whether a camera sees the
    hand does not matter.
    """
    length, ends, rests, inside = _frames(phrase, participant, how, rng, kind)
    motion, other, places = _motions(participant, phrase, length, ends, rests, rng, kind)
    hidden = _unseen(rng, length + sum(rests), inside, how.frames_per_character / CORPUS_FRAMES_PER_CHARACTER)
    hidden = np.pad(hidden, ends, constant_values=True)
    picture = _film(_scene(motion, other, participant, rng), hidden, other is not None, participant, rng)
    return picture if kind in GESTURES else _corrupt(picture, kind, participant, rng), places


def shown(participant: Participant, phrase: str, how: Recording, rng: np.random.Generator, kind: str = "") -> np.ndarray:
    """The places alone of `recorded`, without filming: int (T,)."""
    length, ends, rests, _ = _frames(phrase, participant, how, rng, kind)
    return _motions(participant, phrase, length, ends, rests, rng, kind)[2]


def _motions(participant: Participant, phrase: str, length: int, ends: tuple[int, int], rests: tuple[int, int],
             rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """The motion of the signing hand and of the other one, if it moves too, and the place in `phrase` that each frame shows."""
    if kind in GESTURES:
        return *gesture(kind, participant, length, ends, rng), np.full(length + sum(ends), -1)
    motion, places = spell(phrase, participant, length, rng, ends, rests)
    return motion, None, places


def _frames(phrase: str, participant: Participant, how: Recording, rng: np.random.Generator, kind: str = "",
            ) -> tuple[int, tuple[int, int], tuple[int, int], float]:
    """In how many frames the hand spells or moves; of hand-less ends, before and after; of rests between these and the spelling.

    The fourth is the share of the frames between the ends in which it is not seen.
    """
    length = _length(phrase, participant, how, rng)
    share = _missing_share(how, rng)
    if kind in GESTURES:
        length, needed = max(how.shortest, int(rng.uniform(2, 11) * how.frames_per_character)), how.shortest
    else:
        needed = int(np.ceil(len(phrase) * how.fastest))
    ends = _ends(length, needed, share, rng)
    rests = (0, 0) if kind else _rests(how, rng)
    moving, inside = length - sum(ends), length - sum(ends) + sum(rests)
    return moving, ends, rests, (share * (length + sum(rests)) - sum(ends)) / inside


def _rests(how: Recording, rng: np.random.Generator) -> tuple[int, int]:
    """In how many frames the hand rests in view before and after it moves: usually none, else some seconds, mostly after."""
    if not how.resting or rng.random() >= how.resting:           # without, nothing is drawn: the demo's data stay as they are
        return 0, 0
    frames = np.minimum(10 + rng.exponential(60, 2), _LONGEST_REST).astype(int)
    when = rng.choice(3, p=(0.25, 0.5, 0.25))                    # before, after, both
    return int(frames[0] * (when != 1)), int(frames[1] * (when != 0))


def _length(phrase: str, participant: Participant, how: Recording, rng: np.random.Generator) -> int:
    """How many frames this sequence gets."""
    level = (1 + erf(0.6 * participant.pace + 0.8 * rng.normal(0, 0.5 ** 0.5))) / 2   # uniform over participants and sequences
    rate = _quantile(_FRAMES_PER_CHARACTER, level) * how.frames_per_character / CORPUS_FRAMES_PER_CHARACTER
    length = int(np.ceil(len(phrase) * max(rate, how.fastest)))
    if length < how.shortest:
        length = how.shortest + int(min(rng.exponential(how.shortest), 5 * how.shortest))    # held for longer, by chance
    return length


def _missing_share(how: Recording, rng: np.random.Generator) -> float:
    """This sequence's share of frames without a hand: the corpus's quantiles, scaled to the wanted mean."""
    return (1 - _quantile(_SEEN_SHARE, rng.random())) * how.missing / CORPUS_MISSING


def _ends(length: int, needed: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """How many frames a sequence begins and ends with in which no hand is seen: a part of the unseen `share`.

    needed: frames that are left for the hand at least.
    """
    part = rng.beta(1.6, 0.8) if rng.random() < 0.6 else 0.0
    both = int(min(share * length * part, max(length - needed, 0)))
    begin = int(rng.random() * (both + 1))
    return begin, both - begin


def _quantile(values: tuple, level: float) -> float:
    return float(np.interp(level, _LEVELS, values))


def _unseen(rng: np.random.Generator, length: int, share: float, scale: float) -> np.ndarray:
    """In which of `length` frames no hand is found: runs as long as MediaPipe's times `scale`, `share` of all frames."""
    if share <= 0 or length == 0:
        return np.zeros(length, bool)
    median, odds = _RUN_MEDIAN * scale, min(share, 0.97) / (1 - min(share, 0.97))
    hidden_median, seen_median = median * odds ** 0.5, median / odds ** 0.5
    count = 4 + int(2 * length / (hidden_median + seen_median))
    runs = np.exp(rng.normal(0, _RUN_SPREAD, (count, 2))) * (hidden_median, seen_median)
    whole = np.floor(runs + rng.random(runs.shape)).astype(int).ravel()                    # rounded up or down by chance
    ends = np.cumsum(whole[int(rng.random() > share):])
    hidden_first = int(len(ends) % 2 == 0)
    run = np.searchsorted(ends, np.arange(length), side="right")
    return run % 2 == (0 if hidden_first else 1)


def _scene(motion: np.ndarray, other: np.ndarray | None, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """The signer in space: float32 (T, 543, 3), cm, axes as in `aslutils.demo.hand`; 0 is 15 cm below the nose."""
    length = len(motion)
    sway = _wander(rng, length, (0.5, 0.3, 0.5), 90)
    trunk = sway - (0, 15, 0)
    head = trunk + _wander(rng, length, (0.5, 0.4, 0.4), 50)
    turn = head_rotation(np.deg2rad(_wander(rng, length, (4, 6, 3), 60) + rng.normal(0, (5, 6, 3))))
    mouth = np.abs(_wander(rng, length, (0.5,), 12)) * (rng.random() < 0.5)                 # (T, 1)
    scene = np.empty((length, 3, _PARTS[-1]), np.float32).swapaxes(1, 2)                     # each coordinate's row is contiguous
    scene[:, PART_SLICES["face"]] = (turn.astype(np.float32) @ FACE.T + head[:, :, None].astype(np.float32)).swapaxes(1, 2)
    scene[:, LOWER_LIP] += (mouth * turn[:, :, 1])[:, None]
    hands = {side: points + sway[:, None] for side, points in _hands(motion, other, participant, rng).items()}
    palms = {side: points[:, PALM_POINTS] + _pose_error(length, rng)[:, None] for side, points in hands.items()}
    scene[:, PART_SLICES["pose"]] = pose_points(head, turn, trunk, palms)
    for side, points in hands.items():
        scene[:, PART_SLICES[f"{side}_hand"]] = points
    return scene


def _pose_error(length: int, rng: np.random.Generator) -> np.ndarray:
    """How far MediaPipe's coarse pose model places a hand from where its hand model finds it: (T, 3) cm."""
    return rng.normal(0, 1.3, 3) + _wander(rng, length, (1.3, 1.3, 1.3), 20)


def _hands(motion: np.ndarray, other: np.ndarray | None, participant: Participant, rng: np.random.Generator,
           ) -> dict[str, np.ndarray]:
    """The signing hand, and the other one, which moves too or holds the phone or rests: {"left", "right"} -> (T, 21, 3), cm."""
    length, rest = len(motion), participant.ways["rest"]
    signing = _placed(motion, participant, rng)
    if other is None:
        other = pose_hand(rest.angles, rest.orientation + _wander(rng, length, (2, 2, 2)), participant.hand) * participant.palm
        other = other + (_wander(rng, length, (1, 1, 1)) + participant.place * (1, 0, 1) + (0, rng.uniform(12, 26), -14))[:, None]
    else:
        other = _placed(other, participant, rng)
    mirrored = np.array([-1, 1, 1])
    if participant.left_handed:
        return {"left": signing * mirrored, "right": other}
    return {"left": other * mirrored, "right": signing}


def _placed(motion: np.ndarray, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A right hand that makes a motion (T, 27), where the participant holds it: (T, 21, 3) cm."""
    motion = motion + _wander(rng, len(motion), np.repeat((1.5, 2.5, 0.08), (21, 3, 3)), 25)
    points = pose_hand(limited(motion[:, :21]), motion[:, 21:24], participant.hand) + motion[:, None, 24:]
    return points * participant.palm + participant.place


def _wander(rng: np.random.Generator, length: int, scale, period: float = 40.0) -> np.ndarray:
    """Slow, smooth random motion (T, len(scale)) of about the given standard deviations."""
    scale = np.asarray(scale, float)
    phases = rng.uniform(0, 2 * np.pi, (2, len(scale)))
    rates = 2 * np.pi / (period * rng.uniform(0.5, 2.0, (2, len(scale))))
    time = np.arange(length)[:, None]
    return scale * (np.sin(rates[0] * time + phases[0]) + 0.5 * np.sin(2.3 * rates[1] * time + phases[1])) * 0.9


def _film(scene: np.ndarray, hidden: np.ndarray, both: bool, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """What MediaPipe sees of the scene through the participant's camera: (T, 543, 3) float32 with jitter and missing parts."""
    camera, jitter = participant.camera, participant.jitter
    picture = camera.project(scene)
    for part, (origin, gain, shift) in {"face": (slice(None), 1.0, 0.0), "pose": (slice(11, 13), participant.pose_gain, -0.3),
                                        "left_hand": (slice(0, 1), participant.depth_gain, 0.0),
                                        "right_hand": (slice(0, 1), participant.depth_gain, 0.0)}.items():
        depth = picture[:, PART_SLICES[part], 2]
        depth[:] = gain * camera.relative_depth(depth, depth[:, origin].mean(1, keepdims=True)) + shift
    palm = camera.focal * participant.palm / camera.distance * np.array([1, camera.aspect, 1], np.float32)   # in the picture
    face, rest = picture[:, PART_SLICES["face"]], picture[:, PART_SLICES["face"].stop:]
    even = rng.random((len(face), 3, face.shape[1]), np.float32).swapaxes(1, 2)              # uniform, because it is fast
    face += (even - np.float32(0.5)) * (np.float32(0.005) * palm)
    noise = np.repeat([jitter, 0.012, jitter], list(HOLISTIC.values())[1:])[:, None] * palm       # (75, 3)
    noise[_WRISTS, 2] = 1e-5                                                                # a wrist's z is 0 by definition
    rest += rng.standard_normal(rest.shape, np.float32) * noise.astype(np.float32)
    for hand in ("left_hand", "right_hand"):
        error = _slow_error(rng, len(picture))
        error[..., :2] += rng.standard_normal((len(picture), 1, 2), np.float32)
        picture[:, PART_SLICES[hand]] += error * (jitter * palm).astype(np.float32)
    np.multiply(np.rint(picture * _STEPS), 1 / _STEPS, out=picture)
    _lose(picture, hidden, both, participant, rng)
    return picture


def _slow_error(rng: np.random.Generator, length: int, period: int = 12) -> np.ndarray:
    """What MediaPipe errs by for several frames, besides the jitter and relative to it: float32 (T, 21, 3).

    It errs in the same way for as long as a hand holds a shape; here the errors drift from one to another in `period` frames.
    """
    knots = rng.standard_normal((length // period + 2, 21, 3), np.float32) * np.float32([1.5, 1.5, 2.2])
    knots[:, 0, 2] = 0                                                                      # a wrist's z is 0 by definition
    number, step = np.divmod(np.arange(length), period)
    share = np.float32(step / period)[:, None, None]
    return knots[number] * (1 - share) + knots[number + 1] * share


def _lose(picture: np.ndarray, hidden: np.ndarray, both: bool, participant: Participant, rng: np.random.Generator) -> None:
    """NaN where nothing is found: the signing hand when `hidden` or out of the picture, the other usually, the face rarely.

    both: the other hand takes part, and is seen about as often as the signing one.
    """
    length = len(picture)
    signing, other = ("left_hand", "right_hand") if participant.left_handed else ("right_hand", "left_hand")
    if both:
        other_hidden = hidden | _unseen(rng, length, rng.uniform(0, 0.6), 1.0)
    else:
        other_hidden = _unseen(rng, length, 0.5, 1.0) if rng.random() < 0.06 else np.ones(length, bool)
    for hand, unseen in ((signing, hidden), (other, other_hidden)):
        middle = picture[:, PART_SLICES[hand], :2].mean(1)
        outside = ((middle < -0.03) | (middle > 1.03)).any(1)
        picture[unseen | outside, PART_SLICES[hand]] = np.nan
    if rng.random() < 0.03:
        picture[_unseen(rng, length, 0.4, 1.0), PART_SLICES["face"]] = np.nan


def _corrupt(picture: np.ndarray, kind: str, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A clean sequence corrupted in one of CORRUPTIONS ways, or left as it is for ""."""
    length = len(picture)
    keep = max(1, int(np.ceil(length * rng.uniform(0.05, 0.45))))
    hands = np.r_[PART_SLICES["left_hand"], PART_SLICES["right_hand"]]
    if kind == "late":
        return picture[length - keep:]
    if kind == "early":
        return picture[:keep]
    if kind == "unseen":
        seen = rng.random(length) < rng.choice([0.0, 0.1])
        picture[np.ix_(~seen, hands)] = np.nan
    elif kind == "random":
        signing = PART_SLICES["left_hand" if participant.left_handed else "right_hand"]
        centre = rng.uniform(0.1, 0.9, (length, 1, 3)) * (1, 1, 0)
        picture[:, signing] = centre + rng.normal(0, 0.08, (length, 21, 3))
        picture[_unseen(rng, length, 0.3, 0.5), signing] = np.nan
    elif kind:
        raise ValueError(f"{kind!r} is not a kind of sequence; expected one of {', '.join((*CORRUPTIONS, *GESTURES))}")
    return picture
