"""Checkpoint files: the network with its configuration, and what training needs to resume."""

import io
import pickle
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

import torch

from aslutils.model.config import ModelConfig
from aslutils.model.network import Network
from aslutils.model.published import from_published, to_published
from aslutils.system import versions
from aslutils.system.errors import UserError
from aslutils.system.files import atomic
from aslutils.system.inputs import regular_file
from aslutils.task.landmarks import ORDER_DIGEST
from aslutils.task.text import CHARACTERS


@dataclass
class Checkpoint:
    """What a checkpoint file holds."""

    network: Network
    facts: dict = field(default_factory=dict)       # how it was trained: run, seed, epochs, parameters, score
    training: dict | None = None                    # optimiser, schedule and place in the data; None once finished
    published: bool = False                         # read from a published file


def save_checkpoint(path, network: Network, facts: dict | None = None, training: dict | None = None) -> Path:
    """Write a checkpoint atomically; an existing file survives any failure."""
    content = {"format": versions.CHECKPOINT, "config": asdict(network.config), "landmarks": ORDER_DIGEST,
               "characters": CHARACTERS, "model": network.state_dict(), "facts": facts or {}, "training": training}
    return _write(path, content)


class DamagedCheckpoint(UserError):
    """A file that is cut short, damaged, not a checkpoint, or of weights that are no numbers: the one before may be usable."""


def save_published(path, network: Network) -> Path:
    """Write a network's weights in the published form, atomically: other code for the winning solution reads it."""
    return _write(path, {"model": to_published(network)})


def _write(path, content: dict) -> Path:
    packed = io.BytesIO()                           # not the file itself: torch's writer hides a full disk
    torch.save(content, packed)
    with atomic(path) as temporary:
        temporary.write_bytes(packed.getvalue())    # not `getbuffer()`: in the traceback of a full disk it crashed Python 3.12
    return Path(path)


def load_checkpoint(path) -> Checkpoint:
    """Read our checkpoint or a published one; no code from the file is run.

    Raises FileNotFoundError or another OSError, or ValueError naming the file and what is wrong with it.
    """
    path = Path(path)
    content = _read(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(f"{path} is not a checkpoint: expected a dict with the key 'model'")
    if "format" in content:
        return _ours(path, content)
    return Checkpoint(from_published(content["model"], str(path)), facts={"checkpoint": path.name}, published=True)


# What a network computes is the same with others of these.
MAY_DIFFER = ("dropout", "decoder_attention_dropout", "stem_momentum", "shown")


def load_init(path, config: ModelConfig) -> dict:
    """The weights of a checkpoint, ours or a published one, that a network of this configuration can begin its training with.

    Without those of the head that says what frames show, unless both networks have it: made-up hands are alone to train it.
    Raises as `load_checkpoint` does, and UserError naming what differs if the network has other sizes or parts.
    """
    found = load_checkpoint(Path(path).expanduser()).network
    differing = [f"{field.name} {theirs!r} (here {ours!r})" for field in fields(ModelConfig) if field.name not in MAY_DIFFER
                 and (theirs := getattr(found.config, field.name)) != (ours := getattr(config, field.name))]
    if differing:
        raise UserError(f"init: the network of {path} is another one: it has {', '.join(differing)}. Set these parameters alike, "
                        "or leave init out")
    return {name: weight for name, weight in found.state_dict().items() if config.shown or not name.startswith("shown.")}


def load_network(path) -> Network:
    """The network of a checkpoint, ready for inference; errors as `load_checkpoint`'s."""
    return load_checkpoint(path).network.eval()


def _ours(path, content) -> Checkpoint:
    if content["format"] != versions.CHECKPOINT:
        raise UserError(f"{path} has checkpoint format {content['format']!r}; this kit reads format {versions.CHECKPOINT}")
    lacking = {"config", "landmarks", "characters", "facts", "training"} - set(content)
    if lacking:
        raise UserError(f"{path} lacks {sorted(lacking)}, which every checkpoint of format {versions.CHECKPOINT} has")
    if content["landmarks"] != ORDER_DIGEST:
        raise UserError(f"{path} was trained with another landmark order ({content['landmarks']}; ours is {ORDER_DIGEST})")
    if content["characters"] != CHARACTERS:
        raise UserError(f"{path} was trained with another vocabulary: {content['characters']!r}")
    if not isinstance(content["config"], dict):
        raise UserError(f"{path} holds the configuration {content['config']!r}, expected the network's parameters by name")
    unknown = set(content["config"]) - {item.name for item in fields(ModelConfig)}
    if unknown:
        raise UserError(f"{path} has the network parameters {sorted(unknown)}, which this kit does not know; is it newer?")
    missing = {item.name for item in fields(ModelConfig) if item.default is MISSING} - set(content["config"])
    if missing:
        raise UserError(f"{path} lacks the network parameters {sorted(missing)}; is it older than this kit?")
    try:
        network = Network(ModelConfig(**content["config"]))
    except Exception as error:                      # a value of any kind fails anywhere in the network, with any error
        words = " ".join(str(error).split())[:200]
        raise UserError(f"{path} holds a network that the kit cannot build: {words}") from error
    odd = [name for name, value in content["model"].items() if not isinstance(name, str) or not isinstance(value, torch.Tensor)
           or value.is_complex() or not torch.isfinite(value).all()]
    if odd:
        raise DamagedCheckpoint(f"{path} holds weights that are not finite numbers: {len(odd)} of {len(content['model'])}, "
                        f"{odd[0]!r} first")
    if not isinstance(content["facts"], dict):
        raise UserError(f"{path} holds the facts {content['facts']!r}, expected how the network was trained, by name")
    try:
        network.load_state_dict(content["model"])
    except RuntimeError as error:
        _, _, words = " ".join(str(error).split()).partition("Network: ")
        raise UserError(f"{path} holds weights that do not fit its configuration: {words[:200]} ...") from error
    return Checkpoint(network, content["facts"], content["training"])


def _read(path: Path):
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}; run the stage that trains it first")
    packed = io.BytesIO(regular_file(path).read_bytes())          # outside the try: a failing disk says nothing about the file
    try:
        return torch.load(packed, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DamagedCheckpoint(f"{path} holds more than weights and plain values, or is not a checkpoint; it was not read"
                                ) from error
    except Exception as error:                      # a damaged file fails anywhere in torch's reader, with any error
        raise DamagedCheckpoint(f"{path} is cut short, damaged or not a checkpoint: {error}") from error
