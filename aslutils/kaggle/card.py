"""The model card: what a stranger needs to know of an exported model, as the README.md of its data set."""

from pathlib import Path

from aslutils.system.files import write_text

MEASURES = {"score": "score, (N - D) / N by the competition's rule", "scored_on": "score measured on", "megabytes": "size, MB",
            "mean_ms": "mean time a sequence, ms (CPU, one thread)", "p95_ms": "time that 95 % of the sequences stay under, ms"}

CARD = """\
# {title}

Reads American Sign Language fingerspelling: MediaPipe Holistic landmarks of a phone video in, the spelled phrase out. The
network is built as the winning solution of Google's ASL Fingerspelling Recognition competition (two rounds, Squeezeformer
encoder, transformer decoder) and exported to one TFLite file with built-in operations only.

## Measured

{measures}

## How to use the file

```python
{usage}
```

In the competition: `submission.zip` of `model.tflite` and `inference_args.json` is a valid submission. With the kit:
`aslutils.reading.recognizer`.

## How it was trained

{parameters}

## Limits

A recording of fewer than 15 frames, one with nothing to see, or one that the model is not sure of is answered with the phrase
`2 a-e -aroe`. Phrases longer than 32 characters are cut. Nothing was measured but what stands above: no other cameras, signers
or languages.

License: {license}.
"""

USAGE = """\
import json
import numpy as np, pandas as pd
from ai_edge_litert.interpreter import Interpreter        # pip install ai-edge-litert

columns = json.load(open("inference_args.json"))["selected_columns"]
frames = pd.read_parquet("recording.parquet", columns=columns).to_numpy(np.float32)     # (frames, 390), NaN where unseen
reader = Interpreter("model.tflite").get_signature_runner("serving_default")
characters = " !#$%&'()*+,-./0123456789:;=?@[_abcdefghijklmnopqrstuvwxyz~"
steps = reader(inputs=frames)["outputs"].argmax(1)
print("".join(characters[step] for step in steps if step < len(characters)))"""


def write_model_card(folder, facts: dict) -> Path:
    """Write `README.md` into `folder` from what was measured.

    facts: `score` (0..1, or None when nobody was held out), `scored_on` (words), `megabytes`, `mean_ms`, `p95_ms`, as the scorer
    reports them; `parameters` (dict); if wanted `title` and `license`; any further number or words become a line of the
    table. Raises KeyError naming the facts that are missing.
    """
    missing = [name for name in (*MEASURES, "parameters") if name not in facts]
    if missing:
        raise KeyError(f"the model card lacks {', '.join(missing)}: run the scorer first, its report holds them")
    further = {name: name.replace("_", " ") for name, value in facts.items()
               if name not in (*MEASURES, "title", "license") and isinstance(value, (str, int, float))}
    text = CARD.format(title=facts.get("title", "ASL fingerspelling, TFLite"), license=facts.get("license", "apache-2.0"),
                       measures=_table({words: facts[name] for name, words in {**MEASURES, **further}.items()}),
                       usage=USAGE, parameters=_table(facts["parameters"]))
    return write_text(Path(folder) / "README.md", text)


def _table(values: dict) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in values.items())])


def _cell(value) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
