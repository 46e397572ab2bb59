"""What every test may ask for."""

import contextlib
import io
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from configs import data_config
from kaggle_server import KaggleServer
from small_corpus import corpus_rows, write_competition

from aslutils.data.folds import Corpus
from aslutils.run.corpus import open_corpus

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = pytest.StashKey[Counter]()
LONGEST = ("test_pipeline.py", "test_kaggle_notebooks.py", "test_browser.py", "test_notebooks.py", "test_resume.py",
           "test_jobs.py", "test_parallel.py", "test_gpu_benchmark.py", "test_variants.py")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="what a change needs first: leaves out the tests marked slow")


def pytest_collection_modifyitems(config, items):
    """The longest files first, so that no process is left with one at the end.

    With --quick, leave out what is marked slow: whatever trains, prepares, converts, draws, or starts notebooks or servers.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)
    slow = [item for item in items if config.option.quick and item.get_closest_marker("slow")]
    config.stash[LEFT_OUT] = Counter(item.path.relative_to(ROOT).as_posix() for item in slow)
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


def pytest_terminal_summary(terminalreporter, config):
    left_out = config.stash.get(LEFT_OUT, {})
    if left_out:
        terminalreporter.write_line(f"left out by --quick ({sum(left_out.values())} tests; tests/run.sh runs them): "
                                    + ", ".join(f"{file} {count}" for file, count in sorted(left_out.items())))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real sequences and golden numbers that lies beside the project on some machines."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the project: real sequences and golden numbers are not tested")
    return folder


@pytest.fixture
def own(tmp_path) -> tuple[Path, pd.DataFrame]:
    """A competition folder that a test may damage: 2 training files of 3 sequences, and their rows."""
    rows = corpus_rows(files=2, sequences=3, supplemental=0)
    write_competition(tmp_path / "data", rows)
    return tmp_path / "data", rows


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A made-up Kaggle machine, so that runs lie in a folder of the test."""
    root = tmp_path_factory.mktemp("kaggle")
    (root / "input").mkdir()
    (root / "working").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASLUTILS_KAGGLE_ROOT", str(root))
        yield root


@pytest.fixture(scope="module")
def corpus(place, tmp_path_factory) -> Corpus:
    """A small run's data, opened: two folds, one of three participants held out."""
    data = tmp_path_factory.mktemp("data") / "competition"
    write_competition(data)
    config = data_config(run="toy", data=str(data), fold_count=2, holdout=0.3)
    with contextlib.redirect_stdout(io.StringIO()):
        return open_corpus(config)


@pytest.fixture
def kaggle_server(tmp_path, monkeypatch):
    """A stand-in Kaggle that the real client talks to in this test, and no way out: dead HTTPS proxy, temporary home."""
    for name in [name for name in os.environ if name.startswith("KAGGLE_") or name.lower() == "no_proxy"]:
        monkeypatch.delenv(name)
    with KaggleServer().running() as server:
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server
