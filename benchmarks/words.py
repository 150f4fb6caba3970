"""Vectors of words beside gensim's: agreement with people's ratings, and seconds.

    python benchmarks/words.py [--quick] [--json FILE] [--epochs E] [--seeds S]

The Brown corpus, 100 numbers a word, a window of 5, 5 drawn words for each pair, as many passes over the text for
all, and each at two rates. Everyone runs in one process on one thread, and processor time counts. gensim is not a
dependency of Lowland.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from core import device, versions
from report import write
from torch import Tensor

from lowland.data.brown import brown
from lowland.data.similar_words import similar_words
from lowland.data.word_pairs import NumberedText, pair_counts
from lowland.energies.word_pairs import WordPairs
from lowland.evaluation.word_vectors import agreement
from lowland.training.word_vectors import descend_word_pairs, mutual_information_vectors

FEATURES, WINDOW, NOISE, LEAST, FREQUENT = 100, 5, 5, 5, 1e-3
RATES = (0.025, 0.05)
Vectors = Callable[[str], Tensor | None]


def sampled(text: NumberedText, epochs: int, seed: int, rate: float, buckets: int = 0) -> Vectors:
    energy = WordPairs(text.words, FEATURES, buckets, generator=torch.Generator().manual_seed(seed))
    descend_word_pairs(
        energy, text, NOISE, epochs=epochs, window=WINDOW, frequent=FREQUENT, rate=rate, seed=seed
    )  # fmt: skip
    return energy.vector


def closed(text: NumberedText) -> Vectors:
    table = mutual_information_vectors(pair_counts(text, WINDOW), FEATURES)
    return {word: table[row] for row, word in enumerate(text.words)}.get


def gensims(kind: str, sentences: list[list[str]], epochs: int, seed: int, rate: float) -> Vectors:
    from gensim import models

    model = getattr(models, kind)(
        sentences, vector_size=FEATURES, window=WINDOW, min_count=LEAST, sg=1, negative=NOISE, epochs=epochs,
        sample=FREQUENT, workers=1, seed=seed + 1, alpha=rate,
    )  # fmt: skip
    known = model.wv.key_to_index
    return lambda word: torch.from_numpy(model.wv[word].copy()) if kind == "FastText" or word in known else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the text, to see that it runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sentences, lists = list(brown().words), similar_words().lists
    sentences = sentences[:: 20 if options.quick else 1]
    text = NumberedText.of(sentences, LEAST)
    ways: dict[str, tuple[Callable[[int], Vectors], int]] = {}
    for rate in RATES:
        for ours, theirs, buckets in (("", "Word2Vec", 0), (", with parts", "FastText", 20_000)):
            ways |= {
                f"Lowland{ours}, rate {rate:g}": (
                    partial(sampled, text, options.epochs, rate=rate, buckets=buckets), options.seeds
                ),
                f"gensim {theirs}, rate {rate:g}": (
                    partial(gensims, theirs, sentences, options.epochs, rate=rate), options.seeds
                ),
            }  # fmt: skip
    ways["Lowland, closed form"] = (lambda seed: closed(text), 1)
    rows: list[dict[str, Any]] = []
    for name, (way, seeds) in ways.items():
        try:
            rows.append(row(name, way, seeds, lists))
        except ImportError as error:
            rows.append({"case": name, "why not": str(error)})
        print(rows[-1], flush=True)
    if options.json:
        write(options.json, "Vectors of words", device(), versions("gensim"), rows)


def row(name: str, way: Callable[[int], Vectors], seeds: int, lists: dict[str, Any]) -> dict[str, Any]:
    seconds, found = [], {kind: [] for kind in lists}
    for seed in range(seeds):
        began = time.process_time()
        vectors = way(seed)
        seconds.append(time.process_time() - began)
        for kind, pairs in lists.items():
            found[kind].append(agreement(vectors, pairs))
    columns: dict[str, Any] = {}
    for kind, each in found.items():
        values = [one["correlation"] for one in each]
        columns |= {kind: statistics.mean(values), f"{kind} pairs": each[0]["pairs"]}
        if seeds > 1:
            columns[f"{kind} s.d."] = statistics.stdev(values)
    return {"case": name, "seeds": seeds, **columns, "CPU s": statistics.mean(seconds)}


if __name__ == "__main__":
    main()
