"""What beam search and the backward decoder's ranking gain over greedy decoding, on people that no training has seen.

    python tests/benchmarks/beams.py [datamount/demo] [--sequences 1000] [--seed 77]

Makes demo sequences of 20 new participants, reads them with the run's round-2 networks in PyTorch, and prints a row for each way
of decoding: its score, what it gains over greedy decoding with a 95 % bootstrap interval, and CPU time a sequence, one thread.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.data.prepare import prepare
from aslutils.demo import writer as demo
from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import load_network
from aslutils.port.compare import read_pytorch
from aslutils.run.export import find_checkpoints
from aslutils.task.metric import score

WAYS = {
    "greedy": None,
    "8 beams": BeamSearch(8, 0.0, 0.0),
    "8 beams, normalised by length": BeamSearch(8, 0.5, 0.0),
    "4 beams, normalised and reranked": BeamSearch(4, 0.5, 0.4),
    "8 beams, normalised and reranked": BeamSearch(8, 0.5, 0.4),
}


def gain_interval(phrases, texts, others, draws: int = 2000) -> np.ndarray:
    """The 95 % bootstrap interval of what `texts` score more than `others`."""
    rng, gains = np.random.default_rng(1), []
    for _ in range(draws):
        rows = rng.integers(0, len(phrases), len(phrases))
        drawn, one, other = ([values[row] for row in rows] for values in (phrases, texts, others))
        gains.append(score(drawn, one) - score(drawn, other))
    return np.quantile(gains, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, default=Path("datamount/demo"), help="folder of a run with trained seeds")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=77, help="of the new participants and their sequences; the run's own was 1")
    options = parser.parse_args()

    torch.set_num_threads(1)
    networks = [load_network(path) for path in find_checkpoints(options.run, [])]
    with tempfile.TemporaryDirectory() as folder:
        demo.write_demo(f"{folder}/data", sequences=options.sequences, supplemental=0, participants=20, seed=options.seed)
        store = prepare(f"{folder}/data", f"{folder}/store", workers=1)
        sequences = [store.columns(row) for row in range(len(store))]
    phrases, greedy = store.table["phrase"].tolist(), None
    print(f"{len(phrases):,} sequences of new participants, {len(networks)} networks")
    print(f"{'':34}  score   gain (95 % interval)      CPU ms")
    for name, beam in WAYS.items():
        began = time.process_time()
        texts = [read_pytorch(networks, sequence, beam).text for sequence in sequences]
        spent = 1000 * (time.process_time() - began) / len(texts)
        greedy = greedy or texts
        low, high = gain_interval(phrases, texts, greedy)
        gain = score(phrases, texts) - score(phrases, greedy)
        print(f"{name:34} {score(phrases, texts):.4f}  {gain:+.4f} ({low:+.4f} to {high:+.4f}) {spent:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
