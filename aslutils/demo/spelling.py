"""How a participant's hand spells a phrase: key frames, when each is reached, and smooth motion between them."""

import numpy as np

from aslutils.demo.handshapes import signs
from aslutils.demo.participant import Participant

# Which of the 27 channels (21 joint angles, 3 of orientation, 3 of travel) move together, each group at its own moment.
_GROUPS = np.repeat(np.arange(7), (5, 4, 4, 4, 4, 3, 3))


def spell(phrase: str, participant: Participant, length: int, rng: np.random.Generator) -> np.ndarray:
    """The hand's motion over `length` frames of spelling `phrase`: (T, 27), joint angles, orientation (degrees), travel (palms).

    Sometimes the hand comes up from below first, or goes down at the end.
    """
    keys, characters, held = key_frames(phrase, participant, rng)
    lead = rng.uniform(0, max(0.1 * length, min(6, 0.3 * length)), 2) * (rng.random(2) < 0.4)
    times, numbers = _timing(phrase, characters, held, lead[0], length - lead[1], rng)
    if lead.any():
        keys, times, numbers = _with_rest(keys, times, numbers, lead, length, participant, rng)
    return _move(keys, times, numbers, length, rng)


def key_frames(phrase: str, participant: Participant, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a participant's hand does for `phrase`, before it has times.

    Returns keys (K, 27): joint angles, orientation (degrees) and travel (palms); character (K,): which character each key
    belongs to (between two characters, for the tap of a double letter: the first one's plus a half); held (K,): whether the
    hand rests there.
    """
    keys, characters, held, drift = [], [], [], 0.0
    for position, character in enumerate(phrase):
        sign = signs()[character]
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
    weights = np.array([1 + 0.35 * (len(signs()[character]) - 1) for character in phrase])
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


def _with_rest(keys, times, numbers, lead, length, participant, rng):
    """The keys with the hand coming up from below before the first and going down after the last."""
    rest = np.concatenate([participant.ways["rest"].angles, participant.ways["rest"].orientation, (0.3, rng.uniform(1, 3.5), 0)])
    away = np.repeat(rng.random((2, 3)), (21, 3, 3), axis=1)                               # how far they loosen, turn and sink
    away = away * np.minimum(1, lead / 2)[:, None]
    ends = keys[[0, -1]] * (1 - away) + rest * away
    keys = np.concatenate([ends[:1], keys, ends[1:]])
    return keys, np.concatenate([[0], np.maximum(times, 0.01), [max(length - 1, times[-1] + 0.01)]]), \
        np.concatenate([[0], numbers + 1, [len(keys) - 1]])


def _move(keys: np.ndarray, times: np.ndarray, numbers: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """The 27 channels at every frame, (T, 27): minimum-jerk moves from key to key, each finger a little early or late."""
    pace = (times[-1] - times[0] + 1) / len(times)                                         # frames from knot to knot
    lag = np.append(rng.normal(0, min(0.6, 0.15 * pace), 5), rng.normal(0, min(0.6, 0.15 * pace), 2))
    moments = np.arange(length)[:, None] + lag                                             # (T, 7)
    phase = np.interp(moments, times, numbers)
    before = np.minimum(phase.astype(int), len(keys) - 2) if len(keys) > 1 else np.zeros(phase.shape, int)
    share = phase - before
    share = (share ** 2 * (3 - 2 * share))[:, _GROUPS]                                     # (T, 27)
    before = before[:, _GROUPS]
    after = np.minimum(before + 1, len(keys) - 1)
    channel = np.arange(keys.shape[1])
    return keys[before, channel] * (1 - share) + keys[after, channel] * share
