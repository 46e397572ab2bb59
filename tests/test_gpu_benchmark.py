"""The benchmark of a GPU, run on the CPU at toy size: all of it but what a CPU lacks (graphs, kernels, waiting)."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import gpu
import gpu_cards
import gpu_parts
import pytest
from libraries import processor
from training_cost import gigaflops

from aslutils.run.stages import FOLDS, SEEDS

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
    assert done.returncode == 0 and done.stdout.startswith(f"no GPU: {processor()}; ")


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Instead of the parts, programs that print a row each and then hang, fail or are killed."""
    (tmp_path / "gpu_parts.py").write_text("""import os, signal, sys, time
print('{"figure": 1}', flush=True)
print('{"cut', end="", flush=True)
if sys.argv[1] in ("hangs", "data"):
    time.sleep(100)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
raise SystemExit("out of luck" if sys.argv[1] == "fails" else 0)
""")
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name, why", [("fails", "out of luck"), ("hangs", "stopped after 3 s"), ("killed", "killed by SIGKILL"),
                                       ("fine", "")])
def test_a_part_that_fails_or_hangs_keeps_its_rows_and_says_why(fakes, name, why):
    assert gpu.run(gpu.start(name, [], {}), 3) == ([{"figure": 1}], why)


@pytest.mark.slow
def test_data_that_are_never_written_cost_the_demo_alone(fakes, monkeypatch, capsys):
    parts = ["steps", "demo", "loader", "compile"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--minutes", "0.1", "--out", str(fakes / "gpu.json"), "--parts", *parts])
    assert gpu.main() == 1
    report = json.loads((fakes / "gpu.json").read_text())["parts"]
    assert list(report) == parts
    assert report.pop("demo")["failed"].startswith("its data were not written")
    assert all(part["rows"] == [{"figure": 1}] and not part["failed"] for part in report.values())


def test_the_shares_are_of_six_minutes_and_what_is_not_taken_is_left_to_the_others():
    parts = list(gpu.SECONDS)
    assert sum(gpu.SECONDS.values()) == 360
    assert gpu.share(parts, 360) == gpu.SECONDS["parity"] and gpu.share(parts[1:], 355) > gpu.SECONDS["steps"]
    assert gpu.share(parts[-1:], 7) == 7


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


@pytest.mark.parametrize("name, precision, expected", [
    ("Tesla T4", "fp16", 65), ("Tesla T4", "bf16", None), ("Tesla P100-PCIE-16GB", "float32", 9.3),
    ("Tesla P100-SXM2-16GB", "fp16", 21.2), ("NVIDIA A10-24Q", "fp16", None), ("NVIDIA L4", "TF32", 60),
    ("Tesla V100-SXM2-16GB", "fp16", 125), ("Tesla V100-PCIE-32GB", "fp16", 112), ("NVIDIA A10", "fp16", 125),
    ("NVIDIA A10G", "fp16", 70), ("NVIDIA A100-SXM4-80GB", "bf16", 312), ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),
    ("NVIDIA H100 80GB HBM3", "bf16", 989), ("NVIDIA H100 PCIe", "bf16", 756), ("NVIDIA H100 NVL", "bf16", 835),
    ("NVIDIA GeForce RTX 3090 Ti", "fp16", 80), ("NVIDIA GeForce RTX 4090", "fp16", 165.2), ("NVIDIA B200", "bf16", 2250),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", "fp16", None), ("NVIDIA RTX 6000 Ada Generation", "fp16", 364.2), ("", "fp16", None)])
def test_a_card_is_known_by_its_name(name, precision, expected):
    assert gpu_cards.peak(name, precision) == expected


@pytest.mark.slow
def test_the_work_of_a_step_is_as_the_counter_says():
    size = gpu_parts.Size(toy=False)
    for stage in (FOLDS, SEEDS):
        assert gigaflops(*size.round(stage)) == pytest.approx(gpu_parts.GIGAFLOPS[stage], rel=1e-3)
    assert gigaflops(*size.round(SEEDS), batches=1, padded_to=384) == pytest.approx(gpu_parts.LONGEST, rel=1e-3)


@pytest.mark.slow
def test_a_demo_that_does_not_end_in_time_says_how_long_it_would_take(place, capsys):
    size = gpu_parts.Size(toy=True, until=0)
    gpu_parts.demo(size)
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert row["% trained"] < 100 and row["whole"] == pytest.approx(row["seconds"] / row["% trained"] * 100)


def test_an_error_at_a_larger_batch_ends_the_search_and_not_the_part(monkeypatch, capsys):
    def rate(step, batches, seconds, fits):
        if len(batches[0]["lengths"]) > fits:
            raise RuntimeError("too large\nby far")
        return 1.0

    told = []
    for fits in (4, 0):
        monkeypatch.setattr(gpu_parts, "samples_a_second", partial(rate, fits=fits))
        gpu_parts.largest(gpu_parts.Size(toy=True))
        told.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert [row.get("ended by") for row in told[0]] == [None, "RuntimeError: too large"]
    assert [gpu.bad(row) for rows in told for row in rows] == [False, False, True]


def test_figures_that_are_not_finite_are_told_as_words(capsys):
    gpu_parts.tell(a=float("inf"), b=float("nan"), c=0.5)
    assert json.loads(capsys.readouterr().out) == {"a": "inf", "b": "nan", "c": 0.5}
