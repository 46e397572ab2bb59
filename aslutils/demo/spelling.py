"""How a participant's hand spells a phrase: key frames, when each is reached, and smooth motion between them."""

import numpy as np

from aslutils.demo.handshapes import signs
from aslutils.demo.participant import Participant

_OPENED = 0.04        # how often the hand opens between two characters, ...
_LOOSENED = 0.4       # ... and how often a varied participant's only loosens a little, on its way to another shape
# How early or late a finger is, as standard deviations: at all keys alike (share of the time from knot to knot, most frames) and
# at each key (share of the time to the nearer one). Of participants whose fingers move together, and of varied ones.
_TOGETHER, _UNEVEN = (0.15, 0.6, 0.0), (0.2, 1.3, 0.25)
_PAUSED = 0.05        # how often it stays with a character for longer
_REST_DEPTH = 3.0     # palms that a hand which rests sinks at most: then most cameras still see it
_SHOWN = 0.3          # a frame shows the character that is at most this share of the time to the next one away
# Which of the 27 channels (21 joint angles, 3 of orientation, 3 of travel) move together, each group at its own moment.
_GROUPS = np.repeat(np.arange(7), (5, 4, 4, 4, 4, 3, 3))


def spell(phrase: str, participant: Participant, length: int, rng: np.random.Generator, ends: tuple[int, int] = (0, 0),
          rests: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """The hand's motion over `length` frames of spelling `phrase`: (T, 27), joint angles, orientation (degrees), travel (palms).

    rests: frames before and after, in which the hand is still, more or less loosened and lowered; ends: frames before and after
    these, in which it is mostly down; T is the sum. Sometimes the hand is still coming up when the spelling begins, or goes down
    before it ends. Besides the motion, returns for each frame the place in `phrase` of the character that the hand shows, -1
    where it is on its way or down: int (T,).
    """
    keys, characters, held = key_frames(phrase, participant, rng)
    lead = rng.uniform(0, max(0.2 * length, min(10, 0.35 * length)), 2) * (rng.random(2) < 0.6)
    times, numbers = _timing(phrase, characters, held, lead[0], length - lead[1], rng)
    if lead.any():
        keys, times, numbers, characters = _with_rest(keys, times, numbers, characters, lead, length, participant, rng)
    shown = np.pad(_shown(times, numbers, characters, length), tuple(np.add(rests, ends)), constant_values=-1)
    motion = lowered(move(keys, times, numbers, length, participant, rng), rests, participant, rng, _REST_DEPTH)
    return lowered(motion, ends, participant, rng), shown


def key_frames(phrase: str, participant: Participant, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a participant's hand does for `phrase`, before it has times.

    Returns keys (K, 27): joint angles, orientation (degrees) and travel (palms); character (K,): which character each key
    belongs to (between two characters, where the hand opens, loosens or taps a double letter: the first one's plus a half);
    held (K,): whether the hand rests there.
    """
    keys, characters, held, drift = [], [], [], 0.0
    for position, character in enumerate(phrase):
        sign = signs()[character]
        doubled = position > 0 and phrase[position - 1] == character
        tapped = doubled and len(sign) == 1
        drift -= 0.03 + (participant.slide if tapped else 0.1 * drift)                     # it comes back unnoticed
        # Others draw less often: so the demo's data stay those that its figures were measured on.
        between, chance = None, rng.random() if participant.varied or position and not tapped else 1.0
        if tapped:
            between = 0.30 - 0.2 * participant.slide, (0 if participant.varied else -participant.slide / 2, -0.25, 0.3)
        elif position and chance < _OPENED:
            between = rng.uniform(0.3, 0.9), (0, rng.uniform(0, 0.8), 0)
        elif position and chance < _OPENED + _LOOSENED and participant.varied:
            between = rng.uniform(0.05, 0.35), (0, 0, 0)
        wobble, own = rng.normal(0, 1, 24), []
        for frame in sign:
            way, turn = participant.ways[frame.shape], (1 + participant.stroke) / 2 * frame.turn   # a small j turns as well
            own.append(np.concatenate([way.angles + 2.5 * wobble[:21], way.orientation + turn + 3.0 * wobble[21:],
                                       participant.stroke * frame.travel + (drift, 0, 0)]))
        if between:
            loosened, travel = between
            key = (keys[-1] + own[0]) / 2 if participant.varied else keys[-1].copy()
            key[:21] += loosened * (participant.ways["rest"].angles - key[:21])
            key[24:] += travel
            keys.append(key)
            characters.append(position - 0.5)
            held.append(False)
        keys += own
        characters += [position] * len(own)
        held += [len(sign) == 1] * len(own)
    return np.array(keys), np.array(characters, float), np.array(held)


def _timing(phrase: str, characters: np.ndarray, held: np.ndarray, begin: float, end: float, rng: np.random.Generator):
    """When the hand is at which key: knots (time in frames, key number) for a phrase spelled between begin and end."""
    weights = np.array([1 + 0.35 * (len(signs()[character]) - 1) for character in phrase])
    weights *= np.exp(rng.normal(0, 0.3, len(phrase))) * np.where(rng.random(len(phrase)) < _PAUSED, rng.uniform(1.5, 4), 1)
    weights *= np.exp(rng.normal(0, 0.25) * np.linspace(-1, 1, len(phrase)))               # they warm up, or tire
    borders = begin + (end - begin) * np.concatenate([[0], np.cumsum(weights) / weights.sum()])
    times, numbers, rested = [], [], rng.uniform(0.05, 0.6)
    for number, (position, still) in enumerate(zip(characters, held)):
        if position % 1:                                                                   # between two characters
            times.append(borders[int(position + 0.5)])
            numbers.append(number)
            continue
        start, stop = borders[int(position)], borders[int(position) + 1]
        if still:
            hold = rng.uniform(0.7, 1.3) * rested * (stop - start)
            middle = (start + stop) / 2
            times += [middle - hold / 2, middle + hold / 2]
            numbers += [number, number]
        else:
            own = np.flatnonzero(characters == position)
            share = (number - own[0] + 0.35) / (len(own) - 0.3)
            times.append(start + share * (stop - start))
            numbers.append(number)
    return np.array(times), np.array(numbers, float)


def _shown(times: np.ndarray, numbers: np.ndarray, characters: np.ndarray, length: int) -> np.ndarray:
    """Which character the hand shows at each frame, or on its way between two keys of it; -1 between two: int (T,)."""
    phase = np.interp(np.arange(length), times, numbers)
    near, before, after = (part(phase).astype(int) for part in (np.rint, np.floor, np.ceil))
    there = (np.abs(phase - near) <= _SHOWN) | (characters[before] == characters[after])
    return np.where(there & (characters[near] % 1 == 0), characters[near], -1).astype(int)


def _with_rest(keys, times, numbers, characters, lead, length, participant, rng):
    """The keys with the hand that rests and comes up before the first, and goes down and rests after the last."""
    way = participant.ways["rest"]
    rests = np.stack([np.concatenate([way.angles + rng.normal(0, 15, 21), way.orientation + rng.normal(0, 30, 3),
                                      (0.3, rng.uniform(0, 3.5), 0)]) for _ in lead])
    away = np.repeat(rng.random((2, 3)) ** 0.5, (21, 3, 3), axis=1)                        # how far they loosen, turn and sink
    ends = keys[[0, -1]] * (1 - away) + rests * away
    still = rng.uniform(0, 0.7, 2) * lead                                                  # how long it rests
    if lead[0]:
        keys = np.concatenate([ends[:1], keys])
        times = np.concatenate([[0, max(still[0], 0.01)], np.maximum(times, still[0] + 0.02)])
        numbers = np.concatenate([[0, 0], numbers + 1])
        characters = np.append(-0.5, characters)
    if lead[1]:
        keys = np.concatenate([keys, ends[1:]])
        times = np.concatenate([times, [length - 1 - still[1], length - 0.99]])
        numbers = np.concatenate([numbers, [len(keys) - 1] * 2])
        characters = np.append(characters, characters[-1] + 0.5)
    return keys, times, numbers, characters


def move(keys: np.ndarray, times: np.ndarray, numbers: np.ndarray, length: int, participant: Participant,
         rng: np.random.Generator) -> np.ndarray:
    """The 27 channels at every frame, (T, 27): smooth moves from key to key, each finger early or late.

    keys: (K, 27); times, numbers: (N,) each: when, in frames, the hand is at which key.
    """
    pace = (times[-1] - times[0] + 1) / len(times)                                         # frames from knot to knot
    alike, most, each = _UNEVEN if participant.varied else _TOGETHER
    lag = rng.normal(0, min(alike * pace, most), 7)
    reached = times[:, None] - lag                                                         # (N, 7)
    if each:
        gaps = np.diff(times, prepend=-np.inf, append=np.inf)
        early = rng.normal(0, each, reached.shape) * np.minimum(gaps[1:], gaps[:-1])[:, None]
        reached = np.maximum.accumulate(reached + early)
    phase = np.stack([np.interp(np.arange(length), moments, numbers) for moments in reached.T], 1)                 # (T, 7)
    before = np.minimum(phase.astype(int), len(keys) - 2) if len(keys) > 1 else np.zeros(phase.shape, int)
    share = phase - before
    share = (share ** 2 * (3 - 2 * share))[:, _GROUPS]                                     # (T, 27)
    before = before[:, _GROUPS]
    after = np.minimum(before + 1, len(keys) - 1)
    channel = np.arange(keys.shape[1])
    return keys[before, channel] * (1 - share) + keys[after, channel] * share


def lowered(motion: np.ndarray, ends: tuple[int, int], participant: Participant, rng: np.random.Generator,
            deepest: float = 7.0) -> np.ndarray:
    """A motion (T, 27) with `ends` frames added before and after it, in which the hand mostly rests and sinks: (T + ends, 27).

    deepest: how much it sinks at most, in palms.
    """
    motion = np.pad(motion, (ends, (0, 0)), mode="edge")
    rest = participant.ways["rest"]
    for count, frames in zip(ends, (motion[:ends[0]][::-1], motion[len(motion) - ends[1]:])):
        if not count:
            continue
        gone = np.clip((np.arange(count)[:, None] + 1) / rng.uniform(4, 12), 0, 1)
        gone = gone ** 2 * (3 - 2 * gone)
        loose, depth = rng.uniform(0, 1), rng.uniform(1, deepest) * (rng.random() < 0.75)
        frames[:, :24] += loose * gone * (np.concatenate([rest.angles, rest.orientation]) - frames[:, :24])
        frames[:, 25] += depth * gone[:, 0]
    return motion
