"""Hand-less ends, hands without depth, and recordings and streams that are split into phrases."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_corpus import as_points, made_values
from tiny_tflite import constant_model, frame_count_model, hasty_model

from aslutils.reading.recognizer import Recognizer
from aslutils.reading.stream import Stream
from aslutils.system.errors import UserError
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, HANDS
from aslutils.task.preprocess import MAX_FRAMES
from aslutils.task.rejection import Verdict
from aslutils.task.text import DUMMY_PHRASE


def table(length: int = 30, seed: int = 1) -> pd.DataFrame:
    return pd.DataFrame(made_values(length, seed), columns=ALL_COLUMNS)


def test_a_stream_reads_at_its_rhythm_and_when_its_window_is_full(export):
    stream = Recognizer(export).stream(every=10, window=25)
    readings = [stream.add(frame) for frame in as_points(table(45))]
    assert [index + 1 for index, reading in enumerate(readings) if reading is not None] == [10, 20, 25, 35, 45]
    assert readings[9].text is None and readings[19].text == "ab"
    assert readings[24].complete and readings[24].length == 25 and stream.finish().length == 20
    assert stream.finish().length == 0                                   # finish begins another phrase
    assert [stream.add(frame) is not None for frame in as_points(table(10))] == [False] * 9 + [True]
    with pytest.raises(ValueError, match="every is 0"):
        Recognizer(export).stream(every=0)


def hands_between(before: int, seen: int, after: int, seed: int = 1) -> np.ndarray:
    """Columns (T, 390) in which a hand is seen only in the middle frames."""
    values = np.random.default_rng(seed).random((before + seen + after, 390), np.float32)
    hands = values.reshape(len(values), 3, 130)[:, :, HANDS]
    hands[:before] = hands[before + seen:] = np.nan
    values.reshape(len(values), 3, 130)[:, :, HANDS] = hands
    return values


@pytest.mark.parametrize("limit, ends, expected", [
    (5, (20, 8), (15, 3)), (5, (5, 4), (0, 0)), (0, (20, 8), (20, 8)), (None, (20, 8), (0, 0)), (40, (20, 8), (0, 0))])
def test_hand_less_ends_are_cut_to_what_the_training_had(limit, ends, expected, tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    said = {"selected_columns": COLUMNS} | ({} if limit is None else {"usual_end": limit})
    (tmp_path / "inference_args.json").write_text(json.dumps(said))
    recognizer, given = Recognizer(tmp_path), hands_between(ends[0], 30, ends[1])
    reading = recognizer.read(given)
    assert reading.cut == expected and reading.length == len(given)
    assert len(reading.spelled) == len(given) - sum(expected)            # the model says a character a frame


def test_a_cut_leaves_enough_to_read_and_cuts_nothing_without_a_hand(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("a"))
    (tmp_path / "inference_args.json").write_text(json.dumps({"selected_columns": COLUMNS, "usual_end": 2}))
    recognizer = Recognizer(tmp_path)
    for before, seen, after in ((40, 1, 40), (0, 3, 60), (60, 3, 0), (7, 1, 7)):
        reading = recognizer.read(hands_between(before, seen, after))
        assert reading.length - sum(reading.cut) >= 15 and reading.text == "a"
    assert recognizer.read(hands_between(50, 0, 0)).cut == (0, 0)
    assert recognizer.read(hands_between(4, 3, 4)).reason.startswith("too short")


@pytest.mark.parametrize("value", ["soon", -1, 2.5, True])
@pytest.mark.parametrize("name, unit", [("usual_end", "frames"), ("usual_characters", "characters")])
def test_what_is_usual_and_no_number_is_named(name, unit, value, tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("a"))
    (tmp_path / "inference_args.json").write_text(json.dumps({"selected_columns": COLUMNS, name: value}))
    with pytest.raises(ValueError, match=f"inference_args.json: {name} is .*expected a whole number of {unit}"):
        Recognizer(tmp_path)


def hasty(folder, usual: int | None, text: str = "abc") -> Recognizer:
    """A recogniser that is the less certain of `text` the longer a sequence is; usual: characters of its training."""
    (folder / "model.tflite").write_bytes(hasty_model(text))
    said = {"selected_columns": COLUMNS} | ({} if usual is None else {"usual_characters": usual})
    (folder / "inference_args.json").write_text(json.dumps(said))
    return Recognizer(folder)


@pytest.mark.parametrize("usual, text, frames, parts", [
    (2, "abc", 59, 1), (2, "abc", 62, 1), (2, "abc", 70, 2), (2, "abc", 384, 2), (2, "abcde", 384, 4), (2, "abcde", 100, 3),
    (4, "abcde", 384, 2), (5, "abcde", 384, 1), (0, "abc", 384, 1), (None, "abc", 384, 1)])
def test_a_text_longer_than_the_trainings_is_read_in_parts_where_that_is_surer(usual, text, frames, parts, tmp_path):
    recognizer = hasty(tmp_path, usual, text)
    reading, whole = recognizer.read(hands_between(0, frames, 0)), recognizer.read(hands_between(0, frames, 0), in_parts=False)
    assert (reading.parts, reading.text, reading.length) == (parts, parts * text, frames)
    assert len(reading.probabilities) == len(text) * parts
    assert reading.certainty == pytest.approx(min(60 * parts / frames, 1), rel=0.02)
    assert (whole.parts, whole.text) == (1, text) and reading.milliseconds > 0


def test_hand_less_ends_are_cut_before_a_phrase_is_divided(tmp_path):
    recognizer = hasty(tmp_path, 2)
    recognizer.usual_end = 0
    reading = recognizer.read(hands_between(100, 80, 0))
    assert (reading.parts, reading.cut, reading.certainty) == (2, (100, 0), 1.0)     # not half of it without a hand


def test_a_stream_reads_in_parts_only_what_is_complete(tmp_path):
    stream = hasty(tmp_path, 2).stream(every=50)
    readings = list(filter(None, map(stream.add, hands_between(0, 110, 40))))
    assert [(reading.complete, reading.parts) for reading in readings] == [(False, 1), (False, 1), (True, 2)]


@pytest.mark.parametrize("of_a_part, parts", [
    (Verdict.READ, 2), (Verdict.NO_HANDS, 2), (Verdict.UNSURE, 1), (Verdict.NO_TEXT, 1)])
def test_parts_count_only_if_all_that_show_a_hand_are_read(of_a_part, parts, tmp_path, monkeypatch):
    recognizer = hasty(tmp_path, 2)
    whole, surest = (recognizer.read(hands_between(0, frames, 0), in_parts=False) for frames in (200, 60))
    known = {} if of_a_part is Verdict.READ else {"spelled": "", "certainty": np.nan if of_a_part is Verdict.NO_HANDS else 0.05}
    readings = iter([whole, surest, replace(surest, verdict=of_a_part, **known)])
    monkeypatch.setattr(recognizer, "_read", lambda inputs: next(readings))
    reading = recognizer.read(hands_between(0, 200, 0))
    assert reading.parts == parts and reading.text == ("abcabc" if of_a_part is Verdict.READ else "abc")
    assert parts == 1 or reading.certainty == pytest.approx(1.0 if of_a_part is Verdict.READ else 0.5)


@pytest.mark.parametrize("depth", [0.0, 0.25, np.nan, "noise"])
def test_hands_without_depth_are_rejected_and_the_reason_says_so(export, depth):
    values = hands_between(3, 30, 3)
    depth = 1e-6 * np.random.default_rng(1).random((30, 42)) if depth == "noise" else depth
    values.reshape(len(values), 3, 130)[3:33, 2, HANDS] = depth
    assert Recognizer(export).read(values).reason.startswith("no depth: the hands' z is 0, constant or missing")


def test_a_stream_ends_a_phrase_when_no_hand_was_seen_for_a_second_and_never_mixes_two(export):
    stream = Recognizer(export).stream(every=1000)
    frames = np.concatenate([hands_between(50, 40, 45), hands_between(0, 25, 10), hands_between(0, 20, 80)])
    complete = [(index, reading) for index, frame in enumerate(frames) if (reading := stream.add(frame))]
    assert [index for index, _ in complete] == [50 + 40 + 30 - 1, 135 + 25 + 10 + 20 + 30 - 1]
    assert [reading.length for _, reading in complete] == [30 + 40 + 30, 15 + 25 + 10 + 20 + 30]  # a gap of 10 ends no phrase
    assert all(reading.complete and reading.text == "ab" for _, reading in complete)
    assert stream.finish().reason == "no hands seen"
    seldom = Recognizer(export).stream(every=1000, gap=0)
    assert not any(seldom.add(frame) for frame in frames) and seldom.finish().length == len(frames)
    with pytest.raises(ValueError, match="gap is -1 frames"):
        Recognizer(export).stream(gap=-1)


def test_a_window_shorter_than_a_gap_still_holds_the_phrase(export):
    stream = Recognizer(export).stream(every=1000, window=25)
    complete = list(filter(None, map(stream.add, hands_between(40, 60, 40))))
    assert [reading.length for reading in complete] == [30 + 25, 25, 10 + 30]
    assert all(reading.text == "ab" for reading in complete)
    endless = Recognizer(export).stream(every=1000, window=25, gap=0)
    assert not any(map(endless.add, hands_between(0, 60, 200))) and endless.finish().length == 25


def test_a_long_recording_is_read_phrase_by_phrase(tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    recognizer = Recognizer(tmp_path)
    frames = np.concatenate([hands_between(50, 40, 45), hands_between(0, 25, 10), hands_between(0, 20, 80)])
    readings = recognizer.phrases(frames)
    assert [reading.length for reading in readings] == [30 + 40 + 22, 23 + 25 + 10 + 20 + 30]
    assert [len(reading.text) for reading in readings] == [reading.length for reading in readings]
    assert [reading.length for reading in recognizer.phrases(frames, gap=46)] == [46 + 40 + 45 + 25 + 10 + 20 + 46]
    assert recognizer.phrases(hands_between(40, 0, 0))[0].reason == recognizer.phrases([])[0].reason == "no hands seen"


def test_a_hand_that_stays_in_view_ends_a_phrase_with_the_window_and_nothing_is_forgotten(tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    stream, frames = Recognizer(tmp_path).stream(every=1000), hands_between(60, 900, 40)
    frames[400:420] = np.nan                                                     # too short to end a phrase
    ended = {index: reading for index, frame in enumerate(frames) if (reading := stream.add(frame))}
    assert list(ended) == [60 + MAX_FRAMES - 1, 60 + 2 * MAX_FRAMES - 1, 960 + 30 - 1]
    assert all(reading.complete for reading in ended.values())
    assert sum(reading.length for reading in ended.values()) == 960 + 30 - 30


def test_what_a_recording_shows_for_longer_than_the_model_takes_is_divided_evenly(tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    recognizer = Recognizer(tmp_path)
    for seen, expected in ((MAX_FRAMES, [10 + MAX_FRAMES + 20]), (MAX_FRAMES + 1, [10 + 192, 193 + 20]),
                           (3 * MAX_FRAMES, [10 + MAX_FRAMES, MAX_FRAMES, MAX_FRAMES + 20])):
        assert [reading.length for reading in recognizer.phrases(hands_between(10, seen, 20))] == expected
    (late,) = recognizer.phrases(hands_between(900, 100, 700))
    assert late.length == 30 + 100 + 30                                          # as a stream keeps it


def test_a_model_of_fewer_frames_is_given_no_more(tmp_path, monkeypatch):
    (tmp_path / "model.tflite").write_bytes(constant_model("ab"))
    recognizer = Recognizer(tmp_path)
    monkeypatch.setattr(recognizer.model, "frames", 128)
    assert recognizer.stream().window == 128 and recognizer.stream(window=50).window == 50
    assert [reading.length for reading in recognizer.phrases(hands_between(0, 300, 0))] == [100, 100, 100]


def test_a_pause_of_the_camera_ends_a_phrase_even_if_a_hand_is_in_view_before_and_after_it(tmp_path):
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    recognizer, frames = Recognizer(tmp_path), hands_between(0, 60, 0)
    for pause, lengths in ((149, [60]), (150, [25, 35]), (18_000, [25, 35])):
        elapsed = np.where(np.arange(60) == 25, pause, 1.0)
        assert [reading.length for reading in recognizer.phrases(frames, elapsed=elapsed)] == lengths
        stream = recognizer.stream(every=1000)
        ended = list(filter(None, map(stream.add, frames, elapsed)))
        assert [reading.length for reading in [*ended, stream.finish()]] == lengths and all(reading.complete for reading in ended)


def test_a_rejection_of_a_model_without_probabilities_is_none_of_its_texts(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model(DUMMY_PHRASE))
    reading = Recognizer(tmp_path).read(hands_between(0, 40, 0))
    assert reading.text is None and reading.verdict is Verdict.NO_TEXT


@pytest.mark.parametrize("elapsed", [-1, np.nan, "x", None, -np.inf])
def test_a_time_that_is_none_is_named(elapsed, export):
    recognizer, frames = Recognizer(export), hands_between(0, 20, 0)
    with pytest.raises(UserError, match=f"elapsed is {elapsed!r}; expected thirtieths of a second"):
        recognizer.stream().add(frames[0], elapsed)
    with pytest.raises(UserError, match="elapsed is .*; expected thirtieths of a second"):
        recognizer.phrases(frames, elapsed=elapsed)


@pytest.mark.parametrize("count", [0, 1, 19, 21])
def test_as_many_times_as_frames_are_asked_for(count, export):
    recognizer, frames = Recognizer(export), hands_between(0, 20, 0)
    with pytest.raises(UserError, match="elapsed is .*at least 0, one number or one for each of 20 frames"):
        recognizer.phrases(frames, elapsed=[1.0] * count)
    with pytest.raises(UserError, match="elapsed is .*at least 0$"):
        recognizer.stream().add(frames[0], [1.0] * count)


def test_without_a_gap_a_recording_is_one_phrase_as_a_stream_takes_it(export):
    frames = np.concatenate([hands_between(0, 20, 100), hands_between(0, 20, 0)])
    assert [reading.length for reading in Recognizer(export).phrases(frames, gap=0)] == [140]
    with pytest.raises(UserError, match="gap is -1 frames"):
        Recognizer(export).phrases(frames, gap=-1)


def test_a_stream_ends_what_fits_where_phrases_does(tmp_path):
    """Frames before the hand do not count, or the phrase's last frame would be a phrase of its own."""
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    recognizer, frames = Recognizer(tmp_path), hands_between(30, MAX_FRAMES - 1, 60)
    stream = recognizer.stream(every=1000)
    (ended,) = filter(None, map(stream.add, frames))
    assert ended.length == 30 + MAX_FRAMES - 1 + 30 and len(recognizer.phrases(frames)) == 1


def test_what_was_thinned_too_much_to_be_read_is_told(tmp_path):
    (tmp_path / "model.tflite").write_bytes(constant_model("ab", confidence=0.05))
    for frames, told in ((2 * MAX_FRAMES, False), (2000, True)):
        reading = Recognizer(tmp_path).read(hands_between(0, frames, 0))
        assert reading.text is None and reading.reason.endswith(f"; {frames} frames were thinned to 384") == told


@pytest.mark.parametrize("elapsed, unseen", [(0.5, 60), (0.6, 50), (1.0, 30), (1.2, 25), (3.0, 10), (30.0, 5)])
def test_a_phrase_ends_after_a_second_at_every_rate_but_not_before_five_frames(export, elapsed, unseen):
    frames = hands_between(0, 20, 70)
    stream = Recognizer(export).stream(every=1000)
    (ended,) = [index for index, frame in enumerate(frames) if stream.add(frame, elapsed)]
    assert ended == 20 + unseen - 1
    for away, phrases, seen in ((unseen - 1, 1, 20), *((unseen, 2, seen) for seen in range(20, 40))):
        recording = np.concatenate([hands_between(0, seen, away), hands_between(0, 20, 0)])
        assert len(Recognizer(export).phrases(recording, elapsed=elapsed)) == phrases
        assert len(Recognizer(export).phrases(recording, elapsed=np.full(len(recording), elapsed))) == phrases


def test_a_stream_keeps_what_it_was_given_when_the_caller_fills_the_array_anew(tmp_path):
    seen, frame = [], np.empty(390, np.float32)
    stream = Stream(SimpleNamespace(columns=COLUMNS, read=lambda frames, **_: seen.append(frames)), every=1000, window=100, gap=0)
    frames = hands_between(0, 20, 0)
    for frame[:] in frames:
        stream.add(frame)
    stream.finish()
    np.testing.assert_array_equal(seen[0], frames)


def test_a_reading_within_a_phrase_says_that_it_goes_on(export):
    stream = Recognizer(export).stream(every=20)
    readings = list(filter(None, map(stream.add, hands_between(0, 45, 30))))
    assert [reading.complete for reading in readings] == [False, False, False, True]
