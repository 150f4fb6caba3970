"""How well `lowland lines` finds the faulty lines of a log, and how long a line takes.

    python benchmarks/lines.py [--quick] [--json FILE] [--labelled FILE] [--seeds N]

Without a file: the milliseconds of a line in a stream, on a simulated log, as the median of single lines and as
processor time, which other programs on the machine do not change. With `--labelled FILE`, a log whose alerts are known,
as those of loghub have them: the first word of a normal line is "-", such as in `BGL/BGL_2k.log`. A model learns from
60 % of the normal lines; 20 % with planted faults choose how to score; the rest, with all alerts in their place, is the
test. No alert is seen before. The lines of such a sample are thousands apart, over months, so that normal lines are
drawn at random for the three parts, as LogLead draws them, anew for each seed. The first word is taken away, and so are
the `--skip` words after it. LogLead, if it is installed, has the same lines: its word counts with five of its detectors
that need no labels; which of them is its best is said by the test itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import device, versions
from report import write

from lowland.data.log_lines import read_log
from lowland.data.log_tokens import tokens_of
from lowland.data.simulated_log import LabelledLog, simulated_log
from lowland.evaluation.log_lines import OURS, average_precision, found_row, judge, plant
from lowland.training.line_scoring import LineScorer
from lowland.training.log_lines import LineTraining, line_energy, usual_steps, vocabulary_of

DETECTORS = ("IsolationForest", "LOF", "KMeans", "RarityModel", "OOVDetector")


def trained(train: list[str], seed: int, steps: int) -> tuple[LineScorer, float]:
    """A scorer of such lines, and the processor seconds of its training."""
    words = vocabulary_of(train)
    energy, began = line_energy(words, train, seed=seed), time.process_time()
    LineTraining(energy, words, train, steps or usual_steps(len(train)), seed=seed).fit()
    return LineScorer(energy.network, words, {}), time.process_time() - began


def speed(quick: bool) -> dict[str, Any]:
    """Milliseconds of a line of a stream."""
    train = simulated_log(400 if quick else 6000, 0).texts
    scorer, _ = trained(train, 0, 2)  # the weights do not change the time
    scorer.ways = {"cost before sum": (0.0, 1.0), "excess others max": (0.0, 1.0)}
    test = simulated_log(50 if quick else 1000, 1).texts
    times, began, spent = list[float](), time.perf_counter(), time.process_time()
    for _ in scorer.stream(test):
        times.append(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
    spent = 1000 * (time.process_time() - spent) / len(test)
    return {"case": "a line of a stream", "lines": len(test), "median, ms": statistics.median(times),
            "processor time, ms": spent, "slowest of 100, ms": float(np.quantile(times, 0.99))}  # fmt: skip


def labelled_log(path: Path, skip: int, seed: int) -> tuple[list[str], list[str], LabelledLog]:
    """Lines to learn from, lines to choose on, and the test."""
    rows = [line.split(maxsplit=skip + 1) for line in read_log(path).texts]
    rows = [row for row in rows if len(row) > skip + 1]
    texts, kinds = [row[-1] for row in rows], ["" if row[0] == "-" else "alert" for row in rows]
    normal = np.random.default_rng(seed).permutation([number for number, kind in enumerate(kinds) if not kind])
    first, second = 6 * len(normal) // 10, 8 * len(normal) // 10
    alerts = [number for number, kind in enumerate(kinds) if kind]
    train, held, test = (sorted(map(int, part)) for part in np.split(normal, [first, second]))
    test = sorted([*test, *alerts])
    return (
        [texts[number] for number in train],
        [texts[number] for number in held],
        LabelledLog([texts[number] for number in test], [kinds[number] for number in test]),
    )


def loglead(train: list[str], test: LabelledLog) -> dict[str, dict[str, float]]:
    """AUC and average precision of the detectors of LogLead, each in its own defaults, on counts of words."""
    import polars
    from loglead import AnomalyDetector

    def frame(lines: list[str], kinds: list[str]) -> Any:
        words = [[token.word for token in tokens_of(line)] for line in lines]
        return polars.DataFrame(
            {"words": words, "words_len": list(map(len, words)), "anomaly": [k != "" for k in kinds]}
        )

    detector = AnomalyDetector(item_list_col="words", print_scores=False, auc_roc=True)
    detector.train_df, detector.test_df = frame(train, [""] * len(train)), frame(*test)
    detector.prepare_train_test_data()
    found = {}
    for name in DETECTORS:
        getattr(detector, f"train_{name}")()
        scores = [float(score) for score in detector.predict()["pred_ano_proba"]]
        found[name] = {key: value for key, value in found_row(scores, test.kinds).items() if key != "alert"}
    return found


def accuracy(path: Path, skip: int, seeds: int, steps: int) -> list[dict[str, Any]]:
    """A row for each score, on a labelled log."""
    found: dict[str, list[dict[str, float]]] = {}
    why = ""
    for seed in range(seeds):
        train, held, test = labelled_log(path, skip, seed)
        scorer, spent = trained(train, seed, steps)
        judged = judge(scorer, train, plant(held, 0.1, seed), test, 0.01, seed)
        judged.rows[OURS]["training, s"] = spent
        for name, row in judged.rows.items():
            found.setdefault(name, []).append(row)
        try:
            for name, row in loglead(train, test).items():
                found.setdefault(f"LogLead, {name}", []).append(row)
        except ImportError:
            why = "LogLead is not installed: pip install loglead"
    share = average_precision([0.0] * len(test.kinds), [kind != "" for kind in test.kinds])
    rows = []
    for name, each in found.items():
        row: dict[str, Any] = {"case": f"{path.name}: {name}", "lines": len(test.texts), "share of alerts": share}
        for key in ("AUC", "average precision", "caught", "false alarms", "training, s"):
            if key in each[0]:
                row[key] = statistics.mean(one[key] for one in each)
                row[f"{key}, s.d."] = statistics.stdev(one[key] for one in each) if len(each) > 1 else None
        rows.append(row | ({"why": why} if why and name == OURS else {}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few lines and steps, to see that it runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--labelled", type=Path, help="a log with its alerts, as loghub has them")
    parser.add_argument("--skip", type=int, default=0, help="words before the message that are taken away")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on the labelled log")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [speed(options.quick)]
    if options.labelled:
        rows += accuracy(options.labelled, options.skip, 1 if options.quick else options.seeds, 2 * options.quick)
    for row in rows:
        said = {name: value if isinstance(value, str | None) else f"{value:.4g}" for name, value in row.items()}
        print(", ".join(f"{name}: {value}" for name, value in said.items()))
    if options.json:
        write(options.json, "Unusual lines of logs", device(), versions(), rows)


if __name__ == "__main__":
    main()
