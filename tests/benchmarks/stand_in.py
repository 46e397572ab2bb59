"""Stand-ins for the corpus at its real lengths, as a landmark store or as files, for the benchmarks of the data path."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
from corpus import CHARACTERS, FRAMES, draws

from aslutils.data import store as stores
from aslutils.task import text
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, LEFT_HAND, RIGHT_HAND
from aslutils.task.preprocess import as_landmarks, statistics

CORPUS = 67_208 + 52_958          # sequences of the competition, training and supplemental
MISSING = {"face": 0.014, "left_hand": 0.886, "right_hand": 0.523, "pose": 0.0}   # of a part, the share of frames
COMPRESSIONS = ("snappy", "zstd")  # parquet's usual one; that of the sequences at hand, which were written anew since


def lengths(count: int, rng: np.random.Generator) -> np.ndarray:
    """Frames of `count` sequences, in random order, distributed as in the corpus."""
    return rng.permutation(draws(FRAMES, count))


def phrases(count: int, rng: np.random.Generator) -> list[str]:
    """Random phrases of the corpus' lengths."""
    letters = np.array(list(text.CHARACTERS))
    return ["".join(rng.choice(letters, length)) for length in rng.permutation(draws(CHARACTERS, count))]


def made_columns(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of plausible size, float32 (length, 390): no left hand, a right hand in about half of the frames."""
    values = 0.5 + 0.1 * rng.standard_normal((length, 3, 130), dtype=np.float32)
    values[:, :, LEFT_HAND] = np.nan
    seen = np.repeat(rng.random(length // 8 + 1) < 0.5, 8)[:length]
    values[np.ix_(~seen, range(3), RIGHT_HAND)] = np.nan
    return values.reshape(length, 390)


def write_store(folder: Path, distinct: int, rows: int, dtype: str = "float16", seed: int = 0) -> stores.Store:
    """A store of `rows` sequences by 94 participants, 44 % supplemental, which share the frames of `distinct` sequences."""
    rng = np.random.default_rng(seed)
    count = lengths(distinct, rng)
    folder.mkdir(parents=True)
    known = []
    with open(folder / stores.COLUMNS_FILE, "wb") as file:
        for length in count:
            values = made_columns(length, rng)
            known.append(statistics(as_landmarks(values)).ravel())
            file.write(values.astype(dtype))
    which = np.arange(rows) % distinct
    table = pd.DataFrame({"file_id": np.arange(rows) // 1000, "sequence_id": np.arange(rows), "phrase": phrases(rows, rng),
                          "participant_id": rng.integers(94, size=rows), "is_sup": np.arange(rows) >= 0.56 * rows,
                          "start": (count.cumsum() - count)[which], "length": count[which], "hand_frames": count[which] // 2})
    table[stores.STATISTICS] = np.array(known)[which]
    stores.seal(folder, table, dtype, {"kind": "stand-in", "files": 0, "skipped": 0, "fingerprint": ""})
    return stores.Store(folder)


def write_landmarks(path: Path, sequence_ids, seed: int, grain: int = 0, compression: str = COMPRESSIONS[0]) -> None:
    """A landmark file as the competition's: one row group, all 1,629 columns, nulls where a part is not seen, compressed.

    The 1,239 columns that the kit does not read hold one value: they take no space, and are there to be passed over. grain: how
    many values a coordinate may take, 0 for any. Few make a small file of realistic length ("sparse content").
    """
    rng = np.random.default_rng(seed)
    count = lengths(len(sequence_ids), rng)
    rows, read = int(count.sum()), set(COLUMNS)
    missing = {part: np.repeat(rng.random(rows // 8 + 1) < share, 8)[:rows] for part, share in MISSING.items()}
    passed_over = pa.array(np.full(rows, 0.5, np.float32))
    table = {"frame": (np.arange(rows) - np.repeat(count.cumsum() - count, count)).astype(np.int16)}
    for name in ALL_COLUMNS:
        axis, _, landmark = name.partition("_")
        if name in read:
            values = rng.random(rows, dtype=np.float32)
            if grain:
                values = np.floor(values * grain) / np.float32(grain)
            table[name] = pa.array(values - np.float32(0.5) if axis == "z" else values, mask=missing[landmark.rpartition("_")[0]])
        else:
            table[name] = passed_over
    table["sequence_id"] = np.repeat(np.asarray(sequence_ids), count)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(table), path, row_group_size=rows, compression=compression)


def write_corpus(folder: Path, sequences: int, grain: int = 0, a_file: int = 1000,
                 compression: str = COMPRESSIONS[0]) -> None:
    """A competition folder of that many training sequences by 94 participants, 1,000 a file as in the corpus."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.arange(sequences)
    csv = pd.DataFrame({"path": [f"train_landmarks/{number}.parquet" for number in ids // a_file], "file_id": ids // a_file,
                        "sequence_id": ids, "participant_id": rng.integers(94, size=sequences)})
    csv["phrase"] = phrases(sequences, rng)
    csv.to_csv(folder / "train.csv", index=False)
    for number, own in csv.groupby("file_id")["sequence_id"]:
        write_landmarks(folder / f"train_landmarks/{number}.parquet", own.to_numpy(), number, grain, compression)


def run_and_watch(arguments: list[str]) -> tuple[float, float, str]:
    """Run a command: wall seconds, the most memory it and its children held at once (MB, shared pages once), its output."""
    begin, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        peak = max(peak, sum(map(memory, family(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.perf_counter() - begin, peak, process.stdout.read()


def family(process: int) -> list[int]:
    """A process and its children."""
    try:
        return [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except FileNotFoundError:                     # it has just ended
        return [process]


def memory(process: int) -> float:
    """MB that a process holds, pages that it shares with n others counted 1 / (n + 1) (proportional set size)."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def disk(folder: Path) -> float:
    """MB that a folder's files take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
