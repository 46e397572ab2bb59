"""Write a data set in the competition's layout, spelled by kinematic hands: the built-in default, and a tool of its own.

`python -m aslutils demo OUT --phrases FILE --participants N --seed S` writes any amount of it; `write_demo(OUT)` does
the same from Python. The same configuration gives the same bytes. `signer` records, `handshapes` says how each
character looks.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aslutils.demo.gestures import GESTURES
from aslutils.demo.phrases import random_phrase
from aslutils.demo.signer import CORRUPTIONS, Participant, Recording, recorded, shown
from aslutils.system import versions
from aslutils.system.errors import UserError, at_least
from aslutils.system.files import atomic, write_json, write_table
from aslutils.system.inputs import read_json
from aslutils.system.processes import process_pool
from aslutils.system.progress import progress
from aslutils.task.landmarks import ALL_COLUMNS
from aslutils.task.text import INDEX, NOTHING, unknown_characters

ROW_GROUP_FRAMES = 3000                       # a row group ends with the sequence that reaches this
CORPUS_LONGEST = 31                           # characters of the corpus' longest phrase


@dataclass(frozen=True)
class DemoConfig:
    """What to write; every field affects the bytes."""

    sequences: int = 6000                     # training sequences
    supplemental: int = 400                   # supplemental sequences: few phrases, recorded often
    participants: int = 400
    seed: int = 1
    characters: tuple[int, int] = (1, 8)      # fewest and most characters of a made-up phrase
    long: float = 0.0                         # share of the phrases that may have as many as the corpus' (CORPUS_LONGEST)
    frames_per_character: float = Recording.frames_per_character  # at the median; the corpus has 8.9
    fastest: float = Recording.fastest        # fewest frames a character in a whole sequence
    shortest: int = Recording.shortest        # fewest frames of a whole sequence; the model rejects shorter ones
    missing: float = Recording.missing        # mean share of frames without a hand; the corpus has 0.44
    resting: float = Recording.resting        # share of spelled ones in which the hand rests in view around the phrase
    varied: float = 0.0                       # share of the participants with more ways, other strokes, uneven fingers: harder
    corrupted: float = 0.05                   # share of the training sequences that are corrupted (signer.CORRUPTIONS)
    gestures: float = 0.12                    # share of them that spell nothing (gestures.GESTURES), whatever their phrase says
    gesture_characters: int = 3               # most characters of such a made-up phrase: few, because nobody can read them
    phrases: tuple[str, ...] = ()             # spell these, equally often, instead of made-up ones
    file_sequences: int = 500                 # sequences a parquet file
    supplemental_repeats: int = 10            # sequences of each supplemental phrase

    def __post_init__(self):
        at_least(self, sequences=1, supplemental=0, participants=1, seed=0, shortest=1, gesture_characters=1, file_sequences=1,
                 supplemental_repeats=1)
        low, high = self.characters
        if not 1 <= low <= high:
            raise UserError(f"characters is {low}, {high}; expected 1 <= fewest <= most")
        if not 0 < self.frames_per_character < 1e6 or not 0 < self.fastest < 1e6:
            raise UserError("frames_per_character and fastest must be above 0; got "
                            f"{self.frames_per_character} and {self.fastest}")
        for name in ("missing", "corrupted", "gestures"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected a share of at least 0 and below 1")
        for name, whole in {"varied": "participants", "long": "phrases", "resting": "sequences"}.items():
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; expected a share of the {whole}, 0 to 1")
        if self.corrupted + self.gestures >= 1:
            raise UserError(f"corrupted ({self.corrupted}) and gestures ({self.gestures}) leave no sequence that spells")
        for phrase in self.phrases:
            if not phrase or unknown_characters(phrase):
                raise UserError(f"the phrase {phrase!r} is empty or holds {unknown_characters(phrase)!r}, which is not among "
                                 f"the task's 59 characters; these can be spelled: {''.join(INDEX)}")

    def recording(self) -> Recording:
        """The part of the configuration that every sequence needs."""
        return Recording(self.frames_per_character, self.fastest, self.shortest, self.missing, self.resting)


def plan(config: DemoConfig) -> pd.DataFrame:
    """Which sequences will be written, before any is made: one row each, training rows first.

    Columns: path, file_id, sequence_id, participant_id, phrase (the competition's), participant (its number, from 0), kind ("",
    one of CORRUPTIONS or of GESTURES), supplemental (bool).
    """
    rng = np.random.default_rng([config.seed, 1])
    total = config.sequences + config.supplemental
    distinct = max(1, config.supplemental // config.supplemental_repeats)
    phrases = _phrases(config, config.sequences, rng)
    phrases += (_phrases(config, distinct, rng) * config.supplemental_repeats * 2)[:config.supplemental]
    participant = np.concatenate([rng.permutation(config.participants) for _ in range(total // config.participants + 1)])[:total]
    chance = rng.random(total)
    kinds = np.where(chance < config.corrupted, rng.choice(CORRUPTIONS, total), "").astype(object)
    spelled_not = (config.corrupted <= chance) & (chance < config.corrupted + config.gestures)
    kinds[spelled_not] = rng.choice(GESTURES, total)[spelled_not]
    kinds[config.sequences:] = ""
    if not config.phrases:
        phrases = [_short(phrase, config, rng) if kind in GESTURES else phrase for phrase, kind in zip(phrases, kinds)]
    train_files, supplemental_files = (np.arange(count) // config.file_sequences
                                       for count in (config.sequences, config.supplemental))
    files = np.concatenate([train_files, supplemental_files + train_files[-1] + 1])
    file_ids = np.sort(rng.choice(2**30, files.max() + 1, replace=False))[files]
    people = np.sort(rng.choice(max(256, config.participants), config.participants, replace=False))
    supplemental = np.arange(total) >= config.sequences
    folders = np.where(supplemental, "supplemental_landmarks", "train_landmarks")
    return pd.DataFrame({
        "path": [f"{folder}/{file_id}.parquet" for folder, file_id in zip(folders, file_ids)],
        "file_id": file_ids, "sequence_id": rng.choice(2**31 - 1, total, replace=False), "participant_id": people[participant],
        "phrase": phrases, "participant": participant, "kind": kinds, "supplemental": supplemental,
    })


def _phrases(config: DemoConfig, count: int, rng: np.random.Generator) -> list[str]:
    if config.phrases:
        turns = -(-count // len(config.phrases))
        return [config.phrases[index] for _ in range(turns) for index in rng.permutation(len(config.phrases))][:count]
    fewest, most = config.characters
    longest = max(most, CORPUS_LONGEST)
    return [random_phrase(rng, (fewest, longest if config.long and rng.random() < config.long else most)) for _ in range(count)]


def _short(phrase: str, config: DemoConfig, rng: np.random.Generator) -> str:
    """The phrase of a sequence that does not spell it."""
    return phrase[:int(rng.integers(1, config.gesture_characters + 1))].strip() or "a"


@lru_cache(maxsize=512)
def participant(seed: int, number: int, varied: float = 0.0) -> Participant:
    """The demo's participant of that number: the same in every data set with this seed, unless there they vary more.

    varied: share of the data set's participants who do; who does in one does with every larger share.
    """
    varies = varied > np.random.default_rng([seed, 4, number]).random()
    return Participant.random(np.random.default_rng([seed, 2, number]), varies)


def landmarks_of(config: DemoConfig, row) -> np.ndarray:
    """The sequence of one row of `plan(config)`: float32 (T, 543, 3), NaN where unseen; depends on that row alone."""
    return recorded(*_arguments(config, row))[0]


def _arguments(config: DemoConfig, row) -> tuple[Participant, str, Recording, np.random.Generator, str]:
    rng = np.random.default_rng([config.seed, 3, int(row.sequence_id)])
    return participant(config.seed, int(row.participant), config.varied), row.phrase, config.recording(), rng, row.kind


def _characters(row, places: np.ndarray) -> str:
    """What each frame of a row's sequence shows: its character, or `NOTHING`; "" of a corrupted sequence."""
    if row.kind in CORRUPTIONS:
        return ""
    return "".join(NOTHING if place < 0 else row.phrase[place] for place in places.tolist())


@lru_cache(maxsize=1)
def _schema() -> pa.Schema:
    """The competition's: frame, the 1,629 coordinates, and sequence_id as the pandas index."""
    columns = {"frame": np.empty(0, np.int16)} | {name: np.empty(0, np.float32) for name in ALL_COLUMNS}
    return pa.Schema.from_pandas(pd.DataFrame(columns, index=pd.Index(np.empty(0, np.int64), name="sequence_id")))


def _row_group(sequence_ids: list[int], sequences: list[np.ndarray]) -> pa.Table:
    lengths = [len(frames) for frames in sequences]
    rows = np.concatenate([frames.swapaxes(1, 2).reshape(len(frames), -1) for frames in sequences])   # (T, 3 x 543)
    columns = np.ascontiguousarray(rows.T)
    frame = np.concatenate([np.arange(length, dtype=np.int16) for length in lengths])
    ids = np.repeat(np.array(sequence_ids, np.int64), lengths)
    return pa.Table.from_arrays([pa.array(frame), *map(pa.array, columns), pa.array(ids)], schema=_schema())


def _write_file(out: Path, config: DemoConfig, rows: pd.DataFrame) -> list[str]:
    """Write one landmark file, if it is not there yet; returns what the frames of each of its sequences show."""
    path, characters = out / rows.path.iloc[0], []
    if path.exists():
        return [_characters(row, shown(*_arguments(config, row))) for row in rows.itertuples()]
    # Coordinates are rounded (see signer), so their bytes compress well once split into streams; dictionaries would not help.
    with atomic(path) as temporary, pq.ParquetWriter(temporary, _schema(), compression="zstd", compression_level=1,
                                                     use_dictionary=False, use_byte_stream_split=ALL_COLUMNS,
                                                     write_statistics=["sequence_id"]) as writer:
        ids, sequences = [], []
        for row in rows.itertuples():
            landmarks, places = recorded(*_arguments(config, row))
            ids.append(row.sequence_id)
            sequences.append(landmarks)
            characters.append(_characters(row, places))
            if sum(map(len, sequences)) >= ROW_GROUP_FRAMES:
                writer.write_table(_row_group(ids, sequences))
                ids, sequences = [], []
        if ids:
            writer.write_table(_row_group(ids, sequences))
    return characters


def write_demo(out, *, workers: int = 1, **options) -> Path:
    """Write a data set to the folder `out` in the competition's layout; returns the folder.

    options: the fields of DemoConfig. workers: processes; the bytes do not depend on it. The tables have one more column than the
    competition's, `shown`: the character that each frame shows. Beside the files are demo.json (this configuration) and
    unreadable.csv (file_id, sequence_id, kind). A complete folder of the same configuration is left alone, an interrupted one is
    continued. Raises FileExistsError for a folder that holds anything else, ValueError for an invalid configuration or a phrase
    that cannot be spelled.
    """
    out, config = Path(out), DemoConfig(**options)
    wanted = {"version": versions.DEMO, "config": _plain(config)}
    if _state(out, wanted) == "complete":
        return out
    write_json(out / "demo.json", wanted | {"complete": False})
    table = plan(config)
    files = [rows for _, rows in table.groupby("path", sort=False)]
    frames = []
    with progress(total=len(table), what="writing demo data", unit="sequences") as bar, (
            process_pool(workers) if workers > 1 else nullcontext()) as pool:
        for written in (pool.map if pool else map)(_write_file, [out] * len(files), [config] * len(files), files):
            frames += written
            bar.update(len(written))
    table = table.assign(shown=frames)            # the files are in the table's order
    listed = ["path", "file_id", "sequence_id", "participant_id", "phrase", "shown"]
    write_table(out / "train.csv", table.loc[~table.supplemental, listed])
    write_table(out / "supplemental_metadata.csv", table.loc[table.supplemental, listed])
    write_table(out / "unreadable.csv", table.loc[table.kind != "", ["file_id", "sequence_id", "kind"]])
    write_json(out / "character_to_prediction_index.json", INDEX)
    write_json(out / "demo.json", wanted | {"complete": True})
    return out


def _plain(config: DemoConfig) -> dict:
    """As it is read back from JSON: tuples become lists."""
    return json.loads(json.dumps(asdict(config)))


def _state(out: Path, wanted: dict) -> str:
    """'complete', 'begun' or 'empty'; FileExistsError when the folder belongs to something else."""
    if not out.exists() or all(entry.name.startswith(".demo.json.") for entry in out.iterdir()):     # killed as it began
        return "empty"
    note = out / "demo.json"
    found = read_json(note) if note.is_file() else None
    if found and isinstance(found.get("config"), dict):
        found["config"] = _plain(DemoConfig()) | found["config"]                 # written before a field was added
    if found is None or {key: found.get(key) for key in wanted} != wanted:
        raise FileExistsError(f"{out} already holds {'another demo data set' if found else 'something else'}; "
                              "choose another folder or remove this one")
    return "complete" if found.get("complete") else "begun"


def read_phrases(path) -> tuple[str, ...]:
    """The phrases of a UTF-8 text file, one a line; empty lines are ignored. Raises ValueError for a file without any."""
    try:
        phrases = tuple(line for line in Path(path).read_text(encoding="utf-8").splitlines() if line)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}") from None
    if not phrases:
        raise UserError(f"{path} holds no phrase; expected one per line")
    return phrases
