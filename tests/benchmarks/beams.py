"""What beam search, the CTC head and the backward decoder gain over greedy decoding, on people that no training has seen.

    python tests/benchmarks/beams.py [datamount/demo ...] [--single] [--sequences 2000] [--seed 77] [--against 0] [--ways 1 2 ...]

Makes demo sequences of 40 new participants, reads them with each run's round-2 networks in PyTorch, and prints a row for each
way of decoding: its score, what it gains over the first with a 95 % bootstrap interval over participants and runs, and
CPU time a sequence, one thread. --single: each checkpoint alone instead of the run's ensemble.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from ablation import gain_interval, participants_errors

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.data.prepare import prepare
from aslutils.demo import writer as demo
from aslutils.model import network
from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import load_network
from aslutils.model.network import SHOWN_SHARE
from aslutils.port.compare import read_pytorch
from aslutils.run.export import find_checkpoints
from aslutils.task.metric import score

WAYS = {                           # the search, and the share in CTC's vote of the head that says what frames show, where it is
    "greedy": (None, SHOWN_SHARE),
    "8 beams": (BeamSearch(8, 0.5, 0.0), SHOWN_SHARE),
    "the same + backward": (BeamSearch(8, 0.5, 0.4), SHOWN_SHARE),
    "the same + CTC 0.3": (BeamSearch(8, 0.5, 0.0, 0.3), SHOWN_SHARE),
    "the same + both, CTC 0.3": (BeamSearch(8, 0.5, 0.4, 0.3), SHOWN_SHARE),
    "the same + both, CTC 0.5": (BeamSearch(8, 0.5, 0.4, 0.5), SHOWN_SHARE),
    "4 beams + both, CTC 0.3": (BeamSearch(4, 0.5, 0.4, 0.3), SHOWN_SHARE),
    "greedy + CTC 0.3": (BeamSearch(1, 0.0, 0.0, 0.3), SHOWN_SHARE),
    "8 beams + both, CTC 0.5 alone": (BeamSearch(8, 0.5, 0.4, 0.5), 0.0),
    "the same, half of it what frames show": (BeamSearch(8, 0.5, 0.4, 0.5), 0.5),
}
PARTICIPANTS = 40


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, default=[Path("datamount/demo")], help="folders of runs with trained seeds")
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--single", action="store_true", help="decode each checkpoint alone")
    parser.add_argument("--ways", type=int, nargs="+", default=range(1, len(WAYS)), choices=range(1, len(WAYS)), metavar="N",
                        help="which of the ways to hold against greedy decoding, numbered as they are listed (default: all)")
    parser.add_argument("--against", type=int, default=0, choices=range(len(WAYS)), metavar="N",
                        help="hold them against this way (default: 0, greedy decoding)")
    parser.add_argument("--seed", type=int, default=77, help="of the new participants and their sequences; the run's own was 1")
    options = parser.parse_args()

    torch.set_num_threads(1)
    found = [[load_network(path) for path in find_checkpoints(run, [])] for run in options.runs]
    ensembles = [[each] for networks in found for each in networks] if options.single else found
    with tempfile.TemporaryDirectory() as folder:
        demo.write_demo(f"{folder}/data", sequences=options.sequences, supplemental=0, participants=PARTICIPANTS, gestures=0.0,
                        seed=options.seed)
        store = prepare(f"{folder}/data", f"{folder}/store", workers=1)
        sequences = [store.columns(row) for row in range(len(store))]
    phrases, participants = (store.table[name].tolist() for name in ("phrase", "participant_id"))
    base = None
    print(f"{len(sequences):,} sequences of {PARTICIPANTS} new participants, {len(ensembles)} times {len(ensembles[0])} networks")
    print(f"{'':38}  score   gain (95 % interval)      CPU ms")
    for name, (beam, network.SHOWN_SHARE) in [list(WAYS.items())[number] for number in (options.against, *options.ways)]:
        began = time.process_time()
        texts = [[read_pytorch(networks, sequence, beam).text for sequence in sequences] for networks in ensembles]
        spent = 1000 * (time.process_time() - began) / (len(ensembles) * len(sequences))
        errors = [participants_errors(participants, phrases, read) for read in texts]
        scored = sum(score(phrases, read) for read in texts) / len(texts)
        base = base or (errors, scored)
        low, high = gain_interval(errors, base[0])
        print(f"{name:38} {scored:.4f}  {scored - base[1]:+.4f} ({low:+.4f} to {high:+.4f}) {spent:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
