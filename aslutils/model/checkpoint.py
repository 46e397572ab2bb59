"""Checkpoint files: the network with its configuration, and whatever training adds to go on."""

import pickle
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch

from aslutils.files import atomic
from aslutils.landmarks import ORDER_DIGEST
from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.model.published import from_published
from aslutils.text import CHARACTERS

FORMAT = 1                         # of our files


@dataclass
class Checkpoint:
    """What a checkpoint file holds."""

    network: Network
    facts: dict = field(default_factory=dict)       # how it was trained: run, seed, epochs, parameters, score
    training: dict | None = None                    # optimiser, schedule and place in the data; None once finished
    published: bool = False                         # read from a published file


def save_checkpoint(path, network: Network, facts: dict | None = None, training: dict | None = None) -> Path:
    """Write a checkpoint atomically; the file of before survives any failure."""
    content = {"format": FORMAT, "config": asdict(network.config), "landmarks": ORDER_DIGEST, "characters": CHARACTERS,
               "model": network.state_dict(), "facts": facts or {}, "training": training}
    with atomic(path) as temporary:
        torch.save(content, temporary)
    return Path(path)


def load_checkpoint(path) -> Checkpoint:
    """Read our checkpoint or a published one; no code from the file is run.

    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """
    path = Path(path)
    content = _read(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"{path} is no checkpoint: expected a dict with the key 'model'")
    if "format" not in content:
        return Checkpoint(from_published(content["model"], source=str(path)), facts={"checkpoint": path.name}, published=True)
    if content["format"] != FORMAT:
        raise ValueError(f"{path} has checkpoint format {content['format']}; this kit reads format {FORMAT}")
    if content["landmarks"] != ORDER_DIGEST:
        raise ValueError(f"{path} was trained with another landmark order ({content['landmarks']}; ours is {ORDER_DIGEST})")
    if content["characters"] != CHARACTERS:
        raise ValueError(f"{path} was trained with another vocabulary: {content['characters']!r}")
    unknown = set(content["config"]) - {item.name for item in fields(ModelConfig)}
    if unknown:
        raise ValueError(f"{path} has the network parameters {sorted(unknown)}, which this kit does not know; is it newer?")
    network = Network(ModelConfig(**content["config"]))
    try:
        network.load_state_dict(content["model"])
    except RuntimeError as error:
        raise ValueError(f"{path} holds weights that do not fit its configuration: {error}") from error
    return Checkpoint(network, content["facts"], content["training"])


def load_network(path) -> Network:
    """The network of a checkpoint, ready for inference."""
    return load_checkpoint(path).network.eval()


def _read(path: Path):
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; run the stage that trains it first")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds more than weights and plain values, or is no checkpoint; it was not read") from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is cut short or no checkpoint: {error}") from error
