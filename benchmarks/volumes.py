"""Speed and memory of sparse convolution compared with torch's dense `conv3d` and with spconv.

    python benchmarks/volumes.py [--quick] [--json FILE]

Volumes of 64³ voxels with 16 channels, 3 % of the voxels occupied: at random, and on spheres. A layer of 3 × 3 × 3
weights, forward, and forward with the gradients of features and weights. Which voxel is read for which is known before,
as in all but the first layer of a network, unless a row says that it is computed within the time; spconv computes its
own likewise. All answers are compared with those of `conv3d`, and the largest difference stands beside the time. Memory
is what the tensors of one layer need at most at one time, forward and backward, by torch's own profiler. spconv 2.3
(`pip install spconv`) is no dependency of Lowland: without it its rows are left out, and a line says so. One thread by
processor time, two by wall time, medians over rounds that alternate.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, row, table, versions
from report import write
from torch import Tensor
from torch.nn import functional

from lowland.nn.sparse_volumes import SparseVolume, SubmanifoldConvolution

SIDE, CHANNELS, SHARE = 64, 16, 0.03


def places(kind: str) -> Tensor:
    """(N, 4) voxels at random, or on spheres of random centre and radius, until so many are occupied."""
    draw, wanted = torch.Generator().manual_seed(0), int(SHARE * SIDE**3)
    if kind == "random":
        flat = torch.randperm(SIDE**3, generator=draw)[:wanted].sort().values
    else:
        grid = torch.stack(torch.meshgrid(*3 * [torch.arange(SIDE)], indexing="ij"), dim=-1).reshape(-1, 3).float()
        filled = torch.zeros(SIDE**3, dtype=torch.bool)
        while int(filled.sum()) < wanted:
            centre, radius = SIDE * torch.rand(3, generator=draw), 4 + 12 * torch.rand((), generator=draw)
            filled |= ((grid - centre).norm(dim=1) - radius).abs() < 0.5
        flat = filled.nonzero()[:, 0]
    x, y, z = flat // SIDE**2, flat // SIDE % SIDE, flat % SIDE
    return torch.stack([torch.zeros_like(x), x, y, z], dim=1)


def peak(function: Callable[[], Any]) -> float:
    """Largest sum of bytes of tensors that a call holds at one time beyond what was there, in MB."""
    function()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as found:
        kept = function()
    held = largest = 0
    for event in found.profiler.kineto_results.events():  # pyright: ignore[reportOptionalMemberAccess]
        if event.name() == "[memory]":
            held += event.nbytes()
            largest = max(largest, held)
    del kept
    return largest / 1e6


def spconv_layer(layer: SubmanifoldConvolution, volume: SparseVolume) -> tuple[Any, Any] | None:
    """(layer, tensor) of spconv with the same weights, or None without spconv."""
    try:
        import spconv.pytorch as spconv  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    theirs = spconv.SubMConv3d(CHANNELS, CHANNELS, 3, bias=False, indice_key="volumes")
    # (out, k, k, k, in), where ours are (k³, in, out).
    with torch.no_grad():
        theirs.weight.copy_(layer.cube().permute(1, 2, 3, 4, 0))
    tensor = spconv.SparseConvTensor(volume.features, volume.coordinates.int(), [SIDE] * 3, 1)
    return theirs, tensor


def compare(kind: str, rounds: int, threads: int) -> list[dict[str, Any]]:
    """Rows for one kind of places."""
    draw = torch.Generator().manual_seed(1)
    at = places(kind)
    features = torch.randn(len(at), CHANNELS, generator=draw, requires_grad=True)
    volume = SparseVolume(at, features, (SIDE,) * 3)
    layer = SubmanifoldConvolution(CHANNELS, CHANNELS, bias=False, generator=draw)
    dense = volume.dense().detach().requires_grad_()
    weight = layer.cube().transpose(0, 1).detach().contiguous().requires_grad_()

    def conv3d() -> Tensor:
        return functional.conv3d(dense, weight, padding=1)

    def fresh() -> Tensor:
        return layer(SparseVolume(at, features, (SIDE,) * 3)).features

    def both(forward: Callable[[], Tensor], *inputs: Tensor) -> Callable[[], Any]:
        def run() -> Any:
            found = forward()
            return found, torch.autograd.grad(found, inputs, found.detach())

        return run

    wanted = volume.read(conv3d()).features
    off = (layer(volume).features - wanted).abs().max().item() / wanted.abs().max().item()
    if off > 1e-5:
        raise SystemExit(f"Sparse and dense convolution differ by {off:.1e}.")
    train, train_dense = both(lambda: layer(volume).features, features, layer.weight), both(conv3d, dense, weight)
    case = f"{kind} voxels, {100 * len(at) / SIDE**3:.1f} % of {SIDE}³, {CHANNELS} channels"
    with torch.no_grad():
        field: dict[str, Any] = {"ours": lambda: layer(volume), "fresh": fresh, "conv3d": conv3d}
        rival = spconv_layer(layer, volume)
        if rival:
            theirs, tensor = rival
            error = (theirs(tensor).features - wanted).abs().max().item() / wanted.abs().max().item()
            known = theirs(tensor)  # it has the pairs of voxels

            def again() -> Any:
                return theirs(known.replace_feature(volume.features))

            def anew() -> Any:
                return theirs(type(tensor)(volume.features, tensor.indices, tensor.spatial_shape, 1))

            field |= {"spconv": again, "spconv fresh": anew}
        times = race(field, rounds, threads)
    rows = [
        contest(f"forward, {case}", times["ours"], "conv3d", times["conv3d"], threads, error_ours=off),
        contest(f"forward, places within, {case}", times["fresh"], "conv3d", times["conv3d"], threads),
    ]
    if rival:
        errors = {"error_ours": off, "error_theirs": error}
        rows += [
            contest(f"forward, {case}", times["ours"], "spconv", times["spconv"], threads, **errors),
            contest(f"forward, places within, {case}", times["fresh"], "spconv", times["spconv fresh"], threads),
        ]
    times = race({"ours": train, "conv3d": train_dense}, rounds, threads)
    rows.append(contest(f"forward and backward, {case}", times["ours"], "conv3d", times["conv3d"], threads))
    if threads == 1:
        ours, full = peak(train), peak(train_dense)
        rows.append(row(f"memory, {case}", "MB", ours, "conv3d", full, 1, ratio=full / ours))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds: three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rounds = 3 if options.quick else 15
    rows = [one for threads in (1, 2) for kind in ("random", "sphere") for one in compare(kind, rounds, threads)]
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=5))
    if not any(one["rival"] == "spconv" for one in rows):
        print("\nspconv is not installed, so it was not measured: pip install spconv")
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("spconv"), rows)


if __name__ == "__main__":
    main()
