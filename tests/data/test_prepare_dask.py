"""Preparation on a dask cluster, here on the loopback: a scheduler and three workers, one of which is killed."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_corpus import corpus_rows, write_competition

from aslutils.data.prepare import prepare

pytestmark = pytest.mark.slow

pytest.importorskip("distributed", reason="dask.distributed is not installed (an optional extra: pip install distributed)")

SLOWLY = """
import time
from pathlib import Path
from aslutils.data import readers
calls = []

def slowly(*arguments, decode=readers.decode):
    calls.append(1)
    while len(calls) > 1 and not Path("go").exists():
        time.sleep(0.02)
    return decode(*arguments)

readers.decode = slowly
"""


@pytest.fixture
def cluster(tmp_path):
    """(address, worker processes) of a scheduler with three one-thread workers, whose second decode waits for a file `go`."""
    (tmp_path / "slowly.py").write_text(SLOWLY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}

    def start(*arguments):
        return subprocess.Popen([sys.executable, "-m", *arguments], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    port = address.partition(":")[2]
    scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    workers = [start("distributed.cli.dask_worker", f"tcp://{address}", "--no-nanny", "--nthreads", "1", "--no-dashboard",
                     "--memory-limit", "0", "--preload", "slowly.py") for _ in range(3)]
    from distributed import Client
    with Client(f"tcp://{address}", timeout="60s") as client:
        client.wait_for_workers(3, timeout=60)
    yield f"tcp://{address}", workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def test_a_cluster_that_loses_a_worker_half_way_writes_the_same_bytes_as_one_process(cluster, tmp_path):
    address, workers = cluster
    write_competition(tmp_path / "data", corpus_rows(files=8, sequences=3), group=10**6)
    whole = prepare(tmp_path / "data", tmp_path / "whole", workers=1)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = subprocess.Popen([sys.executable, "-m", "aslutils", "prepare", "data", "store", "--dask", address], cwd=tmp_path,
                               env=environment, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not list((tmp_path / "store" / "parts").glob("*.parquet")):
        assert time.monotonic() < end and command.poll() is None
        time.sleep(0.02)
    workers[0].kill()
    assert len(list((tmp_path / "store" / "parts").glob("*.parquet"))) < 9   # the work was not done yet
    (tmp_path / "go").touch()
    assert "24 training and 3 supplemental sequences" in command.communicate(timeout=100)[0]
    for name in ("columns.bin", "table.parquet", "store.json", "skipped.csv"):
        assert (tmp_path / "store" / name).read_bytes() == (whole.path / name).read_bytes()
