"""Writes a model of the normal lines of a log into a folder, with the code that scores lines by it without Lowland."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from lowland.data.log_tokens import TOKENISER, Vocabulary
from lowland.errors import CheckpointError
from lowland.files import regular, write_atomically
from lowland.nn.cloze import ClozeTransformer
from lowland.training.export import export_safetensors
from lowland.training.line_scoring import WAYS, LineScorer, marked
from lowland.training.source_of import source_of

KIND = "lowland lines 1"
WEIGHTS = "lines.safetensors"
_SIZES = ("words", "length", "before", "width", "depth", "heads")

_CARD = """# A model of the normal lines of a log

Made by `lowland lines`. It needs torch and safetensors, but not Lowland.

```python
from lines import load

model = load("lines.safetensors")
for score, unusual, line in model.watch(open("a.log")):
    if unusual:
        print(score, line)  # with its offending tokens between « and »
```

On the command line: `tail -f a.log | python lines.py`.

| | |
|---|---|
{facts}

Each word of a line is predicted from the others, and from what stands before it; the lines before are seen as well. \
The score says how much worse that goes than on normal lines, in standard deviations.

## Measured

On {tests:,} lines that it has not seen:

{measured}

## Limits

It knows what this log looked like when it was trained. What changed since then, such as a new version of a program, \
is unusual to it, and what was wrong already is not.
"""

_CODE = '''
class Model:
    """Scores lines of a log in their order."""

    def __init__(self, scorer, threshold, mark):
        self.scorer, self.threshold, self.mark = scorer, threshold, mark

    def watch(self, lines):
        """(score, whether it is unusual, the line with its offending tokens marked) of each line that is not blank."""
        kept = []

        def read():
            for line in lines:
                if line.strip():
                    kept.append(line.strip())
                    yield kept[0]

        for found in self.scorer.stream(read()):
            line = kept.pop()
            unusual = found.score >= self.threshold
            yield found.score, unusual, marked(line, found, self.mark) if unusual else line


def load(path):
    """The trained model."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        card = json.loads((file.metadata() or {}).get("card", "{}"))
    if "vocabulary" not in card:
        raise ValueError(f"{path} does not hold a model of lines.")
    network = ClozeTransformer(*(card[name] for name in SIZES))
    network.load_state_dict(load_file(path))
    return Model(LineScorer(network, Vocabulary(card["vocabulary"]), card["ways"]), card["threshold"], card["mark"])


if __name__ == "__main__":
    import sys
    from pathlib import Path

    torch.set_num_threads(1)
    model = load(Path(__file__).with_name("WEIGHTS"))
    sys.stdin.reconfigure(errors="replace")
    try:
        for score, unusual, line in model.watch(sys.stdin):
            if unusual:
                print(f"{score:.2f}\\t{line}", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
'''


class LineModel(NamedTuple):
    """A scorer, the least score of an unusual line, and the least excess of a token that is named in it."""

    scorer: LineScorer
    threshold: float
    mark: float


def write_lines(
    folder: Path, model: LineModel, facts: Mapping[str, str], measured: Mapping[str, str], tests: int
) -> Path:
    """Write `lines.safetensors`, `lines.py`, which needs no Lowland, and the card `README.md`; returns the weights.

    Args:
        folder: where they go.
        model: trained.
        facts, measured: for the card, Markdown by name.
        tests: lines of the test.

    Raises:
        CheckpointError: if they cannot be written.
    """
    network = model.scorer.network
    block: Any = network.blocks[0]
    sizes = (
        network.words, network.length, network.before, network.embedding.shape[1], len(network.blocks), block.heads
    )  # fmt: skip
    card = {
        **dict(zip(_SIZES, sizes, strict=True)), "tokeniser": TOKENISER, "vocabulary": model.scorer.vocabulary.words,
        "ways": model.scorer.ways, "threshold": model.threshold, "mark": model.mark,
    }  # fmt: skip
    tables = ["\n".join(f"| {key} | {value} |" for key, value in table.items()) for table in (facts, measured)]
    text = _CARD.format(facts=tables[0], tests=tests, measured=f"| | |\n|---|---|\n{tables[1]}")
    write_atomically(folder / "README.md", text.encode())
    code = _CODE.replace("WEIGHTS", WEIGHTS).replace("SIZES", repr(_SIZES))
    head = (
        '"""Scores the lines of a log, as Lowland learned it. Needs torch and safetensors.\n\n'
        "    tail -f a.log | python lines.py\n"
        '"""\n\nfrom __future__ import annotations\n\nimport json\n'
    )
    write_atomically(folder / "lines.py", f"{head}{source_of(LineScorer, marked)}\n{code}".encode())
    return export_safetensors(network, folder / WEIGHTS, {"format": "pt", "kind": KIND, "card": json.dumps(card)})


def load_lines(path: Path) -> LineModel:
    """The model of `lines.safetensors`, given as that file, its folder, or a folder of a run.

    Raises:
        CheckpointError: if there is none, it is damaged or of another kind, or was made with another tokeniser.
    """
    places = [path, path / WEIGHTS, path / "lines" / WEIGHTS]
    place = next((one for one in places if one.is_file()), None)
    if place is None:
        raise CheckpointError(f"There is no {WEIGHTS} at {path}: name the folder of a run of `lowland lines`.")
    try:
        regular(place, CheckpointError)
        with safe_open(place, framework="pt") as file:
            notes = file.metadata() or {}
        if notes.get("kind") != KIND:
            raise CheckpointError(f"{place} is no model of lines: name the {WEIGHTS} that `lowland lines` wrote.")
        card = json.loads(notes["card"])
        if card["tokeniser"] != TOKENISER:
            raise CheckpointError(
                f"{place} was made with tokeniser {card['tokeniser']}, but this version of Lowland has {TOKENISER}: "
                "train again, or score with the lines.py beside it."
            )
        words = Vocabulary(card["vocabulary"])
        network = ClozeTransformer(*(card[name] for name in _SIZES))
        known = isinstance(card["ways"], dict) and card["ways"] and set(card["ways"]) <= set(WAYS)
        if len(words) != network.words or not known or any(pair[1] <= 0 for pair in card["ways"].values()):
            raise CheckpointError(f"{place} is damaged: its words or ways do not fit its weights. Train again.")
        network.load_state_dict(load_file(place))
        ways = {way: (float(mean), float(deviation)) for way, (mean, deviation) in card["ways"].items()}
        return LineModel(LineScorer(network, words, ways), float(card["threshold"]), float(card["mark"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{place} cannot be read ({reason}): it is damaged. Train again.") from error
