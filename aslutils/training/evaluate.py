"""Predictions of a network for rows of the store, and their post-processing for submission."""

import numpy as np
import pandas as pd
import torch

from aslutils.data.dataset import evaluation_batches
from aslutils.data.sources import IDENTITY
from aslutils.data.store import Store
from aslutils.model import alignment
from aslutils.model.loss import label_lengths
from aslutils.system.progress import progress
from aslutils.task.rejection import UNKNOWN, rejected
from aslutils.task.text import DUMMY_PHRASE, decode


@torch.no_grad()
def predict(network, store: Store, rows, *, batch_size: int = 64, device="cpu", workers: int = 0, what: str = "decoding",
            align: bool = False) -> pd.DataFrame:
    """Decode the store's `rows` greedily.

    Returns a table in the order of `rows`: row, file_id, sequence_id, participant_id, phrase, length, hand_frames, prediction
    (also for rejected sequences) and confidence (NaN if the network has no such head). align: add `borders`, if the network has
    a CTC head: the frames before which the phrase's second and each later character begins, "12 20 31", "" if unknown.
    """
    rows = np.asarray(rows)
    training, align = network.training, align and network.ctc is not None
    network.eval()
    texts, confidences, borders = {}, {}, {}
    with progress(total=len(rows), what=what, unit="sequences", leave=False) as bar:
        for batch in evaluation_batches(store, rows, batch_size=batch_size, workers=workers):
            encoded, mask = network.encode(batch["frames"].to(device), batch["lengths"].to(device))
            tokens, confidence = network.spell(encoded, mask)
            if align:
                borders.update(zip(batch["row"].tolist(), _borders(network.ctc(encoded), batch, store)))
            tokens = tokens.cpu().numpy()
            confidence = np.full(len(tokens), UNKNOWN) if confidence is None else confidence.float().sigmoid().cpu().numpy()
            for position, row in enumerate(batch["row"].tolist()):
                texts[row], confidences[row] = decode(tokens[position]), float(confidence[position])
            bar.update(len(tokens))
    network.train(training)
    table = store.table.iloc[rows][[*IDENTITY, "participant_id", "phrase", "length", "hand_frames"]].reset_index(drop=True)
    table.insert(0, "row", rows)
    table["prediction"] = [texts[row] for row in rows.tolist()]
    table["confidence"] = [confidences[row] for row in rows.tolist()]
    return table.assign(borders=[borders[row] for row in rows.tolist()]) if align else table


def _borders(logits, batch: dict, store: Store) -> list[str]:
    """Where the phrases of a batch can be cut, in frames of the store."""
    tokens, lengths = batch["tokens"].to(logits.device), batch["lengths"].to(logits.device)
    found = alignment.borders(logits.float(), lengths, tokens, label_lengths(tokens) - 1)
    scales = store.lengths[batch["row"].numpy()] / batch["lengths"].numpy()                  # longer ones were resampled
    return [" ".join(str(round(border * scale)) for border in row or []) for row, scale in zip(found, scales)]


def postprocess(table: pd.DataFrame) -> pd.DataFrame:
    """A table from `predict`, with the dummy phrase for rejected sequences."""
    unreadable = rejected(table["length"], table["hand_frames"], table["confidence"], table["prediction"].str.len())
    return table.assign(prediction=np.where(unreadable, DUMMY_PHRASE, table["prediction"]))
