"""Decoding a part of the store with a network, and the rules that reject a recording."""

import numpy as np
import pandas as pd
import torch

from aslutils.data.dataset import evaluation_batches
from aslutils.data.store import Store
from aslutils.system.progress import progress
from aslutils.task.text import DUMMY_PHRASE, MIN_CONFIDENCE, MIN_FRAMES, decode


@torch.no_grad()
def predict(network, store: Store, rows, *, batch_size: int = 64, device="cpu", workers: int = 0, what: str = "decoding",
            ) -> pd.DataFrame:
    """Decode the store's `rows` greedily.

    Returns a table in the order of `rows`: row, file_id, sequence_id, participant_id, phrase, frames, seen (whether any
    landmark was), prediction (without the dummy rule) and confidence (1.0 where the network has no such head).
    """
    rows = np.asarray(rows)
    training = network.training
    network.eval()
    texts, confidences = {}, {}
    with progress(total=len(rows), what=what, unit="sequences", leave=False) as bar:
        for batch in evaluation_batches(store, rows, batch_size=batch_size, workers=workers):
            tokens, confidence = network.greedy(batch["frames"].to(device), batch["lengths"].to(device))
            tokens = tokens.cpu().numpy()
            confidence = np.ones(len(tokens)) if confidence is None else confidence.float().sigmoid().cpu().numpy()
            for position, row in enumerate(batch["row"].tolist()):
                texts[row], confidences[row] = decode(tokens[position]), float(confidence[position])
            bar.update(len(tokens))
    network.train(training)
    table = store.table.iloc[rows][["file_id", "sequence_id", "participant_id", "phrase", "frames"]].reset_index(drop=True)
    table.insert(0, "row", rows)
    table["seen"] = (store.statistics[rows] != 0).any(axis=(1, 2))
    table["prediction"] = [texts[row] for row in rows.tolist()]
    table["confidence"] = [confidences[row] for row in rows.tolist()]
    return table


def rejected(table: pd.DataFrame) -> np.ndarray:
    """Which predictions the post-processing replaces: too short, nothing seen, or not confident. bool (N,)."""
    return ((table["frames"] < MIN_FRAMES) | ~table["seen"] | (table["confidence"] < MIN_CONFIDENCE)).to_numpy()


def postprocess(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `predict` with the dummy phrase where the recording is rejected."""
    return table.assign(prediction=np.where(rejected(table), DUMMY_PHRASE, table["prediction"]))
