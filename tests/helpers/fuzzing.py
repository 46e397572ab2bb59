"""Random tables, schemas and array files, and what must hold for each: an answer, or an error for the user, in bounded time."""

import contextlib
import io
import json
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from hypothesis import strategies as st
from small_corpus import made_values

from aslutils.data.prepare import prepare
from aslutils.data.sources import read_sequences
from aslutils.reading.landmark_files import as_columns, sequences_in
from aslutils.system.errors import UserError
from aslutils.system.inputs import read_json
from aslutils.system.parameters import read_params
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS

NAMES = ["path", "file_id", "sequence_id", "participant_id", "phrase"]
COLUMN_TYPES = [pa.float32(), pa.float64(), pa.float16(), pa.int64(), pa.uint64(), pa.string(), pa.binary(), pa.bool_(),
                pa.null(), pa.list_(pa.float32()), pa.struct([("x", pa.float32())]), pa.timestamp("ms"), pa.decimal128(9, 2),
                pa.dictionary(pa.int8(), pa.string())]
IDS = st.one_of(st.none(), st.integers(-2**70, 2**70), st.floats(), st.text(max_size=5), st.booleans(), st.binary(max_size=3),
                st.lists(st.integers(0, 9), max_size=2))
CELLS = st.one_of(st.integers(0, 2).map(lambda number: str(100 + number)), st.text(max_size=8),
                  st.sampled_from(["", "nan", "1e400", "../x.parquet", "/x", '"', "a,b", "\n", "\x00", str(2**63), "1_0", "0.5"]))
TABLES = st.lists(st.lists(CELLS, min_size=4, max_size=6), max_size=4)
SEPARATORS = st.sampled_from([",", ";", ",,", "\t"])
CSV_TEXTS = st.one_of(st.binary(max_size=60), st.tuples(st.permutations(NAMES), TABLES, SEPARATORS).map(
    lambda drawn: "\n".join(drawn[2].join(row) for row in [drawn[0], *drawn[1]]).encode()))
ARRAY_FILES = st.one_of(
    st.binary(max_size=80), st.binary(max_size=80).map(lambda rest: b"\x93NUMPY\x01\x00" + rest),
    st.tuples(st.sampled_from(["<f4", "<f8", "|O", "<U3", "|V0", "|b1", "<i8", ">f4", "<c8", "[('a', '<f4')]", "x"]),
              st.booleans(), st.lists(st.integers(-2, 10**13), max_size=4), st.integers(0, 4)).map(
                  lambda drawn: _array_file(*drawn)))
TEXTS = st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=5), inner, max_size=3), max_leaves=10).map(lambda value: json.dumps(value).encode()))
ALIASES = st.integers(2, 9).map(lambda levels: "\n".join(
    ["a0: &a0 [x, x]", *(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels))]).encode())


def _array_file(dtype: str, fortran: bool, shape: list[int], extra: int) -> bytes:
    kind = dtype if dtype.startswith("[") else repr(dtype)
    header = f"{{'descr': {kind}, 'fortran_order': {fortran}, 'shape': {tuple(shape)}}}"
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    held = min(abs(math.prod(shape)) * 4, 4000) + extra - 2
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * max(0, held)


@st.composite
def landmark_tables(draw) -> pa.Table:
    """A table in competition columns of two sequences, with a few columns of another type, absent, doubled or renamed."""
    values, length = made_values(8, 1), 8
    columns = {name: pa.array(column) for name, column in zip(ALL_COLUMNS, values.T)}
    names = ["sequence_id", "frame", *columns]
    arrays = [pa.array([1000] * 4 + [1001] * 4), pa.array([*range(4)] * 2), *columns.values()]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([0, 1, 2, len(names) // 2, len(names) - 1]))
        change = draw(st.sampled_from(["type", "values", "drop", "double", "rename", "order"]))
        if change == "type":
            arrays[place] = pa.nulls(length, draw(st.sampled_from(COLUMN_TYPES)))
        elif change == "values":
            with contextlib.suppress(pa.ArrowException, OverflowError, TypeError):
                arrays[place] = pa.array(draw(st.lists(IDS, min_size=length, max_size=length)))
        elif change == "drop" and len(names) > 2:
            del names[place], arrays[place]
        elif change == "double":
            names.append(names[place])
            arrays.append(arrays[place])
        elif change == "rename":
            names[place] = draw(st.text(min_size=1, max_size=5))
        else:
            order = pa.array(draw(st.permutations(range(length))))
            arrays = [array.take(order) for array in arrays]
    return pa.Table.from_arrays(arrays, names)


def answered(work, *arguments) -> None:
    """Do something that must end with an answer or an error for the user, in at most a few lines."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            work(*arguments)
        except (UserError, FileNotFoundError) as error:
            assert str(error).count("\n") <= 2 and len(str(error)) < 1000, error


def try_csv(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        path.write_bytes(content)
        answered(read_sequences, path)


def try_array(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        path.write_bytes(content)
        answered(as_columns, path, COLUMNS)


def try_text(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        answered(read_json, path)
        answered(read_params, path)


def try_table(table: pa.Table) -> None:
    """Preparation and recogniser say the same frames of a table, or both refuse or leave out what they cannot read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data" / "train_landmarks").mkdir(parents=True)
        (folder / "data" / "train.csv").write_text(",".join(NAMES[1:]) + "\n1,1000,1,abc\n1,1001,2,abc\n")
        path = folder / "data" / "train_landmarks" / "1.parquet"
        with contextlib.suppress(pa.ArrowException):
            parquet.write_table(table, path)
        if not path.is_file() or not path.stat().st_size:
            return
        read, prepared = {}, {}
        answered(lambda: read.update(sequences_in(path, COLUMNS, [1000, 1001])))

        def keep():
            store = prepare(folder / "data", folder / "store", dtype="float32", workers=1)
            prepared.update({store.table["sequence_id"][row]: store.columns(row) for row in range(len(store))})
        answered(keep)
        for sequence in set(read) & set(prepared):
            seen = np.where(np.abs(read[sequence]) > 65504, np.nan, read[sequence])
            np.testing.assert_array_equal(prepared[sequence], seen)


TARGETS = {"CSV files": (CSV_TEXTS, try_csv), "array files": (ARRAY_FILES, try_array),
           "landmark tables": (landmark_tables(), try_table), "JSON and YAML files": (st.one_of(TEXTS, ALIASES), try_text)}
