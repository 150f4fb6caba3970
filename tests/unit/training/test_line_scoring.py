"""Models of normal lines: scores of streams and of whole logs, pieces, marks, and files that load alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lowland.data.log_tokens import Vocabulary, tokens_of
from lowland.errors import CheckpointError, DataError
from lowland.nn.cloze import ClozeTransformer
from lowland.training.line_files import WEIGHTS, LineModel, load_lines, write_lines
from lowland.training.line_scoring import WAYS, LineScore, LineScorer, marked, scaled
from lowland.training.log_lines import LineTraining, line_energy, vocabulary_of

LINES = ["login of alice ok", "login of bob ok", "logout of alice", "logout of bob"] * 30


@pytest.fixture(scope="module")
def scorer() -> LineScorer:
    words = vocabulary_of(LINES)
    energy = line_energy(words, LINES, before=2, width=16)
    LineTraining(energy, words, LINES, steps=60, rate=1e-2).fit()
    found = LineScorer(energy.network, words, {})
    found.ways = scaled(found.values(LINES), ["cost before sum", "excess others max"])
    return found


def test_an_unusual_line_has_the_highest_score_and_its_token_is_named(scorer: LineScorer) -> None:
    asked = [*LINES[:4], "login of mallory ok", *LINES[:3]]
    found = list(scorer.stream(asked))
    worst = max(found, key=lambda one: one.score)
    assert found.index(worst) == 4
    assert "«mallory»" in marked(asked[4], worst, least=99.0)


def test_training_repeats_and_lowers_the_energy() -> None:
    words = vocabulary_of(LINES)
    runs = [LineTraining(line_energy(words, LINES, 2, 16), words, LINES, 12, 1e-2).fit() for _ in range(2)]
    one, two = (run.curves["loss/energy"] for run in runs)
    assert one == two
    assert one[-1] < one[0] / 2


def test_a_stream_says_what_a_whole_log_says(scorer: LineScorer) -> None:
    asked = [*LINES[:5], "", "one " * 11 + "end", "logout of bob"]
    alone = [one.score for one in scorer.stream(asked)]
    assert scorer.combined(scorer.values(asked)) == pytest.approx(alone, abs=1e-3)


def test_a_line_longer_than_the_network_is_scored_to_its_end(scorer: LineScorer) -> None:
    length = scorer.network.length
    usual = "login of alice ok " * (3 * length)
    (one,), (two,) = (list(scorer.stream([line])) for line in (usual, usual + " zebra"))
    assert len(two.tokens) == len(two.excess) == 12 * length + 1
    assert two.excess[:-1] == pytest.approx(one.excess)


def test_neighbouring_tokens_are_marked_together() -> None:
    line = "a b-c d"
    assert marked(line, LineScore(1.0, tokens_of(line), [0, 5, 5, 5, 0]), 2.0) == "a «b-c» d"


def test_files_load_alone_and_say_the_same(scorer: LineScorer, tmp_path: Path) -> None:
    asked = [*LINES[:3], "login of mallory ok"]
    scores = [one.score for one in scorer.stream(asked)]
    model = LineModel(scorer, max(scores) - 1e-3, 2.0)
    weights = write_lines(tmp_path / "lines", model, {"a": "b"}, {"c": "d"}, 5)
    for place in (weights, weights.parent, tmp_path):
        again = load_lines(place)
        assert [one.score for one in again.scorer.stream(asked)] == pytest.approx(scores, abs=1e-4)
    code = "import sys; sys.modules['lowland'] = None; import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
    alone = subprocess.run(
        [sys.executable, "-I", "-c", code, str(weights.with_name("lines.py"))], input="\n".join([*asked, ""]),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    (line,) = alone.stdout.splitlines()
    assert line == f"{max(scores):.2f}\t{marked(asked[3], list(scorer.stream(asked))[3], 2.0)}"


def test_other_files_are_refused_in_one_sentence(scorer: LineScorer, tmp_path: Path) -> None:
    weights = write_lines(tmp_path, LineModel(scorer, 1.0, 2.0), {}, {}, 5)
    with safe_open(weights, framework="pt") as file:
        notes = file.metadata()
    card, tensors = json.loads(notes["card"]), load_file(weights)
    with pytest.raises(CheckpointError, match="There is no"):
        load_lines(tmp_path / "none")
    cases = {
        "tokeniser 0": notes | {"card": json.dumps(card | {"tokeniser": "0"})},
        "no model of lines": {"format": "pt"},
        "do not fit": notes | {"card": json.dumps(card | {"vocabulary": ["a"]})},
        "damaged": notes | {"card": json.dumps(card | {"width": 20})},
    }
    for words, changed in cases.items():
        save_file(tensors, weights, metadata=changed)
        with pytest.raises(CheckpointError, match=words):
            load_lines(weights)
    (tmp_path / WEIGHTS).write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="damaged"):
        load_lines(weights)


def test_a_vocabulary_of_one_is_refused() -> None:
    for lines in (["a"] * 9, ["4 ?"]):
        with pytest.raises(DataError, match="two are needed"):
            vocabulary_of(lines)


def test_ways_are_scaled_by_normal_lines() -> None:
    values = [[float(row)] * len(WAYS) for row in (1, 3)]
    found = LineScorer(ClozeTransformer(8, 4, 2, 8, heads=2), Vocabulary(["a", "b"]), scaled(values, WAYS[:2]))
    assert found.combined(values) == [-1.0, 1.0]
    assert torch.isfinite(torch.tensor(found.values(["a b", ""]))).all()
