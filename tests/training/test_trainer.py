"""One training, toy-sized: it learns, and refuses what is not its own."""

import contextlib
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from configs import train_config
from toy import TRAIN_JOB, assert_same_weights, start_job, toy_job, weights

from aslutils.data.store import Store
from aslutils.model.checkpoint import load_checkpoint, load_init, save_checkpoint
from aslutils.model.loss import compute_loss
from aslutils.system.errors import UserError
from aslutils.task.landmarks import HANDS
from aslutils.training import trainer
from aslutils.training.config import OPTIMISERS
from aslutils.training.folder import CHECKPOINT, HISTORY, PREDICTIONS, PREVIOUS, RESUME
from aslutils.training.trainer import Trainer, is_finished, learning_rate

pytestmark = pytest.mark.slow


def test_learning_rate_rises_then_falls_to_zero_by_the_cosine():
    config = train_config(epochs=4, warmup_epochs=1, learning_rate=0.1)
    rates = [learning_rate(config, 10, step) for step in range(40)]
    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[25] == pytest.approx(0.05) and rates[-1] < 3e-4
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_loss_falls_and_the_history_tells_of_every_epoch(store, tmp_path, optimiser):
    job = toy_job(store, tmp_path, epochs=12, evaluate_every=6, optimiser=optimiser)
    assert Trainer(job).fit()
    history = pd.read_csv(job.folder / HISTORY)
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    assert history["score"].notna().tolist() == [False] * 5 + [True] + [False] * 5 + [True]
    assert {"forward", "backward", "confidence", "learning_rate", "samples_per_second"} <= set(history.columns)


def test_leaves_a_finished_checkpoint_and_a_prediction_for_every_validation_row(uninterrupted):
    assert is_finished(uninterrupted)
    checkpoint = load_checkpoint(uninterrupted.folder / CHECKPOINT)
    assert checkpoint.training is None and checkpoint.facts["seed"] == 1 and checkpoint.facts["sequences"] == 18
    predictions = pd.read_csv(uninterrupted.folder / PREDICTIONS, keep_default_na=False)
    assert predictions["row"].tolist() == uninterrupted.validation.tolist()
    assert predictions["confidence"].between(0, 1).all()
    assert not (uninterrupted.folder / RESUME).exists() and not (uninterrupted.folder / PREVIOUS).exists()


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(store, uninterrupted, tmp_path):
    again, other = toy_job(store, tmp_path / "again"), toy_job(store, tmp_path / "other", seed=2)
    assert Trainer(again).fit() and Trainer(other).fit()
    assert_same_weights(again, uninterrupted)
    assert not torch.equal(weights(other)["confidence.weight"], weights(again)["confidence.weight"])


@pytest.mark.parametrize("name, value", [("weight_decay", 0.5), ("beta2", 0.5), ("clip", 0.01), ("accumulate", 1),
                                         ("warmup_epochs", 1.0), ("learning_rate", 0.005), ("min_frames", 10),
                                         ("optimiser", "muon")])
def test_what_decides_a_training_changes_its_weights(store, uninterrupted, tmp_path, name, value):
    other = toy_job(store, tmp_path, **{name: value})
    assert Trainer(other).fit()
    assert not torch.equal(weights(other)["confidence.weight"], weights(uninterrupted)["confidence.weight"])


def test_a_loss_that_is_no_number_stops_the_training(store, tmp_path):
    with pytest.raises(UserError, match="toy: the loss is no finite number in .* batches of epoch .*lower learning_rate"):
        Trainer(toy_job(store, tmp_path, learning_rate=1e30, clip=1e30, warmup_epochs=0.0)).fit()


def with_an_infinite_loss(monkeypatch, at: int) -> list[float]:
    """Make the loss of batch `at` infinite. Returns the list of all losses as they would be."""
    losses = []

    def compute(*given):
        parts = compute_loss(*given)
        losses.append(parts["loss"].item())
        return {**parts, "loss": parts["loss"] * (math.inf if len(losses) == at else 1)}

    monkeypatch.setattr(trainer, "compute_loss", compute)
    return losses


def with_scaler(job) -> Trainer:
    """A trainer that scales its gradients as fp16 does, which it has on a GPU only."""
    training = Trainer(job)
    training.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    training.optimiser = AcceleratedOptimizer(training.optimiser.optimizer, False, training.accelerator.scaler)
    return training


def test_fp16_leaves_out_the_update_with_an_infinite_loss_and_goes_on(store, tmp_path, monkeypatch, capfd):
    losses = with_an_infinite_loss(monkeypatch, 2)
    monkeypatch.setattr(trainer, "MOST_LOST", 0.5)
    training = with_scaler(toy_job(store, tmp_path, accumulate=1))
    steps, moved, step = training.steps_per_epoch, [], training._train_step

    def watched(batch):
        before = [weight.clone() for weight in training.network.parameters()]
        figures = step(batch)
        moved.append(any(not torch.equal(old, new) for old, new in zip(before, training.network.parameters())))
        return figures

    monkeypatch.setattr(training, "_train_step", watched)
    assert training.fit() and [place for place, changed in enumerate(moved, 1) if not changed] == [2]
    assert f"toy: epoch 1: 1 of {steps} batches had no finite loss; the updates" in capfd.readouterr().out
    found = pd.read_csv(tmp_path / HISTORY)["loss"]
    assert found[0] == pytest.approx((sum(losses[:steps]) - losses[1]) / (steps - 1)) and found.notna().all()


@pytest.mark.parametrize("accumulate, most", [(1, 0.1), (2, 0.5)])
def test_too_many_updates_without_a_finite_loss_end_a_training(store, tmp_path, monkeypatch, accumulate, most):
    with_an_infinite_loss(monkeypatch, 2)
    monkeypatch.setattr(trainer, "MOST_LOST", most)
    training = with_scaler(toy_job(store, tmp_path, accumulate=accumulate))
    steps = training.steps_per_epoch
    assert 0.1 < 1 / steps < 0.5 < 2 / steps
    with pytest.raises(UserError, match=f"toy: the loss is no finite number in 1 of {steps} batches of epoch 1"):
        training.fit()


def test_an_infinite_loss_that_no_scaler_leaves_out_ends_a_training(store, tmp_path, monkeypatch):
    with_an_infinite_loss(monkeypatch, Trainer(toy_job(store, tmp_path)).steps_per_epoch)
    monkeypatch.setattr(trainer, "MOST_LOST", 1)
    with pytest.raises(UserError, match="toy: the weights are no finite numbers"):
        Trainer(toy_job(store, tmp_path, accumulate=1)).fit()


def test_weights_that_are_no_numbers_do_not_take_the_place_of_a_checkpoint(store, tmp_path):
    with pytest.raises(UserError, match="toy: the weights are no finite numbers after .* batches; train with a lower"):
        Trainer(toy_job(store, tmp_path, learning_rate=1e30, clip=1e30, warmup_epochs=0.0, accumulate=1,
                        checkpoint_minutes=0.0)).fit()
    assert load_checkpoint(tmp_path / RESUME).training["step"] > 0              # refuses weights that are no numbers


def test_weights_that_are_no_numbers_after_the_last_step_are_not_kept(store, tmp_path):
    with pytest.raises(UserError, match="toy: the weights are no finite numbers after 1 batches"):
        Trainer(toy_job(store, tmp_path, learning_rate=1e39, clip=1e30, warmup_epochs=0.0, epochs=1, batch_size=100)).fit()
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("found, shared", [([3, 3], True), ([3, None], False), ([(), ("seed 1",)], False)])
def test_processes_that_find_different_checkpoints_are_refused(found, shared, monkeypatch, tmp_path):
    monkeypatch.setattr(trainer, "join_processes", lambda: SimpleNamespace(num_processes=2))
    monkeypatch.setattr(trainer, "gather_object", lambda mine: found)
    with contextlib.nullcontext() if shared else pytest.raises(UserError, match="must share the run's folder"):
        trainer.same_everywhere(found[0], tmp_path)


@pytest.mark.parametrize("wrong, words", [
    ({"epochs": 0}, "epochs is 0"), ({"precision": "fp8"}, "precision is 'fp8'"),
    ({"tracker": "neptune"}, "tracker is 'neptune'"), ({"warmup_epochs": 5.0}, "fewer than epochs"),
    ({"warmup_epochs": -1.0}, "warmup_epochs is -1.0"), ({"seed": -1}, "seed is -1"), ({"clip": 0.0}, "clip is 0.0")])
def test_a_wrong_training_parameter_is_named(store, tmp_path, wrong, words):
    with pytest.raises(ValueError, match=words):
        toy_job(store, tmp_path, **wrong)


def test_writes_tensorboard_events(store, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert Trainer(toy_job(store, tmp_path, tracker="tensorboard")).fit()
    (events,) = tmp_path.rglob("events.out*.0")
    accumulator = EventAccumulator(str(events)).Reload()
    assert [event.step for event in accumulator.Scalars("loss")] == [1, 2, 3]


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_other_trackers_keep_their_curves_here_without_a_network(store, tmp_path, monkeypatch, tracker):
    pytest.importorskip(tracker, reason=f"{tracker} is not installed (an optional tracker: pip install {tracker})")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    process = start_job(TRAIN_JOB, toy_job(store, tmp_path / "job", tracker=tracker), tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert list(tmp_path.rglob("job/wandb/*/*.wandb" if tracker == "wandb" else "events.db"))


def test_training_never_imports_tensorflow(store, tmp_path):
    code = TRAIN_JOB + "\nassert 'tensorflow' not in sys.modules, 'TensorFlow was imported'\n"
    process = start_job(code, toy_job(store, tmp_path / "job", tracker="tensorboard"), tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert list((tmp_path / "job").rglob("events.out*"))


def test_a_training_begins_with_the_weights_of_init_and_remembers_which_they_were(store, uninterrupted, tmp_path):
    path = uninterrupted.folder / CHECKPOINT
    job = toy_job(store, tmp_path / "tuned", init=str(path), seed=2)
    trainer = Trainer(job)
    begun = trainer.network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in weights(uninterrupted).items())
    assert trainer.fit() and job.facts()["init"] == load_checkpoint(job.folder / CHECKPOINT).facts["init"] != ""
    moved = tmp_path / "elsewhere.pt"
    moved.write_bytes(path.read_bytes())
    assert is_finished(toy_job(store, tmp_path / "tuned", init=str(moved), seed=2))          # the weights count, not their place
    with pytest.raises(UserError, match="another parameters|other parameters: init"):
        is_finished(toy_job(store, tmp_path / "tuned", seed=2))


def test_what_init_lacks_or_has_to_say_what_frames_show_does_not_matter(store, uninterrupted, tmp_path):
    path, own = uninterrupted.folder / CHECKPOINT, weights(uninterrupted)
    job = toy_job(store, tmp_path / "tuned", init=str(path))
    begun = Trainer(replace(job, model=replace(job.model, shown=True))).network
    assert begun.shown is not None and all(torch.equal(begun.state_dict()[name], value) for name, value in own.items())
    save_checkpoint(tmp_path / "made_up.pt", begun)
    assert load_init(tmp_path / "made_up.pt", job.model).keys() == own.keys()             # as for recordings, which do not say it
    assert load_init(tmp_path / "made_up.pt", begun.config).keys() == begun.state_dict().keys() > own.keys()


def test_init_with_a_network_of_another_size_or_no_checkpoint_is_named(uninterrupted, tmp_path):
    path = uninterrupted.folder / CHECKPOINT
    config = load_checkpoint(path).network.config
    assert load_init(path, replace(config, dropout=0.3)).keys() == weights(uninterrupted).keys()      # no size
    with pytest.raises(UserError, match=rf"init: the network of .*{CHECKPOINT} is another one: it has dim {config.dim} .here 24"):
        load_init(path, replace(config, dim=24))
    for change, words in ({"confidence": False}, "confidence True .here False.. Set"), ({"heads": 1}, "heads 2 .here 1"):
        with pytest.raises(UserError, match=f"it has {words}"):
            load_init(path, replace(config, **change))
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*none.pt"):
        load_init(tmp_path / "none.pt", config)


def test_facts_say_how_long_the_training_s_hand_less_ends_and_phrases_usually_are_at_most(store, tmp_path):
    job = toy_job(store, tmp_path)
    seen = [np.isfinite(Store(job.store).landmarks(row)[:, HANDS, 0]).any(1) for row in job.rows]
    ends = [max(shown.argmax(), shown[::-1].argmax()) for shown in seen if shown.any()]
    assert job.facts()["usual_end"] == np.ceil(np.quantile(ends, 0.75)) == Store(job.store).usual_end(job.rows)
    characters = sorted(len(Store(job.store).table["phrase"][row]) for row in job.rows)
    usual = job.facts()["usual_characters"]
    assert np.mean(np.array(characters) <= usual) >= 0.9 > np.mean(np.array(characters) < usual)
