"""Files are written whole or not at all."""

import pandas as pd
import pytest

from aslutils.system.files import atomic, write_json, write_table, write_text
from aslutils.system.inputs import read_json


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = write_text(tmp_path / "file.txt", "old")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path):
    path = write_text(tmp_path / "file.txt", "old")
    with pytest.raises(OSError, match="no space left while writing .*file.txt"), atomic(path):
        with open("/dev/full", "w") as full:
            full.write("x")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_and_tables_come_back_as_they_were(tmp_path):
    assert read_json(write_json(tmp_path / "deep" / "value.json", {"a": [1, None]})) == {"a": [1, None]}
    table = pd.DataFrame({"phrase": ["a,b", 'say "x"'], "score": [0.5, 1.0]})
    assert pd.read_csv(write_table(tmp_path / "table.csv", table)).equals(table)
