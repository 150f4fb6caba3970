"""An encoder file and a folder of samples become a packed file of few bits, and a report of what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from lowland.data.folder import Folder, read_folder
from lowland.data.images import stratified
from lowland.data.label_files import check_table, label_path, label_tables
from lowland.data.split import split_folder
from lowland.errors import DataError, OptionError, UnsupportedError
from lowland.evaluation.shrinking import Part, Shrunk, check_limits, mean_bits, shrink
from lowland.nn.quantised import quantised_layers, settings_of
from lowland.nn.quantisers import MOST_BITS
from lowland.training.encoder_files import load_encoder, save_small, weights_in

_MOST, _LEAST = 2000, 8
"""Samples of each part at most, and for calibration at least."""


class ShrunkFile(NamedTuple):
    """What `shrink_folder` wrote.

    Attributes:
        path: of the packed file.
        found: see `Shrunk`.
        labelled: whether the loss is in points of a linear probe, rather than in % of the variance of the codes.
        limit: the largest loss that was asked for.
        sizes: weights of each layer.
        bytes: of the packed file, and of that in floating point.
        notes: sentences on the files that were read.
    """

    path: Path
    found: Shrunk
    labelled: bool
    limit: float
    sizes: dict[str, int]
    bytes: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the limit holds on the samples that had no say."""
        return self.found.lost <= self.limit

    @property
    def lines(self) -> Iterator[str]:
        """The report, in plain words, which say so where the limit is not kept."""
        found, (small, large) = self.found, self.bytes
        unit = "points of a linear probe" if self.labelled else "% of the variance of the codes"
        yield f"{large:,} bytes before, {small:,} after: {100 * small / large:.0f} %."
        yield f"{mean_bits(found.bits, self.sizes):.2f} bits a weight on average, by layer:"
        width = max(map(len, found.bits))
        for name, bits in found.bits.items():
            yield f"  {name:<{width}}  {bits} bits, {self.sizes[name]:,} weights, {100 * found.sensitivity[name]:.2g} %"
        yield "The last column: variance of the codes that is lost if this layer alone has the fewest bits."
        how = f"after {found.steps} steps of training" if found.steps else "by rounding alone, without training"
        yield f"Chosen {how}: {found.chosen:.3g} {unit} lost on the samples for the choice."
        samples = f"on {found.tested} held-out samples that had no say"
        yield f"Lost {found.lost:.3g} {unit} {samples}; {100 * found.agreement:.1f} % keep their nearest neighbour."
        if self.labelled and 100 / found.tested > self.limit:
            yield f"One of these samples is {100 / found.tested:.2g} points: more labels would make the limit sharper."
        if not self.kept:
            yield (
                f"The limit of {self.limit:g} is NOT KEPT: {found.lost:.3g} {unit} are lost on held-out samples. "
                "Give more bits by --bits or --most, more --steps, or more samples."
            )


def shrink_folder(
    encoder: str | Path,
    folder: str | Path,
    out: str | Path | None = None,
    labels: str = "",
    bits: int = 6,
    limit: float = 0.5,
    most: int = MOST_BITS,
    activations: int | None = None,
    steps: int = 300,
    seed: int = 0,
    watch: Callable[[str], None] = lambda text: None,
) -> ShrunkFile:
    """`shrink` an encoder file by the samples of a folder, and write the packed file.

    The files of the folder are split into three: those held out by `split_folder` for the test, and a quarter of the
    rest for validation; the others calibrate. At most 2,000 samples of each are used.

    Args:
        encoder: as `load_encoder` takes it.
        folder: images or series of the kind that the encoder takes.
        out: the file to write; by default small.safetensors beside the encoder.
        labels: a CSV file of files and labels, "folders", or "" for none.
        bits, limit, most, activations, steps, seed: see `shrink`.
        watch: called with lines of progress.

    Raises:
        OptionError, UnsupportedError: see `shrink`; also if the file would replace the encoder.
        CheckpointError: for an encoder that cannot be read, or a file that cannot be written.
        DataError: for a folder without anything that the encoder takes or with too little of it, or labels that cannot
            be used, such as those of a single class.
    """
    check_limits(bits, limit, most, activations, steps)
    source = weights_in(Path(encoder))
    place = source.with_name("small.safetensors") if out is None else Path(out)
    if place.resolve() == source.resolve():
        raise OptionError(f"{place} is the encoder itself: give another name with --out.")
    if place.suffix != ".safetensors":
        raise OptionError(f"{place} must end in .safetensors.")
    labels = label_path(labels, folder)
    check_table(labels)
    network, card = load_encoder(source)
    if settings_of(network) is not None:
        raise UnsupportedError(f"{source} has few bits already: start from the encoder in floating point.")
    shape = tuple(card["shape"])
    leave = [place, source, *label_tables(labels)]
    data = read_folder(folder, shape[-1], shape[0], card["kind"], leave, card.get("levels") or (), watch)
    *parts, notes = _parts(data, Path(folder), labels, seed)
    found = shrink(
        network, *parts, bits=bits, limit=limit, most=most, activations=activations, steps=steps, seed=seed, watch=watch
    )
    facts = {"bits": found.bits, "lost": found.lost, "unit": "points" if labels else "% of variance"}
    assert isinstance(found.encoder, type(network))
    save_small(found.encoder, place, {**card, "small": facts})
    sizes = {name: layer.weight.numel() for name, layer in quantised_layers(found.encoder)}
    left = tuple(f"{file} {why}: it was left out." for file, why in data.skipped)
    weight = place.stat().st_size, source.stat().st_size
    return ShrunkFile(place, found, bool(labels), limit, sizes, weight, (*data.notes, *notes, *left))


def _parts(data: Folder, folder: Path, labels: str, seed: int) -> tuple[Part, Part, Part, tuple[str, ...]]:
    """Samples to calibrate with, to choose by and to test on: no file is in two of them where there are enough."""
    split = split_folder(data, folder, labels, seed)
    draw = torch.Generator().manual_seed(seed)
    number = {file: index for index, file in enumerate(dict.fromkeys(data.files))}
    owner = torch.tensor([number[file] for file in data.files])
    files = owner[split.train].unique()
    if len(files) < _LEAST:
        held = torch.zeros(len(split.train), dtype=torch.bool)
        held[len(held) - len(held) // 4 :] = True
    else:
        kinds = torch.zeros(len(number), dtype=torch.int64)
        if split.labels is not None:
            kinds[owner] = split.labels + 1
        held = torch.isin(owner[split.train], files[stratified(kinds[files], 0.25, draw)[1]])
    rows = [split.train[~held], split.train[held], split.test]
    rows = [part[torch.randperm(len(part), generator=draw)[:_MOST]] for part in rows]
    if len(rows[0]) < _LEAST or min(map(len, rows)) < 2:
        raise DataError(
            f"{folder} has {len(data)} samples, of which {len(rows[0])} calibrate, {len(rows[1])} choose the bits and "
            f"{len(rows[2])} test: that is too few. Give at least 20."
        )
    given = split.labels
    first, second, third = (Part(data.take(part), None if given is None else given[part]) for part in rows)
    if first.labels is not None and len(first.labels[first.labels >= 0].unique()) < 2:
        raise DataError(f"{labels}: the samples that calibrate have labels of only one class: label more of them.")
    return first, second, third, split.notes
