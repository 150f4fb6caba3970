"""Writes a reader of lines into a folder: weights, the code that reads with them, and a card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lowland.data.pixels import opened
from lowland.data.text_lines import HEIGHT, line_image
from lowland.files import write_atomically
from lowland.nn.line_readers import AROUND, STRIDE, FrameReader
from lowland.training.export import export_onnx, export_safetensors
from lowland.training.source_of import source_of
from lowland.words import verbatim

KIND = "lowland reader of lines 1"
WEIGHTS, GRAPH = "reader.safetensors", "reader.onnx"
_MEASURED = {
    "characters": "character error",
    "whole": "lines read whole",
    "correct": "accepted and correct",
    "wrong": "accepted and wrong",
}

_CARD = """# A reader of lines of text

Made by `lowland read`. It needs torch and safetensors, and NumPy and Pillow to open pictures, but not Lowland.

```python
from read import load

reader = load("reader.safetensors")
text, confidence = reader("a line.png")
```

On the command line: `python read.py a.png b.png` writes file, text, confidence and whether it is sure enough.

| | |
|---|---|
{facts}

It takes the likeliest label of each frame of four columns, joins equal neighbours and drops the blanks, which is the \
path of least energy. The confidence is the probability of the text, summed over all its alignments.{grammar}{graph}

## Measured

On {tests:,} test lines, which it has not seen:

{measured}

## Limits

It reads single lines that look like those it learned from, and no character that they lack. On other lines, measure \
before you rely on it.
"""

_GRAPH_CARD = """

`reader.onnx` is the same network as a graph, and `read_onnx.py` reads with it: onnxruntime, NumPy and Pillow, no \
torch."""

_CODE = '''
class Reader(nn.Module):
    """Reads pictures of single lines: (text, probability of that text)."""

    def __init__(self, network, alphabet, least):
        super().__init__()
        self.network, self.alphabet, self.least = network, alphabet, least

    def sure(self, confidence):
        """Whether a text is sure enough, by the threshold that was chosen on validation lines."""
        return math.log(max(confidence, 1e-300)) >= self.least

    @torch.no_grad()
    def forward(self, path):
        with opened(Path(path)) as image:
            ink, _ = line_image(image)
        frames = -(-ink.shape[1] // STRIDE)
        line = torch.zeros(1, 1, HEIGHT, STRIDE * frames + AROUND)
        line[0, 0, :, : ink.shape[1]] = torch.from_numpy(ink.astype(np.float32) / 255)
        cost = self.network({"image": line, "cells": torch.tensor([float(frames)])})
        scores = (-cost[0].double()).log_softmax(dim=1)
        path = scores.argmax(dim=1).unique_consecutive()
        labels = path[path > 0]
        free = functional.ctc_loss(
            scores[:, None], labels[None], torch.tensor([frames]), torch.tensor([len(labels)]), reduction="sum"
        )
        return "".join(self.alphabet[label - 1] for label in labels.tolist()), math.exp(-float(free))


def load(path):
    """The trained reader."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        card = json.loads((file.metadata() or {}).get("card", "{}"))
    if "alphabet" not in card:
        raise ValueError(f"{path} does not hold a reader of lines.")
    network = FrameReader(HEIGHT, card["width"], len(card["alphabet"]))
    network.load_state_dict(load_file(path))
    return Reader(network, card["alphabet"], float(card["threshold"])).eval()

'''


_MAIN = """

if __name__ == "__main__":
    import csv
    import sys

    reader, table = load(Path(__file__).with_name("WEIGHTS")), csv.writer(sys.stdout)
    table.writerow(["file", "text", "confidence", "accepted"])
    failed = False
    for file in sys.argv[1:]:
        try:
            text, confidence = reader(file)
        except Exception as error:  # a damaged picture fails in many ways
            print(f"{file} cannot be read: {error}", file=sys.stderr)
            failed = True
            continue
        table.writerow([file, text, f"{confidence:.4f}", "yes" if reader.sure(confidence) else "no"])
    sys.exit(failed)
"""

_GRAPH_CODE = '''
class Reader:
    """Reads pictures of single lines: (text, probability of that text)."""

    def __init__(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        card = json.loads(self.session.get_modelmeta().custom_metadata_map["card"])
        self.alphabet, self.width, self.least = card["alphabet"], card["width"], float(card["threshold"])

    def sure(self, confidence):
        """Whether a text is sure enough, by the threshold that was chosen on validation lines."""
        return math.log(max(confidence, 1e-300)) >= self.least

    def __call__(self, path):
        with opened(Path(path)) as image:
            ink, _ = line_image(image)
        columns = ink.shape[1]
        if columns > self.width - AROUND:
            most = self.width - AROUND
            raise ValueError(f"{path} has {columns} columns at a height of 32, but the graph takes {most}.")
        line = np.zeros((1, 1, 32, self.width), np.float32)
        line[0, 0, :, :columns] = ink / np.float32(255)
        costs = self.session.run(None, {"image": line})[0][0, : -(-columns // STRIDE)].astype(float)
        scores = -costs - np.logaddexp.reduce(-costs, axis=1, keepdims=True)
        path = scores.argmax(axis=1)
        labels = [int(label) for before, label in zip([-1, *path], path) if label != before and label > 0]
        return "".join(self.alphabet[label - 1] for label in labels), math.exp(log_probability(scores, labels))


def log_probability(scores, labels):
    """Of labels without blanks, summed over all their alignments (CTC)."""
    states = np.zeros(2 * len(labels) + 1, int)
    states[1::2] = labels
    leaps = np.zeros(len(states), bool)
    leaps[2:] = (states[2:] != states[:-2]) & (states[2:] > 0)
    reached = np.where(np.arange(len(states)) < 2, scores[0, states], -np.inf)
    for row in scores[1:]:
        before = np.concatenate([[-np.inf, -np.inf], reached])
        leapt = np.where(leaps, before[:-2], -np.inf)
        reached = np.logaddexp(np.logaddexp(reached, before[1:-1]), leapt) + row[states]
    return float(np.logaddexp.reduce(reached[-2:]))


def load(path):
    """The trained reader."""
    return Reader(path)
'''


def write_reader(
    folder: Path, reader: FrameReader, alphabet: str, threshold: float, facts: Mapping[str, str],
    measured: Mapping[str, float], tests: int, grammar: str = "", onnx: bool = False,
) -> Path:  # fmt: skip
    """Write `reader.safetensors`, `read.py`, which needs no Lowland, and the card `README.md`; returns the weights.

    With `onnx` there are `reader.onnx` and `read_onnx.py` besides, which need onnxruntime in place of torch.

    Args:
        folder: where they go.
        reader: trained.
        alphabet: of its letters.
        threshold: the least confidence, as a logarithm, of what is accepted.
        facts: for the card, Markdown by name.
        measured: "characters", "whole", "correct" and "wrong", in percent of `tests` test lines, without a grammar.
        tests: lines of the test.
        grammar: by which Lowland read, "" for none.
        onnx: whether the graph is written too.

    Raises:
        CheckpointError: if they cannot be written.
        OptionError: if a package for ONNX is missing.
    """
    known = {"width": reader.shape["image"][2], "alphabet": alphabet, "threshold": str(threshold)}
    least = f"{math.exp(threshold):.4f}" if threshold <= 0 else "none is high enough"
    rows = {**facts, "least confidence": least}
    found = {name: f"{measured[key]:.2f} %" for key, name in _MEASURED.items()}
    tables = ["\n".join(f"| {key} | {value} |" for key, value in table.items()) for table in (rows, found)]
    unlike = f" Lowland read by the grammar {verbatim(grammar)}; this code does not: its texts may differ, and "
    unlike += "the figures below are those without it."
    text = _CARD.format(
        facts=tables[0], grammar=grammar and unlike, tests=tests, graph=_GRAPH_CARD if onnx else "",
        measured=f"| | |\n|---|---|\n{tables[1]}",
    )  # fmt: skip
    write_atomically(folder / "README.md", text.encode())
    write_atomically(folder / "read.py", _code("read", WEIGHTS).encode())
    card = json.dumps({**known, "tests": tests, "measured": dict(measured), "grammar": grammar})
    if onnx:
        example = torch.zeros(2, 1, HEIGHT, known["width"])
        notes = {"kind": KIND, "card": card}
        export_onnx(_Whole(reader), example, folder / GRAPH, inputs=["image"], output="costs", notes=notes)
        write_atomically(folder / "read_onnx.py", _code("read_onnx", GRAPH).encode())
    return export_safetensors(reader, folder / WEIGHTS, {"format": "pt", "kind": KIND, "card": card})


class _Whole(nn.Module):
    """Costs of all frames of lines that fill their images."""

    def __init__(self, reader: FrameReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, image: Tensor) -> Tensor:
        return self.reader({"image": image, "cells": image.new_full((image.shape[0],), image.shape[-1] // STRIDE)})


def _code(name: str, weights: str) -> str:
    graph = weights == GRAPH
    needs = "onnxruntime" if graph else "torch, safetensors"
    head = (
        f'"""Reads pictures of single lines, as Lowland learned it. Needs {needs}, NumPy and Pillow.\n\n'
        f'    from {name} import load\n    reader = load("{weights}")\n    text, confidence = reader("a.png")\n'
        '"""\n\nfrom __future__ import annotations\n\nimport json\nimport math\n'
    )
    main = _MAIN.replace("WEIGHTS", weights)
    if graph:
        return f"{head}{source_of(line_image, opened)}STRIDE = {STRIDE}\nAROUND = {AROUND}\n\n{_GRAPH_CODE}{main}"
    return f"{head}from torch.nn import functional\n{source_of(FrameReader, line_image, opened)}\n{_CODE[1:]}{main}"
