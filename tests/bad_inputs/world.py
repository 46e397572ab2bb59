"""What the malformed inputs are made of: a good data set, export, submission and checkpoint, and ways to damage them.

A case is one line: what is odd, how it is made from a copy of the good world, and what the kit says, where `...` stands for any
words; a case with a command of its own names it second: what, command, words, how it is made. What is tried with a list, and the
usual command, stands above it.
"""

import json
import os
import shutil
import zipfile
from pathlib import Path

import golden_toy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
from small_corpus import corpus_rows, write_competition, write_npy
from tiny_tflite import constant_model

from aslutils.data.folds import divide
from aslutils.data.prepare import prepare
from aslutils.model.checkpoint import save_checkpoint
from aslutils.task.landmarks import COLUMNS

DEEP = 100_000                                   # levels of nesting
FIRST, TRAIN = "data/train_landmarks/100.parquet", "data/train.csv"
ARGUMENTS, METADATA = "export/inference_args.json", "dataset/dataset-metadata.json"


def build(root: Path) -> Path:
    """The good world: everything that the cases damage, whole."""
    rows = corpus_rows(files=2, sequences=3, supplemental=0)
    write_competition(root / "data", rows)
    write_npy(root / "arrays", rows)
    (root / "export").mkdir()
    (root / "export" / "model.tflite").write_bytes(constant_model("abc"))
    (root / "export" / "inference_args.json").write_text(json.dumps({"selected_columns": COLUMNS}))
    with zipfile.ZipFile(root / "submission.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("model.tflite", "inference_args.json"):
            archive.write(root / "export" / name, name)
    divide(prepare(root / "data", root / "store").table, 2, 0, 1).to_csv(root / "folds.csv", index=False)
    save_checkpoint(root / "ours.pt", golden_toy.network(2))
    (root / "dataset").mkdir()
    (root / "dataset" / "dataset-metadata.json").write_text(json.dumps(
        {"title": "Good title", "id": "signer/good-title", "licenses": [{"name": "apache-2.0"}]}))
    return root


class World:
    """A copy of the good world; every method damages it in one way and returns it."""

    def __init__(self, good: Path, root: Path):
        self.root = root
        shutil.copytree(good, root, dirs_exist_ok=True)

    def text(self, name: str, text: str, encoding: str = "utf-8"):
        return self.bytes(name, text.encode(encoding))

    def bytes(self, name: str, content: bytes):
        self.gone(name)
        (self.root / name).write_bytes(content)
        return self

    def gone(self, name: str):
        path = self.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return self

    def cut(self, name: str, share: float = 0.5):
        content = (self.root / name).read_bytes()
        return self.bytes(name, content[:int(share * len(content))])

    def fifo(self, name: str):
        self.gone(name)
        os.mkfifo(self.root / name)
        return self

    def zero(self, name: str):
        """A link to the device that never ends."""
        self.gone(name)
        (self.root / name).symlink_to("/dev/zero")
        return self

    def folder(self, name: str):
        self.gone(name)
        (self.root / name).mkdir()
        return self

    def replaced(self, name: str, old: str, new: str):
        text = (self.root / name).read_text()
        assert old in text, (name, old)
        return self.text(name, text.replace(old, new, 1))

    def lines(self, name: str, change):
        """A text file with its list of lines changed."""
        return self.text(name, "\n".join(change((self.root / name).read_text().splitlines())) + "\n")

    def cell(self, name: str, line: int, column: str, value):
        """One cell of a CSV file without quotes; line 1 is the header."""
        def change(lines):
            cells, place = lines[line - 1].split(","), lines[0].split(",").index(column)
            cells[place] = value
            return [*lines[:line - 1], ",".join(cells), *lines[line:]]
        return self.lines(name, change)

    def without(self, name: str, column: str):
        """A CSV file without a column."""
        place = (self.root / name).read_text().splitlines()[0].split(",").index(column)
        return self.lines(name, lambda lines: [",".join(cell for index, cell in enumerate(line.split(",")) if index != place)
                                               for line in lines])

    def table(self, change, name: str = "data/train_landmarks/100.parquet"):
        """A parquet file with its pyarrow table changed."""
        path = self.root / name
        parquet.write_table(change(parquet.read_table(path)), path)
        return self

    def column(self, name: str, values, file: str = "data/train_landmarks/100.parquet"):
        """A parquet file with a column replaced; values: for all rows, or a function of how many there are."""
        def change(table):
            column = pa.array(values(len(table)) if callable(values) else values)
            return table.set_column(table.column_names.index(name), name, column)
        return self.table(change, file)

    def array(self, content, name: str = "arrays/100/1000.npy"):
        """An array, or the bytes of what should be one."""
        if isinstance(content, bytes):
            return self.bytes(name, content)
        np.save(self.root / name, content, allow_pickle=True)
        return self

    def archive(self, **members):
        """The submission with members replaced; None: without it."""
        with zipfile.ZipFile(self.root / "submission.zip") as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        held |= {name.replace("__", "."): content for name, content in members.items()}
        with zipfile.ZipFile(self.root / "submission.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in held.items():
                if content is not None:
                    archive.writestr(name, content)
        return self

    def link(self, name: str):
        """A link to itself."""
        (self.root / name).symlink_to((self.root / name).name)
        return self

    def parts(self, name: str, change):
        """A landmark file as a folder of two parts, the second one changed."""
        table = parquet.read_table(self.root / name)
        self.folder(name)
        for number, part in ((2, table[:5]), (10, change(table[5:]))):
            parquet.write_table(part, self.root / name / f"part.{number}.parquet")
        return self

    def configured(self, **changes):
        """The checkpoint with other sizes in its configuration."""
        return self.checkpoint(config=torch.load(self.root / "ours.pt", weights_only=True)["config"] | changes)

    def weight(self, change):
        """The checkpoint with one of its weights changed."""
        weights = torch.load(self.root / "ours.pt", weights_only=True)["model"]
        name = next(iter(weights))
        return self.checkpoint(model=weights | {name: change(weights[name])})

    def checkpoint(self, **changes):
        content = torch.load(self.root / "ours.pt", weights_only=True)
        torch.save({name: value for name, value in (content | changes).items() if value is not Ellipsis}, self.root / "ours.pt")
        return self


def header(shape: str, dtype: str = "<f4") -> bytes:
    """The beginning of a .npy file that promises this shape."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def encrypted(content: bytes) -> bytes:
    """A zip file whose members claim to be encrypted."""
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(magic)
        while start >= 0:
            content = content[:start + place] + bytes([content[start + place] | 1]) + content[start + place + 1:]
            start = content.find(magic, start + 4)
    return content


def shuffled(table: pa.Table) -> pa.Table:
    return table.take(np.random.default_rng(1).permutation(len(table)))


def pandas(change):
    """A change of a pandas table, as one of a pyarrow table."""
    return lambda table: pa.Table.from_pandas(change(table.to_pandas()), preserve_index=True)
