"""The embedded demo data: the competition's layout, the same bytes, and sequences as the real ones are."""

import json
import re
import shutil
from itertools import groupby

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from aslutils.__main__ import main
from aslutils.demo import writer as demo
from aslutils.demo.gestures import GESTURES, gesture
from aslutils.demo.signer import CORRUPTIONS, Recording, record, recorded
from aslutils.demo.writer import DemoConfig, landmarks_of, participant, plan, write_demo
from aslutils.run.stages import FOLDS, SEEDS, defaults
from aslutils.task.landmarks import ALL_COLUMNS
from aslutils.task.text import CHARACTERS, phrase_kind

pytestmark = pytest.mark.slow

SMALL = {"sequences": 50, "supplemental": 12, "participants": 5, "file_sequences": 20, "corrupted": 0.2, "gestures": 0.2}
LEFT, RIGHT, FACE = slice(468, 489), slice(522, 543), slice(0, 468)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("demo") / "data", **SMALL)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def signing(person, frames):
    return frames[:, LEFT if person.left_handed else RIGHT]


def test_the_command_and_the_notebooks_write_the_same_data():
    for stage in (FOLDS, SEEDS):
        given = defaults(stage)
        for name in ("sequences", "supplemental", "participants", "seed"):
            assert given[f"demo_{name}"] == getattr(DemoConfig(), name)
        assert (1, given["demo_characters"]) == DemoConfig().characters
        assert (given["demo_pace"], given["demo_missing"]) == (DemoConfig().frames_per_character, DemoConfig().missing)
        for name in ("long", "resting", "varied"):
            assert given[f"demo_{name}"] == getattr(DemoConfig(), name)


def test_the_layout_is_the_competitions(written, shared):
    real = shared / "realdata/competition"
    for name in ("train.csv", "supplemental_metadata.csv"):
        assert list(pd.read_csv(written / name).columns) == [*pd.read_csv(real / name).columns, "shown"]
    index = "character_to_prediction_index.json"
    assert json.loads((written / index).read_text()) == json.loads((real / index).read_text())
    ours = pq.read_schema(next((written / "train_landmarks").glob("*.parquet")))
    theirs = pq.read_schema(next((real / "train_landmarks").glob("*.parquet")))
    assert ours.equals(theirs)                                          # names, order and types
    assert json.loads(ours.metadata[b"pandas"])["index_columns"] == json.loads(theirs.metadata[b"pandas"])["index_columns"]


def test_the_tables_say_what_each_frame_shows(written):
    kinds = pd.read_csv(written / "unreadable.csv").set_index("sequence_id")["kind"]
    for name in ("train.csv", "supplemental_metadata.csv"):
        table = pd.read_csv(written / name, dtype={"phrase": str}, keep_default_na=False)
        for path, rows in table.groupby("path"):
            lengths = pd.read_parquet(written / path, columns=["frame"]).groupby(level=0).size()
            for row in rows.itertuples():
                kind = kinds.get(row.sequence_id, "")
                if kind in CORRUPTIONS:
                    assert row.shown == ""
                    continue
                assert len(row.shown) == lengths[row.sequence_id]
                if kind:
                    assert set(row.shown) == {"·"}                      # nobody spells
                else:
                    seen, phrase = [symbol for symbol, _ in groupby(row.shown) if symbol != "·"], iter(row.phrase)
                    assert seen and all(character in phrase for character in seen)          # each once, in their order


def test_files_hold_what_the_tables_say(written):
    for name in ("train.csv", "supplemental_metadata.csv"):
        for path, rows in pd.read_csv(written / name).groupby("path"):
            frames = pd.read_parquet(written / path)
            assert frames.index.name == "sequence_id" and list(frames.columns) == ["frame", *ALL_COLUMNS]
            assert list(dict.fromkeys(frames.index)) == list(rows.sequence_id)
            assert (rows.file_id == int(path.split("/")[1].removesuffix(".parquet"))).all()
            for _, sequence in frames.groupby(level=0):
                assert (sequence.frame == range(len(sequence))).all()


def test_rows_are_the_sequences(written):
    config = DemoConfig(**SMALL)
    row = next(plan(config).itertuples())
    frames = pd.read_parquet(written / row.path).loc[row.sequence_id, ALL_COLUMNS].to_numpy()
    assert np.array_equal(frames.reshape(-1, 3, 543).transpose(0, 2, 1), landmarks_of(config, row), equal_nan=True)


def test_row_groups_hold_whole_sequences(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "ROW_GROUP_FRAMES", 100)
    out = write_demo(tmp_path / "data", sequences=20, supplemental=0, participants=3)
    file = pq.ParquetFile(next(out.rglob("*.parquet")))
    groups = [set(file.read_row_group(i, ["sequence_id"])["sequence_id"].to_pylist()) for i in range(file.num_row_groups)]
    assert len(groups) > 2 and sum(map(len, groups)) == len(set.union(*groups)) == 20


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(written, tmp_path):
    assert contents(write_demo(tmp_path / "same", **SMALL, workers=2)) == contents(written)
    other = contents(write_demo(tmp_path / "other", **SMALL, seed=2))
    assert not {name for name in other if name.endswith("parquet")} & set(contents(written))


def test_a_finished_folder_is_left_alone_and_an_interrupted_one_is_gone_on_with(written, tmp_path, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    out = tmp_path / "data"
    with monkeypatch.context() as patch:
        made = []
        patch.setattr(demo, "recorded", lambda *row: made.append(row) or recorded(*row) if len(made) < 30 else cut())
        with pytest.raises(KeyboardInterrupt):
            write_demo(out, **SMALL)
    names = [path.name for path in out.rglob("*") if path.is_file()]
    assert len(names) == 2 and not [name for name in names if name.startswith(".")]               # one whole file, demo.json
    assert contents(write_demo(out, **SMALL)) == contents(written)
    monkeypatch.setattr(demo, "recorded", cut)
    write_demo(out, **SMALL)


def test_a_folder_with_other_content_is_refused(written, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="something else; choose another folder"):
        write_demo(tmp_path, **SMALL)
    with pytest.raises(FileExistsError, match="another demo data set"):
        write_demo(written, **SMALL | {"seed": 3})


def test_data_written_before_there_was_a_field_are_those_of_its_default(written, tmp_path):
    shutil.copytree(written, tmp_path / "data")
    note = json.loads((tmp_path / "data" / "demo.json").read_text())
    assert note["config"].pop("varied") == 0
    (tmp_path / "data" / "demo.json").write_text(json.dumps(note))
    write_demo(tmp_path / "data", **SMALL)
    with pytest.raises(FileExistsError, match="another demo data set"):
        write_demo(tmp_path / "data", **SMALL, varied=0.5)


@pytest.mark.parametrize("options, message", [
    ({"sequences": 0}, "sequences is 0"), ({"participants": 0}, "participants is 0"),
    ({"supplemental": -1}, "supplemental is -1"), ({"seed": -1}, "seed is -1"), ({"characters": (4, 2)}, "characters is 4, 2"),
    ({"corrupted": 1.0}, "corrupted is 1.0"), ({"gestures": -0.1}, "gestures is -0.1"),
    ({"corrupted": 0.5, "gestures": 0.5}, "leave no sequence that spells"), ({"missing": -0.1}, "missing is -0.1"),
    ({"varied": 1.5}, "varied is 1.5"), ({"long": -0.1}, "long is -0.1"), ({"resting": 1.5}, "resting is 1.5"),
    ({"frames_per_character": 0.0}, "above 0"), ({"phrases": ("naïve",)}, "'naïve'.*'ï'"), ({"phrases": ("ok", "")}, "empty"),
])
def test_a_configuration_that_makes_no_sense_is_named(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_demo(tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


def test_the_command_line_spells_the_phrases_of_a_file(tmp_path, capsys):
    (tmp_path / "phrases.txt").write_text("3 creekhouse\n\nscales/kuhaylah\n+1-555-0100\n")
    main(["demo", str(tmp_path / "out"), "--phrases", str(tmp_path / "phrases.txt"), "--participants", "2", "--seed", "7",
               "--sequences", "6", "--supplemental", "3"])
    table = pd.read_csv(tmp_path / "out/train.csv")
    assert sorted(table.phrase) == sorted(["3 creekhouse", "scales/kuhaylah", "+1-555-0100"] * 2)
    assert "6 training and 3 supplemental sequences" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/demo.json").read_text())["config"]["varied"] == 0


def test_varied_people_are_a_parameter_of_the_data(tmp_path):
    main(["demo", str(tmp_path / "out"), "--varied", "1", "--sequences", "1", "--supplemental", "0", "--participants", "1"])
    assert json.loads((tmp_path / "out/demo.json").read_text())["config"]["varied"] == 1
    even, varied = DemoConfig(**SMALL), DemoConfig(**SMALL, varied=1.0)
    (_, row), *_ = plan(even)[plan(even)["kind"] == ""].iterrows()
    assert not np.array_equal(landmarks_of(even, row), landmarks_of(varied, row), equal_nan=True)
    half, most = ([participant(7, number, share).varied for number in range(400)] for share in (0.5, 0.8))
    assert 170 < sum(half) < 230 and 300 < sum(most) < 340 and not any(few and not many for few, many in zip(half, most))


def test_a_share_of_the_phrases_may_be_as_long_as_the_corpus():
    usual, mixed, long = (plan(DemoConfig(sequences=2000, supplemental=0, gestures=0, long=share)).phrase.str.len()
                          for share in (0.0, 0.25, 1.0))
    assert usual.max() == 8 and 0.2 < (mixed > 8).mean() < 0.3 and (long > 8).mean() > 0.9
    assert mixed.max() == long.max() == 31
    assert plan(DemoConfig(sequences=500, supplemental=0, gestures=0, characters=(5, 8), long=0.5)).phrase.str.len().min() == 5


def test_a_hand_may_rest_in_view_before_or_after_it_spells():
    config = DemoConfig(sequences=300, supplemental=0, participants=50, missing=0, corrupted=0.1, gestures=0.1, resting=0.3)
    before, after, seen = [], [], []
    for row in plan(config).itertuples():
        frames, places = demo.recorded(*demo._arguments(config, row))
        shown = np.flatnonzero(places >= 0)
        if row.kind:                                                    # what is cut from corrupted ones must not be a rest
            assert np.count_nonzero(places < 0) < 60 or row.kind in GESTURES
        elif len(frames) - (shown[-1] + 1 - shown[0]) > 40:
            before.append(shown[0] > 20)
            after.append(len(frames) - shown[-1] > 20)
            hands = ~np.isnan(frames[:, [LEFT.start, RIGHT.start], 0]).all(1)
            seen.append(np.delete(hands, slice(shown[0], shown[-1] + 1)).mean())
    assert 0.12 < len(seen) / 300 < 0.3 and sum(after) > sum(before) > 0
    assert np.mean(seen) > 0.9                                          # else a camera would not see what is to be learnt
    without = DemoConfig(**vars(config) | {"resting": 0.0})
    assert not any(np.count_nonzero(demo.shown(*demo._arguments(without, row)) < 0) > 60
                   for row in plan(without).itertuples() if row.kind not in GESTURES)


@pytest.mark.parametrize("arguments, message", [
    (["--participants", "0"], "participants is 0"), (["--phrases", "empty.txt"], "holds no phrase"),
    (["--phrases", "missing.txt"], "missing.txt"), (["--phrases", "odd.txt"], "'grün'.*'ü'"),
    (["--phrases", "old.txt"], "old.txt is not UTF-8 text"),
])
def test_the_command_line_says_what_is_wrong_without_a_traceback(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "odd.txt").write_text("gray\ngrün\n", encoding="utf-8")
    (tmp_path / "old.txt").write_text("grün\n", encoding="latin-1")
    assert main(["demo", "out", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_the_default_plan_has_all_kinds_and_every_letter_and_digit_often():
    table = plan(DemoConfig())
    train = table[~table.supplemental]
    assert table.sequence_id.is_unique and table.participant_id.nunique() == 400 and len(train) == 6000
    assert train.groupby("participant_id").size().eq(15).all()
    assert train.phrase.str.len().between(1, 8).all()
    assert train.phrase[train.kind == ""].map(phrase_kind).value_counts(normalize=True).min() > 0.1
    counts = train.phrase[train.kind == ""].map(list).explode().value_counts()
    alphanumeric = [character for character in CHARACTERS if character.isalnum()]
    assert counts[alphanumeric].min() > 200 and {*" -./+_"} < set(counts[counts > 40].index)
    supplemental = table[table.supplemental]
    assert len(supplemental) == 400 and supplemental.phrase.value_counts().median() >= 8


def test_the_stated_shares_are_corrupted_or_spell_nothing_in_every_way_and_are_listed(written):
    table = plan(DemoConfig())
    for kinds, share in ((CORRUPTIONS, 0.05), (GESTURES, 0.12)):
        assert abs(table.kind[~table.supplemental].isin(kinds).mean() - share) < 0.01
    assert set(table.kind) == {"", *CORRUPTIONS, *GESTURES} and (table.kind[table.supplemental] == "").all()
    assert table.phrase[table.kind.isin(GESTURES)].str.len().between(1, 3).all()
    small, listed = plan(DemoConfig(**SMALL)), pd.read_csv(written / "unreadable.csv")
    unreadable = small[small.kind != ""]
    assert listed.values.tolist() == unreadable[["file_id", "sequence_id", "kind"]].values.tolist()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_corruption_changes_the_sequence_its_way(kind):
    person = participant(1, 0)

    def recorded(corruption):
        return record(person, "elm st 42", Recording(missing=0.0), np.random.default_rng(5), corruption)

    good, corrupted = recorded(""), recorded(kind)
    if kind == "late":
        assert len(corrupted) < len(good) / 2 and np.array_equal(corrupted, good[-len(corrupted):], equal_nan=True)
    elif kind == "early":
        assert len(corrupted) < len(good) / 2 and np.array_equal(corrupted, good[:len(corrupted)], equal_nan=True)
    elif kind == "unseen":
        assert np.isnan(signing(person, corrupted)).mean() > 0.7
    else:
        assert np.nanmean(np.abs(signing(person, corrupted) - signing(person, good))) > 0.1
    with pytest.raises(ValueError, match="not a kind of sequence"):
        recorded("upside down")


def test_left_handed_people_sign_with_the_left_hands_landmarks_mirrored():
    people = [participant(1, number) for number in range(60)]
    assert 3 <= sum(person.left_handed for person in people) <= 22
    for left_handed in (False, True):
        person = next(person for person in people if person.left_handed == left_handed)
        frames = record(person, "5", Recording(missing=0.0), np.random.default_rng(3))
        hand = signing(person, frames)
        assert not np.isnan(hand).all()
        x = np.nanmean(hand[..., 0], 0)
        assert (x[4] < x[20]) == left_handed                            # the thumb is on the signer's inner side
        assert (np.nanmean(hand[..., 0]) > np.nanmean(frames[:, FACE, 0])) == left_handed


def test_every_character_can_be_recorded_and_phrases_of_31_too():
    frames = record(participant(1, 3), CHARACTERS[:31], Recording(8.9, 2.4, 15, 0.44), np.random.default_rng(1))
    assert frames.dtype == np.float32 and frames.shape[1:] == (543, 3) and len(frames) >= 31 * 2.4
    for character in CHARACTERS:
        frames = record(participant(1, 4), character, Recording(missing=0.0), np.random.default_rng(1))
        assert len(frames) >= 15 and not np.isnan(signing(participant(1, 4), frames)).all()


def test_the_arm_leads_to_the_hand_which_stays_in_the_picture_and_the_other_hand_is_rarely_seen():
    seen = []
    for number in range(40):
        person = participant(1, number)
        frames = record(person, "grove", Recording(missing=0.0), np.random.default_rng(number))
        wrist = frames[:, 489 + (15 if person.left_handed else 16)]
        gap = np.abs(wrist[:, :2] - signing(person, frames)[:, 0, :2])
        assert 0.003 < np.nanmedian(gap) < 0.10 and np.nanmax(gap) < 0.3             # real sequences: about 0.05 apart
        assert (frames[:, 502:504, 1] > frames[:, 500:502, 1]).all()                 # elbows hang below the shoulders
        assert not np.isnan(signing(person, frames)).any()                           # people keep their hand in the picture
        seen.append(~np.isnan(frames[:, RIGHT if person.left_handed else LEFT]).all())
    assert np.mean(seen) < 0.3


@pytest.mark.parametrize("kind", GESTURES)
def test_where_nobody_spells_hands_move_otherwise_and_are_recorded_alike(kind):
    lengths, seen = [], []
    for number in range(12):
        person, rng = participant(2, number), np.random.default_rng(number)
        frames = record(person, "ab", Recording(), rng, kind)
        assert frames.shape[1:] == (543, 3) and np.isfinite(frames[:, FACE]).any()
        lengths.append(len(frames))
        seen.append(np.isfinite(frames[:, [LEFT.start, RIGHT.start], 0]).any(1).mean())
    assert min(lengths) >= 15 and len(set(lengths)) > 6
    assert np.mean(seen) > (0.05 if kind == "pass" else 0.3)


def test_a_held_gesture_is_no_shape_of_the_signer_s_own():
    gaps = []
    for number in range(30):
        person = participant(2, number)
        motion, other = gesture("hold", person, 20, (0, 0), np.random.default_rng(number))
        assert other is None and np.ptp(motion, axis=0).max() == 0
        own = np.array([[*person.ways[name].angles[5:], *person.ways[name].orientation] for name in "abcdefghiklmnopqrstuvwxy"])
        gap = np.abs(own - motion[0, 5:24])
        gaps.append(((np.sqrt((gap[:, :16] ** 2).mean(1)) < 22) & (gap[:, 16:].max(1) < 40)).any())
    assert np.mean(gaps) < 0.1


def test_both_hands_of_a_two_handed_sign_move_and_are_seen():
    motion, other = gesture("sign with both hands", participant(2, 1), 40, (3, 5), np.random.default_rng(1))
    assert motion.shape == other.shape == (48, 27) and np.ptp(other, axis=0).max() > 5
    frames = record(participant(2, 1), "a", Recording(missing=0.0), np.random.default_rng(1), "sign with both hands")
    assert all(np.isfinite(frames[:, hand.start, 0]).mean() > 0.3 for hand in (LEFT, RIGHT))


def test_sequences_begin_and_end_without_a_hand_as_often_as_hands_are_missing():
    def ends(missing):
        found = []
        for number in range(60):
            frames = record(participant(3, number), "maple st", Recording(missing=missing), np.random.default_rng(number))
            seen = np.isfinite(frames[:, [LEFT.start, RIGHT.start], 0]).any(1)
            found.append((seen.argmax(), seen[::-1].argmax()) if seen.any() else (len(frames), 0))
        return np.array(found)

    many, none = ends(0.44), ends(0.0)
    assert none.max() <= 3 and (many > 0).mean() > 0.3 and np.quantile(many, 0.95) >= 15


def test_people_sign_in_styles():
    """Chart-like signers turn G sideways with the palm forward, others turn the palm to their middle or to themselves."""
    turns = np.array([participant(4, number).ways["g"].orientation for number in range(200)])
    forward, leaning = np.abs(turns[:, 0]) < 45, turns[:, 2] > 60
    assert 0.15 < (forward & leaning).mean() < 0.6 and 0.15 < (~leaning).mean() < 0.7
