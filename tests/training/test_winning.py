"""The parameters of full size: both networks are built, take a training step with all augmentations, decode, and are exported."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from aslutils.data import augment
from aslutils.data.dataset import TrainLoader
from aslutils.model.config import ModelConfig
from aslutils.model.loss import LossConfig, compute_loss
from aslutils.model.network import Network
from aslutils.run.pipeline import KIT
from aslutils.system.parameters import from_values, read_params
from aslutils.task.text import EOS
from aslutils.training.trainer import TrainConfig


@pytest.mark.slow
@pytest.mark.parametrize("profile, notebook, learnt", [
    ("winning", "01_round1_folds", 2_515_040), ("winning", "03_fullfit", 9_736_305),
    ("beyond", "01_round1_folds", 2_515_040 + 145 * 60), ("beyond", "03_fullfit", 9_736_305 + 209 * 60),
])
def test_a_full_size_network_takes_a_training_step_and_decodes(profile, notebook, learnt, store):
    values = read_params(KIT / "params" / profile / f"{notebook}.yaml")
    known = {item.name for kind in (ModelConfig, LossConfig, TrainConfig) for item in fields(kind)}
    model, loss, train = from_values({name: value for name, value in values.items() if name in known},
                                     ModelConfig, LossConfig, TrainConfig)
    torch.manual_seed(train.seed)
    network = Network(replace(model, ctc=loss.ctc_weight > 0))
    assert sum(weight.numel() for weight in network.parameters()) == learnt
    rows = np.flatnonzero(store.lengths >= 15)
    loader = TrainLoader(store, rows, np.full(len(rows), 0.5), augment.build(values["augmentations"]), batch_size=3, seed=1,
                         min_frames=train.min_frames)
    batch = next(loader.epoch(0))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=train.weight_decay)
    before = [weight.detach().clone() for weight in network.parameters()]
    parts = compute_loss(network, batch, loss)
    parts["loss"].backward()
    optimiser.step()
    assert torch.isfinite(parts["loss"])
    assert ("backward" in parts, "confidence" in parts) == (model.backward_decoder, model.confidence)
    moved = [not torch.equal(weight, old) for weight, old in zip(network.parameters(), before)]
    assert all(moved), "a weight that no gradient reaches"
    tokens, confidence = network.eval().greedy(batch["frames"], batch["lengths"])
    again, _ = network.greedy(batch["frames"][:1], batch["lengths"][:1])
    end = (again[0] == EOS).nonzero()[0, 0] if EOS in again[0] else len(again[0])
    assert len(tokens) == len(batch["row"]) and torch.equal(tokens[0, :end], again[0, :end])     # padded or alone
    assert (confidence is not None) == model.confidence and (confidence is None or torch.isfinite(confidence).all())
