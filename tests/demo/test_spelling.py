"""How a participant's hand spells: motion, doubled and drawn letters, and fingers that come together or each in their time."""

import numpy as np

from aslutils.demo.hand import limited, pose_hand
from aslutils.demo.handshapes import shapes
from aslutils.demo.spelling import key_frames, spell
from aslutils.demo.writer import participant


def test_a_hand_moves_smoothly_and_its_fingers_each_in_their_own_time():
    halfway = []
    for number in range(20):
        motion, _ = spell("ab", participant(1, number), 60, np.random.default_rng(number))
        moving = np.ptp(motion, axis=0) > 20                            # degrees
        motion = (motion[:, moving] - motion[0, moving]) / np.ptp(motion[:, moving], axis=0)
        assert np.abs(np.diff(motion, axis=0)).max() < 0.4              # no channel goes all its way at once
        halfway.append(np.ptp((np.abs(motion) > 0.5).argmax(0)))
    assert np.median(halfway) >= 1                                      # frames


def test_doubled_letters_travel_or_tap_and_single_ones_rest():
    for number in range(8):
        person = participant(1, number)
        rng = np.random.default_rng(0)
        single, double = key_frames("l", person, rng)[0], key_frames("ll", person, rng)[0]
        assert len(single) == 1 and len(double) == 3
        travelled = np.abs(double[2, 24:] - double[0, 24:]).max()
        opened = np.abs(double[1, :21] - double[0, :21]).max()
        assert travelled > 0.3 or opened > 10


def test_a_hand_that_is_not_seen_at_the_ends_mostly_sinks():
    sunk = []
    for number in range(40):
        motion, shown = spell("ab", participant(1, number), 40, np.random.default_rng(number), (12, 20))
        assert motion.shape == (72, 27) and shown.shape == (72,)
        assert (shown[:12] == -1).all() and (shown[-20:] == -1).all()
        sunk.append(motion[0, 25] - motion[12, 25] > 0.8 and motion[-1, 25] - motion[-21, 25] > 0.8)
    assert 0.3 < np.mean(sunk) < 0.9


def test_a_hand_that_rests_is_still_loosened_or_lowered_but_not_far():
    changed, sunk = [], []
    for number in range(60):
        motion, places = spell("ab", participant(1, number), 20, np.random.default_rng(number), rests=(0, 80))
        assert len(motion) == len(places) == 100 and (places[20:] == -1).all()
        last, resting = motion[19], motion[-60:]
        assert np.allclose(resting, resting[-1])
        sunk.append(resting[-1, 25] - last[25])
        changed.append(np.abs(resting[-1, :21] - last[:21]).mean() > 5 or sunk[-1] > 0.5)
    assert np.mean(changed) > 0.8 and 1.5 < max(sunk) <= 3 and min(sunk) > -1e-9


def test_each_frame_is_said_to_show_the_character_whose_shape_the_hand_has():
    nearest = []
    for number in range(40):
        person, rng = participant(4711, number), np.random.default_rng(number)
        motion, shown = spell("clown", person, 80, rng)
        assert set(shown) == {-1, 0, 1, 2, 3, 4} and (np.diff(shown[shown >= 0]) >= 0).all()
        shapes = np.array([person.ways[letter].angles for letter in "clown"])
        gaps = np.abs(motion[:, None, :21] - shapes).mean(2)                                   # (T, 5), degrees
        nearest.append((gaps.argmin(1) == shown)[shown >= 0].mean())
    assert np.mean(nearest) > 0.95


def test_on_its_way_within_a_moving_letter_a_hand_shows_that_letter_and_between_doubled_ones_none():
    for number in range(20):
        person = participant(4711, number)
        moving = spell("j", person, 40, np.random.default_rng(number))[1]
        assert (np.diff(np.flatnonzero(moving == 0)) == 1).all()
        doubled = spell("ll", person, 60, np.random.default_rng(number))[1]
        last, first = np.flatnonzero(doubled == 0)[-1], np.flatnonzero(doubled == 1)[0]
        assert first > last + 1 and (doubled[last + 1:first] == -1).all()


def test_people_draw_moving_letters_large_and_small():
    sizes = [np.ptp(key_frames("z", participant(4, number, 1.0), np.random.default_rng(0))[0][:, 24])
             for number in range(200)]
    low, high = np.quantile(sizes, [0.05, 0.95])                        # palms; two real signers: 0.6 and 1.0
    assert 0.4 < low < 0.65 and 1.2 < high < 1.6


def test_fingers_are_as_uneven_on_their_way_as_a_rendered_hand_s(shared):
    """How far apart, in frames, the fingers that bend or stretch between two letters are when each is half there."""
    transitions = np.load(shared / "realdata/hands/letter_transitions_rendered.npz")
    real = [_unevenness(transitions[name].astype(float)[::2]) for name in transitions.files if "rest" not in name]
    real = np.nanquantile(real, [0.75, 0.9])

    def made(varied):
        rng, spreads = np.random.default_rng(0), []
        for number in range(1200):
            person = participant(4711, number % 100, varied)
            letters = rng.choice(list("abcdefghiklmnopqrstuvwxy"), 2, replace=False)
            motion = spell("".join(letters), person, 30, rng)[0][8:23]                     # 15 frames a letter, as there
            spreads.append(_unevenness(pose_hand(limited(motion[:, :21]), motion[:, 21:24], person.hand)))
        return np.nanquantile(spreads, [0.75, 0.9])

    assert np.allclose(made(varied=1.0), real, atol=0.4)
    assert (made(varied=0.0) < real - 0.2).all()                      # the demo's move more together: easier to learn


def test_varied_people_have_more_ways_strokes_of_other_sizes_and_their_own_timing():
    person, varied = participant(1, 2), participant(1, 2, varied=1.0)
    assert person.stroke == 1 != varied.stroke
    motions = [spell("maple", who, 60, np.random.default_rng(3))[0] for who in (person, person, varied)]
    assert np.array_equal(motions[0], motions[1]) and np.abs(motions[0] - motions[2]).max() > 10                # degrees
    more = {name for name, ways in shapes(varied=True).items() if len(ways) > len(shapes()[name])}
    assert more == {"a", "b", "e"} and shapes(varied=True).keys() == shapes().keys()


def _unevenness(hands: np.ndarray) -> float:
    """The standard deviation of the moments at which fingers (T, 21, 3) are half way, NaN unless two go far."""
    chains = hands[:, 1:].reshape(len(hands), 5, 4, 3)
    bones = np.diff(np.concatenate([np.broadcast_to(hands[:, :1, None], (len(hands), 5, 1, 3)), chains], 2), axis=2)
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    bent = np.degrees(np.arccos(np.clip((bones[:, :, 1:] * bones[:, :, :-1]).sum(-1), -1, 1))).sum(-1)     # (T, 5)
    way = bent[-1] - bent[0]
    far = np.abs(way) > 60
    return np.std((((bent - bent[0]) / np.where(far, way, 1))[:, far] > 0.5).argmax(0)) if far.sum() > 1 else np.nan
