"""The benchmark of a GPU, run on the CPU at toy size, so that it works the first time it meets a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import gpu
import pytest

BENCHMARK = Path(gpu.__file__)


@pytest.mark.slow
def test_every_part_measures_something_at_toy_size(tmp_path):
    done = subprocess.run([sys.executable, str(BENCHMARK), "--toy", "--minutes", "15", "--out", "gpu.json"], cwd=tmp_path,
                          capture_output=True, text=True)
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert list(report["parts"]) == list(gpu.SECONDS)
    for name, part in report["parts"].items():
        assert part["rows"] and not part["failed"], (name, part, done.stderr)
        assert not any("failed" in row for row in part["rows"]), part["rows"]
        assert not any(row.get("verdict") in ("DIFFERS", "WAITS", "LONGER") for row in part["rows"]), part["rows"]
        assert f"\n{name} (" in done.stdout
    assert done.returncode == 0 and done.stdout.startswith("no GPU: ")


@pytest.mark.slow
def test_a_part_that_fails_or_hangs_loses_nothing_of_the_others(tmp_path, monkeypatch):
    parts = tmp_path / "gpu_parts.py"
    parts.write_text("""import sys, time
print('{"figure": 1}', flush=True)
if sys.argv[1] == "hangs":
    time.sleep(100)
raise SystemExit("out of luck")
""")
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    assert gpu.run("fails", 60, [], {}) == ([{"figure": 1}], "out of luck")
    assert gpu.run("hangs", 3, [], {}) == ([{"figure": 1}], "stopped after 3 s")


def test_what_it_needs_is_named(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "PACKAGES", {"torch": "torch", "no_such_module": "no-such-package"})
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 1
    assert capsys.readouterr().err == "this needs no-such-package: pip install no-such-package\n"


def test_rows_become_a_table_with_a_column_for_each_name():
    assert gpu.table([{"a": 1, "b": 12345.6}, {"a": None, "c": "x"}]) == "  a  b       c\n  1  12,346\n             x"
