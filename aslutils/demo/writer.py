"""Write a data set in the competition's exact layout, spelled by kinematic hands: the embedded default, and a tool of its own.

`python -m aslutils.demo.writer OUT --phrases FILE --participants N --seed S` writes any amount of it; `write_demo(OUT)` does
the same from Python. The same configuration gives the same bytes. `signer` records, `handshapes` says how each
character looks.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aslutils.demo.phrases import random_phrase
from aslutils.demo.signer import BROKEN_KINDS, Participant, Recording, record
from aslutils.system.files import atomic, read_json, write_json, write_table
from aslutils.system.processes import process_pool
from aslutils.system.progress import progress
from aslutils.task.landmarks import ALL_COLUMNS
from aslutils.task.text import INDEX, unknown_characters

VERSION = 1                                   # of the recordings: raised whenever the same configuration gives other bytes
ROW_GROUP_FRAMES = 3000                       # a row group ends with the sequence that reaches this


@dataclass(frozen=True)
class DemoConfig:
    """What to write; every field takes part in the bytes."""

    sequences: int = 6000                     # training recordings
    supplemental: int = 400                   # supplemental recordings: few phrases, recorded often
    participants: int = 60
    seed: int = 1
    characters: tuple[int, int] = (1, 8)      # fewest and most characters of a made-up phrase; the corpus has 1..31
    frames_per_character: float = 5.0         # at the median; the corpus has 8.9
    fastest: float = 3.0                      # fewest frames a character in a whole recording
    shortest: int = 15                        # fewest frames of a whole recording; the model rejects shorter ones
    missing: float = 0.10                     # mean share of frames without a hand, 0.13 in short recordings; the corpus: 0.44
    broken: float = 0.06                      # share of the training recordings that are spoilt (signer.BROKEN_KINDS)
    phrases: tuple[str, ...] = ()             # spell these, each as often as the next, in place of made-up ones
    file_sequences: int = 500                 # recordings a parquet file
    supplemental_repeats: int = 10            # recordings of each supplemental phrase

    def __post_init__(self):
        for name, least in {"sequences": 1, "supplemental": 0, "participants": 1, "seed": 0, "shortest": 1, "file_sequences": 1,
                            "supplemental_repeats": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; at least {least} is needed")
        low, high = self.characters
        if not 1 <= low <= high:
            raise ValueError(f"characters is {low}, {high}; expected 1 <= fewest <= most")
        if not 0 < self.frames_per_character or not 0 < self.fastest:
            raise ValueError("frames_per_character and fastest must be above 0; got "
                             f"{self.frames_per_character} and {self.fastest}")
        for name in ("missing", "broken"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share of 0 or more and below 1 is expected")
        for phrase in self.phrases:
            if not phrase or unknown_characters(phrase):
                raise ValueError(f"the phrase {phrase!r} is empty or holds {unknown_characters(phrase)!r}, which is not among "
                                 f"the task's 59 characters; these can be spelled: {''.join(INDEX)}")

    def recording(self) -> Recording:
        """The part of the configuration that every recording needs."""
        return Recording(self.frames_per_character, self.fastest, self.shortest, self.missing)


def plan(config: DemoConfig) -> pd.DataFrame:
    """Which recordings there will be, before any is made: one row each, train rows first.

    Columns: path, file_id, sequence_id, participant_id, phrase (the competition's), participant (its number, 0 up), broken
    ("" or a kind), supplemental (bool).
    """
    rng = np.random.default_rng([config.seed, 1])
    total = config.sequences + config.supplemental
    distinct = max(1, config.supplemental // config.supplemental_repeats)
    phrases = _phrases(config, config.sequences, rng)
    phrases += (_phrases(config, distinct, rng) * config.supplemental_repeats * 2)[:config.supplemental]
    participant = np.concatenate([rng.permutation(config.participants) for _ in range(total // config.participants + 1)])[:total]
    kinds = np.where(rng.random(total) < config.broken, rng.choice(BROKEN_KINDS, total), "")
    kinds[config.sequences:] = ""
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
        "phrase": phrases, "participant": participant, "broken": kinds, "supplemental": supplemental,
    })


def _phrases(config: DemoConfig, count: int, rng: np.random.Generator) -> list[str]:
    if config.phrases:
        turns = -(-count // len(config.phrases))
        return [config.phrases[index] for _ in range(turns) for index in rng.permutation(len(config.phrases))][:count]
    return [random_phrase(rng, config.characters) for _ in range(count)]


@lru_cache(maxsize=512)
def participant(seed: int, number: int) -> Participant:
    """The demo's participant of that number: the same person in every data set with this seed."""
    return Participant.random(np.random.default_rng([seed, 2, number]))


def recording(config: DemoConfig, row) -> np.ndarray:
    """The recording of one row of `plan(config)`: float32 (T, 543, 3), NaN where unseen; depends on that row alone."""
    rng = np.random.default_rng([config.seed, 3, int(row.sequence_id)])
    return record(participant(config.seed, int(row.participant)), row.phrase, config.recording(), rng, row.broken)


@lru_cache(maxsize=1)
def _schema() -> pa.Schema:
    """The competition's: frame, the 1,629 coordinates, and sequence_id as the pandas index."""
    columns = {"frame": np.empty(0, np.int16)} | {name: np.empty(0, np.float32) for name in ALL_COLUMNS}
    return pa.Schema.from_pandas(pd.DataFrame(columns, index=pd.Index(np.empty(0, np.int64), name="sequence_id")))


def _row_group(sequence_ids: list[int], recordings: list[np.ndarray]) -> pa.Table:
    lengths = [len(frames) for frames in recordings]
    rows = np.concatenate([frames.swapaxes(1, 2).reshape(len(frames), -1) for frames in recordings])   # (T, 3 x 543)
    columns = np.ascontiguousarray(rows.T)
    frame = np.concatenate([np.arange(length, dtype=np.int16) for length in lengths])
    ids = np.repeat(np.array(sequence_ids, np.int64), lengths)
    return pa.Table.from_arrays([pa.array(frame), *map(pa.array, columns), pa.array(ids)], schema=_schema())


def _write_file(out: Path, config: DemoConfig, rows: pd.DataFrame) -> int:
    """Write one landmark file, if it is not there yet; returns how many sequences it holds."""
    path = out / rows.path.iloc[0]
    if path.exists():
        return len(rows)
    # Coordinates are rounded (see signer), so their bytes compress well once split into streams; dictionaries would only cost.
    with atomic(path) as temporary, pq.ParquetWriter(temporary, _schema(), compression="zstd", compression_level=1,
                                                     use_dictionary=False, use_byte_stream_split=ALL_COLUMNS,
                                                     write_statistics=["sequence_id"]) as writer:
        ids, recordings = [], []
        for row in rows.itertuples():
            ids.append(row.sequence_id)
            recordings.append(recording(config, row))
            if sum(map(len, recordings)) >= ROW_GROUP_FRAMES:
                writer.write_table(_row_group(ids, recordings))
                ids, recordings = [], []
        if ids:
            writer.write_table(_row_group(ids, recordings))
    return len(rows)


def write_demo(out, *, workers: int = 1, **options) -> Path:
    """Write a data set to the folder `out` in the competition's layout; returns the folder.

    options: the fields of DemoConfig. workers: processes; the bytes do not depend on it. Beside the competition's files lie
    demo.json (this configuration) and broken.csv (sequence_id, kind: the recordings that were spoilt). A complete folder of the
    same configuration is left alone, an interrupted one is gone on with. Raises FileExistsError for a folder that holds
    anything else, ValueError for a configuration that makes no sense or a phrase that cannot be spelled.
    """
    out, config = Path(out), DemoConfig(**options)
    # Through JSON, so that it compares with what is read back: tuples become lists.
    wanted = json.loads(json.dumps({"version": VERSION, "config": asdict(config)}))
    if _state(out, wanted) == "complete":
        return out
    write_json(out / "demo.json", wanted | {"complete": False})
    table = plan(config)
    files = [rows for _, rows in table.groupby("path", sort=False)]
    with progress(total=len(table), what="writing demo recordings", unit="sequences") as bar:
        if workers > 1:
            with process_pool(workers) as pool:
                for written in pool.map(_write_file, [out] * len(files), [config] * len(files), files):
                    bar.update(written)
        else:
            for rows in files:
                bar.update(_write_file(out, config, rows))
    competition = ["path", "file_id", "sequence_id", "participant_id", "phrase"]
    write_table(out / "train.csv", table.loc[~table.supplemental, competition])
    write_table(out / "supplemental_metadata.csv", table.loc[table.supplemental, competition])
    write_table(out / "broken.csv", table.loc[table.broken != "", ["sequence_id", "broken"]].rename(columns={"broken": "kind"}))
    write_json(out / "character_to_prediction_index.json", INDEX)
    write_json(out / "demo.json", wanted | {"complete": True})
    return out


def _state(out: Path, wanted: dict) -> str:
    """'complete', 'begun' or 'empty'; FileExistsError when the folder belongs to something else."""
    if not out.exists() or not any(out.iterdir()):
        return "empty"
    note = out / "demo.json"
    found = read_json(note) if note.is_file() else None
    if found is None or {key: found.get(key) for key in wanted} != wanted:
        raise FileExistsError(f"{out} already holds {'another demo data set' if found else 'something else'}; "
                              "name another folder or remove this one")
    return "complete" if found["complete"] else "begun"


def read_phrases(path) -> tuple[str, ...]:
    """The phrases of a UTF-8 text file, one a line; empty lines are no phrases. Raises ValueError for a file without any."""
    try:
        phrases = tuple(line for line in Path(path).read_text(encoding="utf-8").splitlines() if line)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from None
    if not phrases:
        raise ValueError(f"{path} holds no phrase; one a line is expected")
    return phrases


def main(arguments: list[str] | None = None) -> None:
    """The command line: see `python -m aslutils.demo.writer --help`."""
    default = DemoConfig()
    parser = argparse.ArgumentParser(prog="python -m aslutils.demo.writer", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--phrases", type=Path, metavar="FILE", help="spell these phrases, one a line, instead of made-up ones")
    parser.add_argument("--characters", type=int, nargs=2, default=default.characters, metavar=("LOW", "HIGH"),
                        help="lengths of made-up phrases (default %(default)s)")
    for name, meaning in (("sequences", "training recordings"), ("supplemental", "supplemental recordings"),
                          ("participants", "people"), ("seed", "what all chance is drawn from"),
                          ("frames_per_character", "median speed; the corpus has 8.9"),
                          ("fastest", "fewest frames a character"), ("shortest", "fewest frames of a whole recording"),
                          ("missing", "share of frames without a hand; the corpus has 0.44"),
                          ("broken", "share of spoilt recordings")):
        value, option = getattr(default, name), "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(value), default=value, help=f"{meaning} (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default %(default)s)")
    options = vars(parser.parse_args(arguments))
    try:
        options["phrases"] = read_phrases(options["phrases"]) if options["phrases"] else ()
        options["characters"] = tuple(options["characters"])
        out = write_demo(options.pop("out"), workers=options.pop("workers"), **options)
    except (ValueError, OSError) as error:                              # what the user can put right needs no traceback
        parser.error(str(error))
    print(f"{options['sequences']:,} training and {options['supplemental']:,} supplemental recordings in {out}")


if __name__ == "__main__":
    main()
