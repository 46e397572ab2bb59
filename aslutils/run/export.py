"""What notebook 04 exports: which checkpoints, how their ensemble decodes, and where the export is."""

from pathlib import Path

from aslutils.model.beam import BeamSearch
from aslutils.model.checkpoint import Checkpoint
from aslutils.run.config import ExportConfig
from aslutils.task.arguments import USUAL_CHARACTERS, USUAL_END
from aslutils.task.rejection import PUBLISHED, Limits
from aslutils.training.folder import CHECKPOINT

BEAMS = 8                          # default number of beams for our networks
CTC_SHARE = 0.5                    # default share of their CTC heads
MIN_CERTAINTY = 0.1                # default limit of their texts' certainty, ...
MIN_CERTAINTY_SHOWN = 0.18         # ... and if all have a head that says what frames show, whose confidences are higher
_CLEARLY_WORSE = 0.02              # how much lower a score must be: 0.003 on 250 sequences has misled (docs/results.md)


def find_checkpoints(folder: Path, asked: list) -> list[Path]:
    """The checkpoints to export: those in `asked`, else every finished seed of the run.

    Raises FileNotFoundError naming what is missing.
    """
    paths = [Path(path).expanduser() for path in asked] or sorted(folder.glob(f"round2/seed*/{CHECKPOINT}"))
    if not paths:
        raise FileNotFoundError(f"{folder / 'round2'} holds no finished seed; run notebook 03_fullfit first, or set checkpoints")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"there is no checkpoint {path}")
    return paths


def decoding(config: ExportConfig, loaded: list[Checkpoint]) -> BeamSearch | None:
    """How the ensemble of the loaded checkpoints decodes: by beam search, or greedily (None).

    By default it uses beam search only where the gain was measured: for our networks with a trained backward decoder.
    """
    ours = all(not checkpoint.published and checkpoint.network.backward_decoder is not None
               and checkpoint.facts.get("backward_weight", 0) > 0 for checkpoint in loaded)
    beams = config.beams if config.beams >= 0 else BEAMS if ours else 0
    headed = all(checkpoint.network.ctc is not None and checkpoint.facts.get("ctc_weight", 0) > 0 for checkpoint in loaded)
    share = config.ctc_share if config.ctc_share >= 0 else CTC_SHARE if headed else 0.0
    return BeamSearch(beams, config.length_penalty, config.rerank_weight, share) if beams else None


def limits(config: ExportConfig, loaded: list[Checkpoint]) -> Limits:
    """What a reading by the ensemble of the loaded checkpoints must reach; the default is as published if one of them is."""
    if config.min_certainty >= 0:
        certainty = config.min_certainty
    elif any(checkpoint.published for checkpoint in loaded):
        certainty = PUBLISHED.certainty
    else:
        shown = all(checkpoint.network.shown is not None for checkpoint in loaded)
        certainty = MIN_CERTAINTY_SHOWN if shown else MIN_CERTAINTY
    return Limits(config.min_confidence, certainty)


def half_rate(config: ExportConfig, loaded: list[Checkpoint]) -> bool:
    """Whether the ensemble of the loaded checkpoints reads every second frame too; with a published one it never does."""
    return config.half_rate and not any(checkpoint.published for checkpoint in loaded)


def search_stays(config: ExportConfig, by_search: float, greedily: float) -> bool:
    """Whether the beam search stays: it was asked for, or scores not clearly worse than greedy decoding on those compared.

    It gains where networks are well trained. After a few sequences of training the CTC head still finds next to nothing, and its
    share makes every text empty.
    """
    return config.beams > 0 or config.ctc_share > 0 or by_search >= greedily - _CLEARLY_WORSE


def usual(loaded: list[Checkpoint]) -> dict[str, int]:
    """How long hand-less ends and phrases usually were at most in the networks' training: the least, of what all of them say."""
    said = {name: [checkpoint.facts.get(name) for checkpoint in loaded] for name in (USUAL_END, USUAL_CHARACTERS)}
    return {name: min(values) for name, values in said.items() if None not in values}


def names(folder: Path, paths: list[Path]) -> list[str]:
    """Checkpoints' names for a report that is published: their places in the run's folder; of others no more than the file's."""
    return [path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name for path in paths]


def find_export(folder: Path) -> Path:
    """The folder of the run's export. Raises FileNotFoundError if notebook 04 has not written it."""
    for name in ("model.tflite", "inference_args.json", "report.json"):
        if not (folder / "export" / name).is_file():
            raise FileNotFoundError(f"{folder / 'export'} lacks {name}; run notebook 04_convert_tflite first")
    return folder / "export"
