"""Train a round without its notebook, in one process or in those started by `accelerate launch` or `torchrun`."""

from aslutils.run.corpus import open_corpus
from aslutils.run.place import minutes_left
from aslutils.run.stages import FOLDS, ROUNDS, configs
from aslutils.system.errors import TimeLimit
from aslutils.training import rounds
from aslutils.training.jobs import forget, train_together
from aslutils.training.trainer import join_processes


def train_round(name: str, parameters: dict) -> None:
    """Train "round1" or "round2" as its notebook would with these parameters (all of them: see `run.stages.parameters`).

    Raises TimeLimit if it stopped at the time limit, and what a training raises.
    """
    data, run, which, model, loss, train = configs(ROUNDS[name], parameters)
    first = ROUNDS[name] == FOLDS
    state = join_processes()
    limit = minutes_left(train.max_minutes)
    with state.main_process_first():              # the others then find the data prepared
        corpus = open_corpus(data, run.fresh and first and state.is_main_process)
    if first:
        jobs = [rounds.fold_job(corpus, fold, model, loss, train, run.augmentations) for fold in which.folds]
    else:
        jobs = rounds.seed_jobs(corpus, rounds.training_table(corpus), which, model, loss, train, run.augmentations)
    if run.fresh and state.is_main_process:
        forget(jobs)
    state.wait_for_everyone()
    if not train_together(jobs, max_minutes=limit, quiet=not state.is_main_process):
        raise TimeLimit("Stopped at the time limit, with a checkpoint: start it again to continue.")
