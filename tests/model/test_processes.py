"""Training in several processes gives the statistics, loss and gradients of one process with the whole batch."""

import warnings

import golden_toy
import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from configs import loss_config

from aslutils.model.loss import compute_loss
from aslutils.task import text

pytestmark = pytest.mark.slow

CONFIGS = {"published": loss_config(mask_probability=0), "ignore_pad": loss_config(mask_probability=0, ignore_pad=True)}


def whole_batch():
    """Four sequences; the first process's half is shorter in frames and phrases than the second's."""
    frames = torch.randn(4, 21, 130, 3, generator=torch.Generator().manual_seed(1))
    tokens = torch.stack([torch.from_numpy(text.encode(phrase)) for phrase in ("a", "longer than it", "bcd", "12 e")])
    return {"frames": frames, "lengths": torch.tensor([5, 21, 8, 13]), "tokens": tokens, "score": torch.linspace(0, 1, 4)}


def step(data, config):
    """Loss, gradients and statistics of one training step."""
    network = golden_toy.network(2, dropout=0.0, decoder_attention_dropout=0.0).train()
    loss = compute_loss(network, data, config)["loss"]
    loss.backward()
    found = {"loss": loss.detach(), **{name: value.grad for name, value in network.named_parameters()}}
    return found, dict(network.named_buffers())


def one_of_two(rank, folder):
    warnings.simplefilter("error", FutureWarning)     # a call that torch is about to drop
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    half = {name: value[rank::2] for name, value in whole_batch().items()}
    half["frames"] = half["frames"][:, :int(half["lengths"].max())]
    for name, config in CONFIGS.items():
        found, statistics = step(half, config)
        for value in found.values():                # what data-parallel training does with gradients
            distributed.all_reduce(value.div_(2))
        torch.save({**found, **statistics}, f"{folder}/{name}{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(one_of_two, (folder,), nprocs=2)
    return folder


@pytest.mark.skipif(not distributed.is_available(), reason="this torch has no distributed package")
@pytest.mark.parametrize("name", list(CONFIGS))
def test_two_processes_train_as_one(folder, name):
    expected = {key: value for part in step(whole_batch(), CONFIGS[name]) for key, value in part.items()}
    for rank in (0, 1):
        found = torch.load(folder / f"{name}{rank}.pt")
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, atol=1e-4, rtol=1e-3, msg=lambda text, key=key: f"{key}: {text}")
