"""Checkpoint files, ours and published ones, whole and broken."""

import errno
import os
from dataclasses import asdict

import golden_toy
import pytest
import torch

from aslutils.__main__ import main
from aslutils.model.checkpoint import load_checkpoint, load_network, save_checkpoint, save_published


class Malicious:
    """Pickles as a call that leaves a folder behind."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def same(network, other):
    return network.config == other.config and all(
        torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("round", [1, 2])
def test_a_checkpoint_returns_network_facts_and_training(tmp_path, round):
    network = golden_toy.network(round, dropout=0.25)
    save_checkpoint(tmp_path / "a.pt", network, {"epochs": 3}, {"step": torch.tensor(4)})
    read = load_checkpoint(tmp_path / "a.pt")
    assert same(network, read.network) and read.network.config.dropout == 0.25
    assert read.facts == {"epochs": 3} and read.training == {"step": torch.tensor(4)} and not read.published
    assert not load_network(tmp_path / "a.pt").training


@pytest.mark.parametrize("round", [1, 2])
def test_a_published_file_is_read_and_written(tmp_path, round):
    network = golden_toy.network(round)
    save_published(tmp_path / "checkpoint_last_seed1.pth", network)
    read = load_checkpoint(tmp_path / "checkpoint_last_seed1.pth")
    assert same(network, read.network) and read.published and read.training is None
    assert set(torch.load(tmp_path / "checkpoint_last_seed1.pth", weights_only=True)) == {"model"}


def test_the_command_rewrites_ours_as_published(tmp_path, capsys):
    network = golden_toy.network(2)
    save_checkpoint(tmp_path / "ours.pt", network)
    assert main(["weights", str(tmp_path / "ours.pt"), str(tmp_path / "theirs.pth")]) == 0
    assert "theirs.pth" in capsys.readouterr().out
    assert same(network, load_network(tmp_path / "theirs.pth"))


def test_the_command_says_in_a_line_what_it_cannot_rewrite(tmp_path, capsys):
    assert main(["weights", str(tmp_path / "none.pt"), str(tmp_path / "theirs.pth")]) == 1
    assert capsys.readouterr().err.startswith("no checkpoint at ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [save_checkpoint, save_published])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_half_a_file_is_an_error_that_names_it(tmp_path, write, share):
    path = write(tmp_path / "half.pt", golden_toy.network(2))
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(ValueError, match=r"half\.pt is cut short, damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_disk_that_fails_is_not_a_damaged_file(tmp_path, monkeypatch):
    """A training takes damaged checkpoints away; this one may be whole."""
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    path = save_checkpoint(tmp_path / "a.pt", golden_toy.network(1))
    monkeypatch.setattr("builtins.open", fail)
    monkeypatch.setattr("io.open", fail)                  # pathlib's
    with pytest.raises(OSError, match="Input/output error"):
        load_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_of_a_file_is_run(tmp_path, zipped):
    path, folder = tmp_path / "evil.pth", tmp_path / "made by the file"
    torch.save({"model": golden_toy.weights(golden_toy.CONFIG[2], 1), "extra": Malicious(folder)}, path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"evil\.pth holds more than weights and plain values"):
        load_checkpoint(path)
    assert not folder.exists()
    torch.load(path, weights_only=False)
    assert folder.exists()                                                          # the file really was malicious


def test_no_file_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pt.*run the stage"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("content", [[1, 2], {"weights": {}}, {"model": 3}, torch.zeros(3)])
def test_other_torch_files_are_no_checkpoints(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="a.pt is not a checkpoint: expected a dict with the key 'model'"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("change, message", [
    ({"format": 99}, "format 99; this kit reads format 1"),
    ({"characters": "abc"}, "another vocabulary: 'abc'"),
    ({"landmarks": "0123"}, "another landmark order"),
    ({"config": {"dim": 16, "wings": 2}}, r"parameters \['wings'\], which this kit does not know"),
    ({"config": {"dim": 16}}, r"lacks the network parameters \['attention', "),
    ({"config": {**asdict(golden_toy.CONFIG[2]), "dim": 15}}, "cannot build"),
    ({"config": {**asdict(golden_toy.CONFIG[2]), "dim": 32}}, "do not fit its configuration"),
    ({"facts": None}, None)])
def test_a_checkpoint_of_another_kit_is_an_error_that_says_why(tmp_path, change, message):
    save_checkpoint(tmp_path / "a.pt", golden_toy.network(2))
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    content.update(change)
    if message is None:
        del content["facts"]
        message = r"lacks \['facts'\]"
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=rf"a\.pt.*{message}"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_failed_write_leaves_the_file_of_before(tmp_path, monkeypatch):
    network = golden_toy.network(1)
    save_checkpoint(tmp_path / "a.pt", network, {"epoch": 1})
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda path, content: (path.write_text("half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        save_checkpoint(tmp_path / "a.pt", network, {"epoch": 2})
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "a.pt").facts == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
