"""Image data sets: three disjoint splits with labels, and where the pixels came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lowland.errors import DomainError, OptionError, ShapeError


@dataclass(frozen=True, eq=False)
class Images:
    """Images as float32 (N, C, H, W) in [0, 1] and labels as int64 (N,), split into train, validation and test.

    The validation images are drawn from the data set's training images, never from its test images, by a fixed seed.

    Args:
        name: name of the data set.
        source: where the pixels came from, for the table of a report.
        classes: names of the labels.
        stand_in_for: the data set that these images replace, if they are a substitute.

    Raises:
        ShapeError: for images or labels of the wrong rank, dtype or length.
        DomainError: for a pixel that is not finite or outside [0, 1], or a label without a class.

    >>> from lowland.data import digits
    >>> digits()
    Images(name='digits', shape=(1, 8, 8), train=1200, validation=297, test=300, source='scikit-learn')
    """

    name: str
    source: str
    classes: tuple[str, ...]
    train: Tensor = field(repr=False)
    train_labels: Tensor = field(repr=False)
    validation: Tensor = field(repr=False)
    validation_labels: Tensor = field(repr=False)
    test: Tensor = field(repr=False)
    test_labels: Tensor = field(repr=False)
    stand_in_for: str | None = None

    def __post_init__(self) -> None:
        for split in ("train", "validation", "test"):
            images_NCHW, labels_N = getattr(self, split), getattr(self, f"{split}_labels")
            if images_NCHW.dim() != 4 or images_NCHW.dtype != torch.float32:
                raise ShapeError(
                    f"The {split} images of {self.name} must be float32 (N, C, H, W), "
                    f"but they are {images_NCHW.dtype} {tuple(images_NCHW.shape)}."
                )
            if labels_N.dtype != torch.int64 or labels_N.shape != images_NCHW.shape[:1]:
                raise ShapeError(
                    f"The {split} labels of {self.name} must be int64 ({len(images_NCHW)},), "
                    f"but they are {labels_N.dtype} {tuple(labels_N.shape)}."
                )
            # A NaN fails both comparisons, so this test also catches it.
            if not bool(((images_NCHW >= 0) & (images_NCHW <= 1)).all()):
                raise DomainError(f"The {split} images of {self.name} have values outside [0, 1] or not finite.")
            if not bool(((labels_N >= 0) & (labels_N < len(self.classes))).all()):
                raise DomainError(f"The {split} labels of {self.name} must lie in 0 … {len(self.classes) - 1}.")

    def __repr__(self) -> str:
        sizes = f"train={len(self.train)}, validation={len(self.validation)}, test={len(self.test)}"
        stand_in = f", stand_in_for={self.stand_in_for!r}" if self.stand_in_for else ""
        return f"Images(name={self.name!r}, shape={self.shape}, {sizes}, source={self.source!r}{stand_in})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.shape[1:]
        return (channels, height, width)

    @property
    def together(self) -> tuple[Tensor, Tensor]:
        """Images and labels of all splits, for other splits than the usual ones."""
        splits = ("train", "validation", "test")
        images, labels = ([getattr(self, f"{split}{what}") for split in splits] for what in ("", "_labels"))
        return torch.cat(images), torch.cat(labels)

    def first(self, **counts: int) -> Images:
        """The same with only the first so many images of some splits, which are in random order.

        >>> from lowland.data import digits
        >>> digits().first(train=100, test=50)
        Images(name='digits', shape=(1, 8, 8), train=100, validation=297, test=50, source='scikit-learn')
        """
        names = [(name, count) for split, count in counts.items() for name in (split, f"{split}_labels")]
        return replace(self, **{name: getattr(self, name)[:count] for name, count in names})

    def resplit(self, fraction: float, generator: torch.Generator) -> Images:
        """Draw new validation images: a fraction of train and validation together, the same in every class.

        The test images stay the same.

        Raises:
            OptionError: if the fraction is not between 0 and 1.

        >>> from lowland.data import digits
        >>> again = digits().resplit(0.1, torch.Generator().manual_seed(1))
        >>> len(again.train), len(again.validation), len(again.test)
        (1347, 150, 300)
        """
        images_NCHW = torch.cat([self.train, self.validation])
        labels_N = torch.cat([self.train_labels, self.validation_labels])
        kept, drawn = stratified(labels_N, fraction, generator)
        return replace(
            self,
            train=images_NCHW[kept],
            train_labels=labels_N[kept],
            validation=images_NCHW[drawn],
            validation_labels=labels_N[drawn],
        )


def stratified(labels_N: Tensor, fraction: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices (kept, drawn), both shuffled: round(fraction · N) are drawn, the same fraction of every class.

    If the number for a class is not whole, the classes with the largest remainders give one more.

    >>> kept, drawn = stratified(torch.tensor([0, 0, 0, 0, 1, 1]), 0.5, torch.Generator().manual_seed(0))
    >>> sorted(drawn.tolist())[-1] >= 4, len(kept), len(drawn)
    (True, 3, 3)
    """
    if not 0 < fraction < 1:
        raise OptionError(f"A share of the images must lie between 0 and 1, but it is {fraction}.")
    shuffled_N = torch.randperm(len(labels_N), generator=generator)
    counts = torch.bincount(labels_N)
    exact = counts * fraction
    quota = exact.floor().long()
    spare = round(len(labels_N) * fraction) - int(quota.sum())
    quota[(exact - quota).argsort(descending=True, stable=True)[:spare]] += 1
    # The position of each image within its class, in shuffled order.
    one_hot = torch.nn.functional.one_hot(labels_N[shuffled_N], len(counts))
    position_N = (one_hot.cumsum(0) * one_hot).sum(1) - 1
    drawn_N = position_N < quota[labels_N[shuffled_N]]
    return shuffled_N[~drawn_N], shuffled_N[drawn_N]


def assemble(
    name: str,
    source: str,
    classes: tuple[str, ...],
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor] | float,
    validation: float,
    levels: float = 255.0,
    stand_in_for: str | None = None,
) -> Images:
    """Build `Images` from integer pixels and labels, with a reproducible split.

    Args:
        train: (pixels (N, C, H, W), labels (N,)).
        test: the data set's own test part, or the fraction of `train` to use if it has none.
        validation: fraction of the remaining training images.
        levels: the value of a white pixel.
    """
    generator = torch.Generator().manual_seed(0)
    pixels_NCHW, labels_N = train[0], train[1].long()
    if isinstance(test, tuple):
        test_pixels_NCHW, test_labels_N = test
    else:
        kept, drawn = stratified(labels_N, test, generator)
        test_pixels_NCHW, test_labels_N = pixels_NCHW[drawn], labels_N[drawn]
        pixels_NCHW, labels_N = pixels_NCHW[kept], labels_N[kept]
    kept, drawn = stratified(labels_N, validation, generator)
    return Images(
        name=name,
        source=source,
        classes=classes,
        train=pixels_NCHW[kept].float() / levels,
        train_labels=labels_N[kept],
        validation=pixels_NCHW[drawn].float() / levels,
        validation_labels=labels_N[drawn],
        test=test_pixels_NCHW.float() / levels,
        test_labels=test_labels_N.long(),
        stand_in_for=stand_in_for,
    )
