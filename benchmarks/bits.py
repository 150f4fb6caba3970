"""Speed of the product of single bits compared with that of the same signs in float32, by torch.

    python benchmarks/bits.py [--quick] [--json FILE]

1,024 × 1,024 signs as weights, times one vector and times 1,024 of them. The weights are packed beforehand, as a
network stores them; the activations are packed within the time that is measured, and once more in a row of their own
without that. Both products are compared and must be equal. One thread and processor time, alternately in one process.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, table, versions
from report import write

from lowland.nn.sign_product import pack_signs, sign_product

SIDE = 1024


def compare(rows: int, rounds: int, calls: int) -> list[dict[str, Any]]:
    """Rows for activations (rows, 1024), packed within the time and beforehand."""
    draw = torch.Generator().manual_seed(0)
    weights, inputs = (torch.randn(count, SIDE, generator=draw).sign() for count in (SIDE, rows))
    packed, ready, across = pack_signs(weights), pack_signs(inputs), weights.T.contiguous()
    if not torch.equal(sign_product(ready, packed).float(), torch.mm(inputs, across)):
        raise SystemExit("The product of bits is not the product of the signs.")

    def repeated(function: Any) -> Any:
        return lambda: [function() for _ in range(calls)]

    field = {
        "packing": repeated(lambda: sign_product(pack_signs(inputs), packed)),
        "packed": repeated(lambda: sign_product(ready, packed)),
        "torch.mm": repeated(lambda: torch.mm(inputs, across)),
    }
    times = {name: [one / calls for one in seconds] for name, seconds in race(field, rounds, 1).items()}
    case = f"product of signs, {rows} × {SIDE} by {SIDE} × {SIDE}"
    names = {"packing": "activations packed within", "packed": "activations packed before"}
    return [
        contest(f"{case}, {what}", times[name], "torch.mm, float32", times["torch.mm"], 1)
        for name, what in names.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds: three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rounds = 3 if options.quick else 15
    rows = [*compare(1, rounds, 200), *compare(SIDE, rounds, 2)]
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=7))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("numba"), rows)


if __name__ == "__main__":
    main()
