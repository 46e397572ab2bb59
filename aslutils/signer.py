"""A person who fingerspells before a phone: how they shape their letters, and recordings of them as MediaPipe would give them."""

from dataclasses import dataclass
from math import erf

import numpy as np

from aslutils.body import FACE, LOWER_LIP, head_rotation, pose_points
from aslutils.hand import Camera, Hand, limited, pose_hand
from aslutils.handshapes import SHAPES, SIGNS, Shape
from aslutils.landmarks import HOLISTIC

# Quantiles over the 67,208 training sequences of the competition: frames a character, share of frames with a hand. The lowest
# frames a character there (2.4 at 5 %) are recordings cut short, which `_break` makes; these are of whole ones.
_LEVELS = (0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1)
_FRAMES_PER_CHARACTER = (1.2, 1.8, 3.4, 5.0, 6.9, 8.9, 11.2, 13.6, 15.4, 19.7, 24)
_SEEN_SHARE = (0.01, 0.037, 0.092, 0.15, 0.30, 0.58, 0.83, 0.953, 0.988, 1, 1)
CORPUS_FRAMES_PER_CHARACTER = 8.9
CORPUS_MISSING = 0.44                                    # mean share of frames in which no hand is seen
BROKEN_KINDS = ("late", "early", "unseen", "random")     # starts late, stops early, hand out of sight, random landmarks
_RUN_MEDIAN, _RUN_SPREAD = 3.0, 1.35                     # frames in a row with or without a hand: log-normal, 90 % at 17

# Which of the 27 channels (21 joint angles, 3 of orientation, 3 of travel) move together, each group at its own moment.
_GROUPS = np.repeat(np.arange(7), (5, 4, 4, 4, 4, 3, 3))
_PARTS = np.cumsum([0, *HOLISTIC.values()])              # where face, left hand, pose, right hand begin among the 543
_SLICE = {part: slice(start, stop) for part, start, stop in zip(HOLISTIC, _PARTS, _PARTS[1:])}


@dataclass(frozen=True)
class Recording:
    """How to record: what all recordings of a data set share."""

    frames_per_character: float = 5.0     # at the median; the corpus has 8.9
    fastest: float = 3.0                  # fewest frames a character of a whole recording
    shortest: int = 15                    # fewest frames of a whole recording: a shorter phrase is held longer
    missing: float = 0.10                 # mean share of frames in which no hand is seen; the corpus has 0.44


@dataclass(frozen=True)
class Participant:
    """One person, their phone and their place before it. Lengths in cm, angles in degrees."""

    hand: Hand
    palm: float                           # wrist to middle knuckle
    left_handed: bool
    ways: dict[str, Shape]                # how they make each shape
    pace: float                           # how slow they are among people, as a normal deviate over sqrt(2)
    camera: Camera
    distance: float                       # of the face from the camera
    place: np.ndarray                     # (3,): the signing hand from the nose tip, for a right hand
    view: np.ndarray                      # (2,): the camera's yaw and pitch about the signer
    jitter: float                         # of a hand landmark, in palms
    depth_gain: float                     # MediaPipe's depth over the true one
    pose_gain: float                      # the same for the pose
    slide: float                          # how far a doubled letter travels, palms; near 0 they tap instead

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Participant":
        """Somebody, drawn from the ranges that the real recordings show."""
        habit = np.concatenate([rng.normal(0, 3, 21), rng.normal(0, (9, 8, 6))])          # what all their shapes share
        focal, distance = rng.uniform(0.95, 1.25), 62 * np.exp(rng.normal(0, 0.15))
        aside = min(abs(rng.normal(13, 3)), 0.36 * (distance - 9) / focal)                # they keep the hand in the picture
        return cls(
            hand=Hand.random(rng),
            palm=float(rng.normal(8.3, 0.6)),
            left_handed=bool(rng.random() < 0.19),
            ways={name: _own_way(ways, habit, rng) for name, ways in SHAPES.items()},
            pace=float(rng.normal(0, 0.5 ** 0.5)),
            camera=Camera(focal=float(focal), aspect=float(rng.choice([9 / 16, 3 / 4], p=[0.6, 0.4])),
                          centre=(float(rng.normal(0.5, 0.04)), float(rng.normal(0.40, 0.05))), roll=float(rng.normal(0, 4))),
            distance=float(distance),
            place=np.array([-aside, rng.normal(14, 4), rng.normal(-9, 4)]),
            view=rng.normal(0, (8, 7)),
            jitter=float(0.015 * np.exp(rng.normal(0, 0.4))),
            depth_gain=float(np.exp(rng.normal(0.1, 0.25))),
            pose_gain=float(rng.uniform(2.8, 4.2)),
            slide=float(rng.uniform(0.0, 0.8)),
        )


def _own_way(ways: tuple[Shape, ...], habit: np.ndarray, rng: np.random.Generator) -> Shape:
    """A person's own shape: between the known ways, plus their habit, plus a little for this shape alone."""
    weights = rng.dirichlet(np.full(len(ways), 0.5))
    angles = sum(weight * way.angles for weight, way in zip(weights, ways))
    orientation = sum(weight * way.orientation for weight, way in zip(weights, ways))
    spread = np.concatenate([(4, 4, 8, 6, 6), np.tile((3, 6, 6, 5), 4)])
    angles = limited(angles + habit[:21] + rng.normal(0, spread))
    return Shape(angles, orientation + habit[21:] + rng.normal(0, 5, 3), ways[0].note)


def _quantile(values: tuple, level: float) -> float:
    return float(np.interp(level, _LEVELS, values))


def key_frames(phrase: str, participant: Participant, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a person's hand does for `phrase`, before it has times.

    Returns keys (K, 27): joint angles, orientation (degrees) and travel (palms); character (K,): which character each key
    belongs to (between two characters, for the tap of a double letter: the first one's plus a half); held (K,): whether the
    hand rests there.
    """
    keys, characters, held, drift = [], [], [], 0.0
    for position, character in enumerate(phrase):
        sign = SIGNS[character]
        doubled = position > 0 and phrase[position - 1] == character
        drift -= 0.03 + (participant.slide if doubled and len(sign) == 1 else 0.1 * drift)   # it comes back unnoticed
        if doubled and len(sign) == 1:
            tap = keys[-1].copy()
            loose = participant.ways["rest"].angles
            tap[:21] += (0.30 - 0.2 * participant.slide) * (loose - tap[:21])
            tap[24:] += (-participant.slide / 2, -0.25, 0.3)
            keys.append(tap)
            characters.append(position - 0.5)
            held.append(False)
        wobble = rng.normal(0, 1, 24)
        for frame in sign:
            way = participant.ways[frame.shape]
            keys.append(np.concatenate([way.angles + 2.5 * wobble[:21], way.orientation + frame.turn + 3.0 * wobble[21:],
                                        frame.travel + (drift, 0, 0)]))
            characters.append(position)
            held.append(len(sign) == 1)
    return np.array(keys), np.array(characters, float), np.array(held)


def _timing(phrase: str, characters: np.ndarray, held: np.ndarray, begin: float, end: float, rng: np.random.Generator):
    """When the hand is at which key: knots (time in frames, key number) for a phrase spelled between begin and end."""
    weights = np.array([1 + 0.35 * (len(SIGNS[character]) - 1) for character in phrase])
    weights *= np.exp(rng.normal(0, 0.25, len(phrase)))
    weights *= np.exp(rng.normal(0, 0.25) * np.linspace(-1, 1, len(phrase)))               # they warm up, or tire
    borders = begin + (end - begin) * np.concatenate([[0], np.cumsum(weights) / weights.sum()])
    times, numbers = [], []
    for number, (position, still) in enumerate(zip(characters, held)):
        if position % 1:                                                                   # the tap between two doubles
            times.append(borders[int(position + 0.5)])
            numbers.append(number)
            continue
        start, stop = borders[int(position)], borders[int(position) + 1]
        if still:
            hold = rng.uniform(0.25, 0.65) * (stop - start)
            middle = (start + stop) / 2
            times += [middle - hold / 2, middle + hold / 2]
            numbers += [number, number]
        else:
            own = np.flatnonzero(characters == position)
            share = (number - own[0] + 0.35) / (len(own) - 0.3)
            times.append(start + share * (stop - start))
            numbers.append(number)
    return np.array(times), np.array(numbers, float)


def _move(keys: np.ndarray, times: np.ndarray, numbers: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """The 27 channels at every frame, (T, 27): minimum-jerk moves from key to key, each finger a little early or late."""
    pace = (times[-1] - times[0] + 1) / len(times)                                         # frames from knot to knot
    lag = np.append(rng.normal(0, min(0.6, 0.15 * pace), 5), rng.normal(0, min(0.6, 0.15 * pace), 2))
    moments = np.arange(frames)[:, None] + lag                                             # (T, 7)
    phase = np.interp(moments, times, numbers)
    before = np.minimum(phase.astype(int), len(keys) - 2) if len(keys) > 1 else np.zeros(phase.shape, int)
    share = phase - before
    share = (share ** 2 * (3 - 2 * share))[:, _GROUPS]                                     # (T, 27)
    before = before[:, _GROUPS]
    after = np.minimum(before + 1, len(keys) - 1)
    channel = np.arange(keys.shape[1])
    return keys[before, channel] * (1 - share) + keys[after, channel] * share


def _wander(rng: np.random.Generator, frames: int, scale, period: float = 40.0) -> np.ndarray:
    """Slow, smooth random motion (T, len(scale)) of about the given standard deviations."""
    scale = np.asarray(scale, float)
    phases = rng.uniform(0, 2 * np.pi, (2, len(scale)))
    rates = 2 * np.pi / (period * rng.uniform(0.5, 2.0, (2, len(scale))))
    time = np.arange(frames)[:, None]
    return scale * (np.sin(rates[0] * time + phases[0]) + 0.5 * np.sin(2.3 * rates[1] * time + phases[1])) * 0.9


def _unseen(rng: np.random.Generator, frames: int, share: float, scale: float) -> np.ndarray:
    """Which of `frames` frames no hand is found in: runs as long as MediaPipe's, `share` of the frames on average."""
    if share <= 0 or frames == 0:
        return np.zeros(frames, bool)
    median = _RUN_MEDIAN * scale
    share = min(share, 0.97)
    odds = share / (1 - share)
    hidden_median, seen_median = median * min(1.0, odds) ** 0.5, median / min(1.0, odds) ** 0.5
    if odds > 1:
        hidden_median, seen_median = median * odds ** 0.5, median / odds ** 0.5
    count = 4 + int(2 * frames / (hidden_median + seen_median))
    runs = np.exp(rng.normal(0, _RUN_SPREAD, (count, 2))) * (hidden_median, seen_median)
    whole = np.floor(runs + rng.random(runs.shape)).astype(int).ravel()                    # rounded up or down by chance
    ends = np.cumsum(whole[int(rng.random() > share):])
    hidden_first = int(len(ends) % 2 == 0)
    run = np.searchsorted(ends, np.arange(frames), side="right")
    return run % 2 == (0 if hidden_first else 1)


def _length(phrase: str, participant: Participant, how: Recording, rng: np.random.Generator) -> int:
    """How many frames this recording gets."""
    level = (1 + erf(0.6 * participant.pace + 0.8 * rng.normal(0, 0.5 ** 0.5))) / 2          # uniform over people and recordings
    rate = _quantile(_FRAMES_PER_CHARACTER, level) * how.frames_per_character / CORPUS_FRAMES_PER_CHARACTER
    frames = int(np.ceil(len(phrase) * max(rate, how.fastest)))
    if frames < how.shortest:
        frames = how.shortest + int(rng.integers(0, how.shortest + 1))
    return frames


def record(participant: Participant, phrase: str, how: Recording, rng: np.random.Generator, broken: str = "") -> np.ndarray:
    """A recording of `participant` spelling `phrase`: float32 (T, 543, 3), face, left hand, pose, right hand, NaN where unseen.

    broken: "" or one of BROKEN_KINDS.
    """
    frames = _length(phrase, participant, how, rng)
    keys, characters, held = key_frames(phrase, participant, rng)
    lead = rng.uniform(0, 0.10, 2) * frames * (rng.random(2) < (0.25 if len(phrase) <= 2 else 0.4))
    times, numbers = _timing(phrase, characters, held, lead[0], frames - lead[1], rng)
    if lead[0] > 0 or lead[1] > 0:
        keys, times, numbers = _with_rest(keys, times, numbers, lead, frames, participant)
    motion = _move(keys, times, numbers, frames, rng)
    scene = _scene(motion, participant, rng)
    hidden = _unseen(rng, frames, _missing_share(how, rng), how.frames_per_character / CORPUS_FRAMES_PER_CHARACTER)
    return _break(_film(scene, hidden, participant, rng), broken, participant, rng)


def _with_rest(keys, times, numbers, lead, frames, participant):
    """The keys with the hand coming up from below before the first and going down after the last."""
    rest = np.concatenate([participant.ways["rest"].angles, participant.ways["rest"].orientation, (0.3, 2.5, 0.0)])
    ends = [key * (1 - near) + rest * near for key, near in ((keys[0], min(1, lead[0] / 2)), (keys[-1], min(1, lead[1] / 2)))]
    keys = np.concatenate([ends[:1], keys, ends[1:]])
    return keys, np.concatenate([[0], np.maximum(times, 0.01), [max(frames - 1, times[-1] + 0.01)]]), \
        np.concatenate([[0], numbers + 1, [len(keys) - 1]])


def _missing_share(how: Recording, rng: np.random.Generator) -> float:
    """This recording's share of frames without a hand: the corpus's quantiles, scaled to the wanted mean."""
    return (1 - _quantile(_SEEN_SHARE, rng.random())) * how.missing / CORPUS_MISSING


def _scene(motion: np.ndarray, participant: Participant, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Everything in space, cm, before the camera: face, pose and both hands, each (T, N, 3)."""
    frames = len(motion)
    trunk = _wander(rng, frames, (0.5, 0.3, 0.5), 90) + (0, 0, participant.distance)
    head = trunk + _wander(rng, frames, (0.5, 0.4, 0.4), 50)
    turn = head_rotation(np.deg2rad(_wander(rng, frames, (4, 6, 3), 60) + rng.normal(0, (5, 6, 3))))
    mouth = np.abs(_wander(rng, frames, (0.5,), 12)) * (rng.random() < 0.5)
    face = FACE + LOWER_LIP[:, None] * (mouth[:, None] * (0, 1, 0))
    face = head[:, None] + face.astype(np.float32) @ turn.swapaxes(-1, -2).astype(np.float32)
    motion = motion + _wander(rng, frames, np.repeat((1.5, 2.5, 0.08), (21, 3, 3)), 25)
    signing = pose_hand(limited(motion[:, :21]), motion[:, 21:24], participant.hand)
    signing = (signing + motion[:, None, 24:]) * participant.palm + participant.place
    rest = participant.ways["rest"]
    other = pose_hand(rest.angles, rest.orientation + _wander(rng, frames, (2, 2, 2)), participant.hand) * participant.palm
    other = other + (_wander(rng, frames, (1, 1, 1)) + participant.place * (1, 0, 1) + (0, 38, -14))[:, None]
    if participant.left_handed:
        hands = {"left_hand": signing * (-1, 1, 1), "right_hand": other}
    else:
        hands = {"left_hand": other * (-1, 1, 1), "right_hand": signing}
    hands = {side: points + trunk[:, None] for side, points in hands.items()}
    pose = pose_points(head, turn, trunk, {side[:-5]: points for side, points in hands.items()})
    return {"face": face, "pose": pose, **hands}


def _film(scene: dict[str, np.ndarray], hidden: np.ndarray, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """What MediaPipe makes of the scene through the participant's camera: (T, 543, 3) float32 with jitter and missing parts."""
    frames = len(hidden)
    yaw, pitch = np.deg2rad(participant.view)
    view = (np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
            @ np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]))
    pivot = np.array([0, 15, participant.distance])
    picture = np.empty((frames, _PARTS[-1], 3), np.float32)
    scale = participant.camera.focal * participant.palm / participant.distance              # a palm in the picture, of its width
    pixel = scale * np.array([1, participant.camera.aspect, 1.0])
    for part, points in scene.items():
        points = ((points - pivot) @ view.T + pivot).astype(np.float32)
        origin = points[:, 0] if "hand" in part else points.mean(1)
        seen = participant.camera.project(points, origin)
        if part == "pose":
            seen[..., 2] = participant.pose_gain * (seen[..., 2] - seen[:, 11:13, 2].mean(1)[:, None]) - 0.3
        elif part != "face":
            seen[..., 2] *= participant.depth_gain
        noise = {"face": 0.0015, "pose": 0.012}.get(part, participant.jitter)
        seen += rng.standard_normal(seen.shape, np.float32) * (noise * pixel).astype(np.float32)
        if "hand" in part:
            seen[:, :, :2] += (rng.standard_normal((frames, 1, 2)) * participant.jitter * pixel[:2]).astype(np.float32)
            seen[:, 0, 2] *= 0.01                                                           # a wrist's z is 0 by definition
        steps = np.float32(2 ** (12 if part == "face" else 15))                             # rounded, so that files stay small
        picture[:, _SLICE[part]] = np.rint(seen * steps) / steps
    signing, other = ("left_hand", "right_hand") if participant.left_handed else ("right_hand", "left_hand")
    middle = picture[:, _SLICE[signing], :2].mean(1)
    outside = ((middle < -0.03) | (middle > 1.03)).any(1)
    picture[hidden | outside, _SLICE[signing]] = np.nan
    picture[_unseen(rng, frames, 0.5, 1.0) if rng.random() < 0.02 else slice(None), _SLICE[other]] = np.nan
    if rng.random() < 0.03:
        picture[_unseen(rng, frames, 0.4, 1.0), _SLICE["face"]] = np.nan
    return picture


def _break(picture: np.ndarray, kind: str, participant: Participant, rng: np.random.Generator) -> np.ndarray:
    """A good recording spoilt in one of BROKEN_KINDS ways, or left as it is for ""."""
    frames = len(picture)
    keep = max(1, int(np.ceil(frames * rng.uniform(0.05, 0.45))))
    hands = np.r_[_SLICE["left_hand"], _SLICE["right_hand"]]
    if kind == "late":
        return picture[frames - keep:]
    if kind == "early":
        return picture[:keep]
    if kind == "unseen":
        seen = rng.random(frames) < rng.choice([0.0, 0.1])
        picture[np.ix_(~seen, hands)] = np.nan
    elif kind == "random":
        signing = _SLICE["left_hand" if participant.left_handed else "right_hand"]
        shape = (frames, 21, 3)
        centre = rng.uniform(0.1, 0.9, (frames, 1, 3)) * (1, 1, 0)
        picture[:, signing] = (centre + rng.normal(0, 0.08, shape)).astype(np.float32)
        picture[_unseen(rng, frames, 0.3, 0.5), signing] = np.nan
    elif kind:
        raise ValueError(f"{kind!r} is no kind of broken recording; there are {', '.join(BROKEN_KINDS)}")
    return picture
