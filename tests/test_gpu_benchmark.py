"""The benchmark of a GPU, run on the CPU at toy size: all of it but what a CPU lacks (graphs, kernels, waiting)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu
import pytest

BENCHMARK = Path(gpu.__file__)
APART = ["parity", "demo"]             # which a test runs as the command does, each in a process of its own
IN_A_ROW = """
import json, sys
import gpu_parts
for name in sys.argv[1:]:
    print(json.dumps({"part": name}))
    gpu_parts.PARTS[name](gpu_parts.Size(toy=True))
"""


@pytest.mark.slow
def test_every_part_measures_something_at_toy_size(place):
    others = [name for name in gpu.SECONDS if name not in APART]
    done = subprocess.run([sys.executable, "-c", IN_A_ROW, *others], capture_output=True, text=True, env=os.environ | {
        "CUDA_VISIBLE_DEVICES": "", "ASLUTILS_KAGGLE_ROOT": str(place), "PYTHONPATH": str(BENCHMARK.parent)})
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    parts = [row["part"] for row in rows if "part" in row]
    assert parts == others and len(rows) > len(parts) and not any(gpu.bad(row) for row in rows)
    assert not any("part" in one and "part" in other for one, other in zip(rows, [*rows[1:], {"part": ""}]))      # each has rows


@pytest.mark.slow
def test_the_command_runs_its_parts_and_leaves_a_table_and_a_file(tmp_path):
    done = subprocess.run([sys.executable, str(BENCHMARK), "--toy", "--minutes", "15", "--out", "gpu.json", "--parts", *APART],
                          cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert list(report["parts"]) == APART
    for name, part in report["parts"].items():
        assert part["rows"] and not part["failed"], (name, part, done.stderr)
        assert not any(gpu.bad(row) for row in part["rows"]), part["rows"]
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
    assert gpu.run(gpu.start("fails", [], {}), 60) == ([{"figure": 1}], "out of luck")
    assert gpu.run(gpu.start("hangs", [], {}), 3) == ([{"figure": 1}], "stopped after 3 s")


@pytest.mark.parametrize("options, words", [(["--minutes", "nan"], "--minutes is nan; it must be above 0"),
                                            (["--out", "no/such/folder/gpu.json"], "--out: there is no folder /")])
def test_wrong_options_are_refused_before_anything_is_measured(options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    with pytest.raises(SystemExit):
        gpu.main()
    assert words in capsys.readouterr().err


def test_a_row_that_is_not_as_it_must_be_counts():
    assert [gpu.bad(row) for row in ({"verdict": "WAITS"}, {"failed": "x"}, {"verdict": "equal"}, {"verdict": None})] == [
        True, True, False, False]


def test_what_it_needs_is_named(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "PACKAGES", {"torch": "torch", "no_such_module": "no-such-package"})
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 1
    assert capsys.readouterr().err == "this needs no-such-package: pip install no-such-package\n"


def test_rows_become_a_table_with_a_column_for_each_name():
    assert gpu.table([{"a": 1, "b": 12345.6}, {"a": None, "c": "x"}]) == "  a  b       c\n  1  12,346\n             x"
