"""The four IDX files of the MNIST family: full MNIST and Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from lowland.data.catalogue import dataset
from lowland.data.idx import read_idx
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FASHION = Source(
    name="fashion_mnist",
    package="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    sha256={
        "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb": (
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
        ),
        _FILES[0]: "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        _FILES[1]: "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        _FILES[2]: "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        _FILES[3]: "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    },
    client="apt",
    archive="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    size=30_900_652,
    root="usr/share/datasets/fashion-mnist",
    installed=("/usr/share/datasets/fashion-mnist",),
)
_MNIST = Source(
    name="mnist",
    package="MNIST (LeCun, Cortes, Burges)",
    version="1998",
    sha256={
        _FILES[0]: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        _FILES[1]: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        _FILES[2]: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        _FILES[3]: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    root="MNIST/raw",
)


@dataset(
    what="Grey pictures of clothes in ten classes (Xiao, Rasul, Vollgraf 2017): the full set.",
    size="60,000 + 10,000 of 28 × 28",
    licence="Expat (MIT)",
    source=_FASHION,
)
def fashion_mnist(data_dir: str | Path | None = None) -> Images:
    """Full Fashion-MNIST: 55,000 train, 5,000 validation, 10,000 test.

    Args:
        data_dir: folder with the Debian package or the four IDX files, gzipped or not. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    return _four_files(_FASHION, _CLOTHES, data_dir)


@dataset(
    what="Handwritten digits (LeCun, Bottou, Bengio, Haffner 1998): the full set, from files that you have.",
    size="60,000 + 10,000 of 28 × 28",
    licence="see the publisher",
    source=_MNIST,
)
def mnist(data_dir: str | Path | None = None) -> Images:
    """Full MNIST: 55,000 train, 5,000 validation, 10,000 test. No package carries it; `mnist10k` is a substitute.

    Args:
        data_dir: folder with the four IDX files, gzipped or not.

    Raises:
        DataError: missing, damaged or truncated files, or no folder given.
    """
    return _four_files(_MNIST, tuple("0123456789"), data_dir)


def _four_files(source: Source, classes: tuple[str, ...], data_dir: str | Path | None) -> Images:
    found = read(source, _FILES, data_dir)
    images, labels, test_images, test_labels = (
        read_idx(found.content[name], f"{name} of {source.name}", dims=3 if "images" in name else 1) for name in _FILES
    )
    return assemble(
        source.name,
        found.where,
        classes,
        train=_pair(images, labels, source, "train"),
        test=_pair(test_images, test_labels, source, "t10k"),
        validation=1 / 12,
    )


def _pair(images_NHW: Tensor, labels_N: Tensor, source: Source, part: str) -> tuple[Tensor, Tensor]:
    if len(images_NHW) != len(labels_N):
        raise DataError(f"The {part} files of {source.name} hold {len(images_NHW)} images but {len(labels_N)} labels.")
    return images_NHW[:, None], labels_N
