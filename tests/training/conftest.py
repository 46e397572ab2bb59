"""A store of toy sequences and a training on it that nothing interrupted."""

import pytest
from toy import toy_job, toy_store

from aslutils.training.trainer import Trainer


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return toy_store(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory):
    job = toy_job(store, tmp_path_factory.mktemp("uninterrupted"))
    assert Trainer(job).fit()
    return job
