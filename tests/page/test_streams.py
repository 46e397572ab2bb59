"""How the page divides what a camera or a video shows into phrases, against the Python that it mirrors, in Node.js."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from aslutils.reading.division import PHRASE_GAP, between_gaps, divided, overlong
from aslutils.reading.result import Reading
from aslutils.reading.stream import READ_EVERY, Stream
from aslutils.task.landmarks import COLUMNS, hand_seen
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import UNKNOWN, Verdict


@dataclass
class Recorder:
    """A recogniser that only remembers which frames it was given."""

    columns: list = field(default_factory=lambda: COLUMNS)
    given: list = field(default_factory=list)

    def read(self, frames, in_parts=True) -> Reading:
        self.given.append(frames)
        return Reading(Verdict.READ, "a", UNKNOWN, UNKNOWN, np.ones(1), len(frames), (0, 0), 0.0)


def hands(rng: np.random.Generator, count: int) -> list[bool]:
    """In which of the frames a hand is seen: runs of random length."""
    runs = [[bool(number % 2)] * int(rng.integers(1, rng.choice([5, 45, 500]))) for number in range(count)]
    return [seen for run in runs for seen in run]


def columns(number: int, seen: bool) -> np.ndarray:
    """A frame that says its number, with a hand or without."""
    frame = np.full(len(COLUMNS), np.nan, np.float32)
    frame[0] = number
    if seen:
        frame[COLUMNS.index("x_left_hand_3")] = 0.5
    return frame


@pytest.mark.parametrize("seed", range(6))
def test_a_stream_is_split_as_in_python(in_node, seed):
    seen = hands(np.random.default_rng(seed), 12)
    code = """
        import { PhraseStream } from "./stream.js";
        import { COLUMNS } from "./constants.js";
        const frame = (number, seen) => Float32Array.from(COLUMNS, ([axis, part, index], column) =>
            column === 0 ? number : seen && axis === "x" && part === "left_hand" && index === 3 ? 0.5 : NaN);
        function answer(seen) {
            const stream = new PhraseStream();
            const due = seen.map((hand, number) => [number, stream.add(frame(number, hand))]);
            return [...due, [seen.length, stream.finish()]].filter(([, found]) => found)
                .map(([number, { frames, complete }]) => [number, frames[0][0], frames.length, complete]);
        }"""
    recorder = Recorder()
    stream = Stream(recorder, READ_EVERY, MAX_FRAMES, PHRASE_GAP)
    expected = []
    for number, hand in enumerate(seen):
        reading = stream.add(columns(number, hand))
        if reading:
            expected.append((number, reading.complete))
    stream.finish()
    expected = [[number, int(frames[0, 0]), len(frames), complete]
                for (number, complete), frames in zip([*expected, (len(seen), True)], recorder.given, strict=True)
                if len(frames) and hand_seen(frames).any()]                     # the page does not read what shows no hand
    assert in_node(code, seen) == expected and len(expected) > 5


@pytest.mark.parametrize("seed", range(3))
def test_a_files_phrases_are_divided_as_in_python(in_node, seed):
    rng = np.random.default_rng(seed)
    lengths = [1, 383, 384, 385, 900, *rng.integers(1, 3000, 3).tolist()]
    seen = [hand for length in lengths for hand in [False] * 60 + [True] + (rng.random(length - 1) < 0.95).tolist()]
    code = """
        import { divided } from "./division.js";
        import { PhraseStream } from "./stream.js";
        import { COLUMNS } from "./constants.js";
        const frame = (number, seen) => Float32Array.from(COLUMNS, ([axis, part, index], column) =>
            column === 0 ? number : seen && axis === "x" && part === "left_hand" && index === 3 ? 0.5 : NaN);
        function answer(seen) {
            const stream = new PhraseStream();
            stream.window = Infinity;
            const due = seen.map((hand, number) => stream.add(frame(number, hand)));
            const shown = (columns) => columns.slice(1).some(Number.isFinite);
            const phrases = [...due, stream.finish()].filter((found) => found?.complete);
            return phrases.flatMap(({ frames }) => divided(frames)).map((part) => part.filter(shown).map(([number]) => number));
        }"""
    inputs = np.stack([columns(number, hand) for number, hand in enumerate(seen)])
    parts = between_gaps(np.array(seen), PHRASE_GAP, np.ones(len(seen)))
    parts = [part for phrase in parts for part in divided(np.array(seen), *phrase, MAX_FRAMES)]
    expected = [inputs[first:end][hand_seen(inputs[first:end]), 0].tolist() for first, end in parts]
    assert in_node(code, seen) == expected and len(expected) > len(lengths)


def test_a_cameras_jitter_ends_no_phrase_early(in_node):
    code = """
        import { Pace } from "./pace.js";
        import { PhraseStream } from "./stream.js";
        import { COLUMNS } from "./constants.js";
        function answer(apart) {
            const frame = (seen) => new Float32Array(COLUMNS.length).fill(seen ? 0.5 : NaN);
            const stream = new PhraseStream();
            let now = 1e6;
            const pace = new Pace(() => now);
            stream.add(frame(true), pace.next());
            return [apart.findIndex((time) => ((now += time), stream.add(frame(false), pace.next())?.complete)), pace.rate];
        }"""
    for wide in (1000 / 30, 40, 60):
        ended, rate = in_node(code, [wide, 2000 / 30 - wide] * 30)
        assert ended == PHRASE_GAP - 1 and 28 < rate < 32


def test_what_does_not_last_is_not_said(in_node):
    code = """
        import { steadily } from "./pace.js";
        function answer(given) {
            let now = 0;
            const steady = steadily(() => now);
            return given.map(([time, text]) => ((now = time), steady(text)));
        }"""
    given = [(0, "a"), (40, "b"), (80, "a"), (500, "b"), (900, "b"), (1490, "b"), (1501, "b"), (1510, "a"), (2600, "a")]
    assert in_node(code, given) == ["a"] * 6 + ["b"] * 2 + ["a"]


def test_a_slow_device_ends_a_phrase_as_soon_but_not_for_a_hand_that_is_missed_once(in_node):
    code = """
        import { PhraseStream } from "./stream.js";
        import { COLUMNS } from "./constants.js";
        const frame = (seen) => new Float32Array(COLUMNS.length).fill(seen ? 0.5 : NaN);
        function answer(paces) {
            return paces.map((elapsed) => {
                const stream = new PhraseStream();
                for (let number = 0; number < 20; number++) stream.add(frame(true), elapsed);
                for (let unseen = 1; ; unseen++) if (stream.add(frame(false), elapsed)?.complete) return unseen;
            });
        }"""
    assert in_node(code, [1, 2, 6, 60]) == [PHRASE_GAP, PHRASE_GAP / 2, 5, 5]


def test_a_pause_ends_a_phrase_as_in_python(in_node):
    code = """
        import { PhraseStream } from "./stream.js";
        import { COLUMNS } from "./constants.js";
        function answer([hands, elapsed]) {
            const stream = new PhraseStream();
            const frame = (seen) => new Float32Array(COLUMNS.length).fill(seen ? 0.5 : NaN);
            const due = hands.map((seen, number) => stream.add(frame(seen), elapsed[number]));
            return [...due, stream.finish()].flatMap((found, at) => found?.complete ? [[at, found.frames.length]] : []);
        }"""
    hands, elapsed = [False] * 9 + [True] * 40, [1] * 49
    elapsed[4] = elapsed[30] = 150
    recorder = Recorder()
    stream = Stream(recorder, READ_EVERY, MAX_FRAMES, PHRASE_GAP)
    ended = [number for number, hand in enumerate(hands)
             if (reading := stream.add(columns(number, hand), elapsed[number])) and reading.complete]
    stream.finish()
    assert in_node(code, [hands, elapsed]) == [[30, 30], [49, 19]] and ended == [30]
    assert [len(frames) for frames in recorder.given][-1] == 19 and 30 in map(len, recorder.given)


def test_overlong_ends_are_cut_as_in_python(in_node, recognizer):
    rng = np.random.default_rng(0)
    cases = [[False] * 40, [], [True], *(hands(rng, int(rng.integers(1, 6))) for _ in range(60))]
    code = """
        import { overlong } from "./division.js";
        const answer = (cases) => cases.map((seen) => overlong(seen));"""
    expected = [list(map(int, overlong(np.array(seen, bool), recognizer.usual_end))) for seen in cases]
    assert in_node(code, cases) == expected and np.sum(expected) > 0
