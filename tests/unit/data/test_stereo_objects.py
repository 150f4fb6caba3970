"""Stereo pairs of models: which models, how they are split, and that they are rendered once."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch

from lowland.data import stereo_objects
from lowland.data.images import Images
from lowland.data.solids import KINDS, solid_models
from lowland.data.stereo_objects import StereoObjects, named_models, named_objects, stereo_pairs
from lowland.errors import DataError, OptionError

PYRAMID = "v 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nv .5 1 .5\nf 1 2 3 4\nf 1 2 5\nf 2 3 5\nf 3 4 5\nf 4 1 5\n"
CATALOGUE = """
id#1=a
name#1=Oak chair
category#1=Living room
model#1=/m/chair.obj
name#2=Desk lamp
category#2=Lights
model#2=/m/lamp.obj
name#3=Sitting female
category#3=Characters
model#3=/m/person.obj
name#4=Horse
category#4=Characters
model#4=/m/horse.obj
name#5=Folding chair
category#5=Living room
model#5=/m/turned.obj
modelRotation#5=1 0 0 0 0 1 0 -1 0
name#6=Round table
category#6=Kitchen
model#6=/m/table.obj
name#7=Truck
category#7=Vehicles
model#7=/m/truck.obj
name#8=Beach chair
category#8=Exterior
model#8=/m/missing.obj
"""


def archive(text: str = CATALOGUE, model: str = PYRAMID) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as folder:
        folder.writestr("PluginFurnitureCatalog.properties", text)
        for name in ("chair", "lamp", "person", "horse", "turned", "table", "truck"):
            folder.writestr(f"m/{name}.obj", model)
    return buffer.getvalue()


def test_models_are_chosen_by_their_names() -> None:
    found = named_models({"Small.sh3f": archive()})
    names = {kind: [model.name for model in own] for kind, own in found.items()}
    assert names == {
        "people": ["Sitting female"], "vehicles": ["Truck"], "chairs": ["Oak chair"], "tables": ["Round table"],
        "lamps": ["Desk lamp"],
    }  # fmt: skip
    assert found["chairs"][0].read().vertices.shape == (5, 3)
    assert found["chairs"][0].path == "Small.sh3f/m/chair.obj"


def test_archives_and_models_that_are_damaged_are_named() -> None:
    with pytest.raises(DataError, match=r"Small\.sh3f is no archive of models"):
        named_models({"Small.sh3f": b"PK no archive"})
    with pytest.raises(DataError, match=r"Small\.sh3f is no archive of models"):
        named_models({"Small.sh3f": archive()[:200]})
    broken = named_models({"Small.sh3f": archive(model="v 0 0 0\n")})["tables"][0]
    with pytest.raises(DataError, match=r"Small\.sh3f/m/table\.obj has no faces"):
        broken.read()


def test_pairs_are_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, cache = solid_models(2), tmp_path / "pairs"
    first = stereo_pairs(models, 3, 16, cache, "solids")
    assert first.pairs.shape == (30, 2, 16, 16)
    assert first.classes == KINDS
    assert first.labels.tolist() == [label for label in range(5) for _ in range(6)]
    assert first.model.tolist() == [model for model in range(10) for _ in range(3)]
    assert bool((first.pairs.flatten(1) < 250).any(dim=1).all())
    files = sorted(cache.iterdir())
    assert len(files) == 10
    files[0].write_bytes(b"damaged")
    files[1].unlink()
    drawn = []
    monkeypatch.setattr(
        stereo_objects, "render", lambda *args, real=stereo_objects.render: drawn.append(args) or real(*args)
    )
    again = stereo_pairs(models, 3, 16, cache, "solids")
    assert torch.equal(first.pairs, again.pairs)
    assert len(drawn) == 2
    assert stereo_pairs(models, 3, 16, cache, "solids", most=1).pairs.shape[0] == 15


def test_another_model_or_renderer_is_rendered_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same path and views, but a pyramid four times as high; then the same with another renderer."""

    def chairs(model: str) -> torch.Tensor:
        models = named_models({"Small.sh3f": archive(model=model)})["chairs"]
        return stereo_pairs({"chairs": models}, 2, 16, tmp_path / "pairs", "test").pairs

    low, high = chairs(PYRAMID), chairs(PYRAMID.replace("v .5 1 .5", "v .5 4 .5"))
    assert not torch.equal(low, high)
    assert torch.equal(chairs(PYRAMID), low)
    assert len(list((tmp_path / "pairs").iterdir())) == 2
    monkeypatch.setattr(stereo_objects, "SETTINGS", ())
    chairs(PYRAMID)
    assert len(list((tmp_path / "pairs").iterdir())) == 3


def objects(models: int) -> StereoObjects:
    """Pairs whose pixels are the number of their model."""
    model = torch.arange(2 * models).repeat_interleave(4)
    pairs = model.to(torch.uint8)[:, None, None, None].expand(-1, 2, 4, 4)
    return StereoObjects(pairs, (model >= models).long(), model, ("near", "far"), "test")


def test_no_model_is_in_two_parts() -> None:
    found = objects(18).split(torch.Generator().manual_seed(3))
    assert isinstance(found, Images)
    assert found.stand_in_for == "small NORB"
    seen = {}
    for part, count in (("train", 9), ("validation", 3), ("test", 6)):
        numbers = (getattr(found, part)[:, 0, 0, 0] * 255).round().long()
        labels = getattr(found, f"{part}_labels")
        assert torch.equal(labels, (numbers >= 18).long())
        seen[part] = set(numbers.tolist())
        assert numbers.bincount(minlength=36).unique().tolist() == [0, 4]
        assert len(seen[part]) == 2 * count
    assert not seen["train"] & seen["test"]
    assert not (seen["train"] | seen["test"]) & seen["validation"]
    other = objects(18).split(torch.Generator().manual_seed(4))
    assert set((other.test[:, 0, 0, 0] * 255).round().long().tolist()) != seen["test"]
    with pytest.raises(OptionError, match="three models of each category or more, but of near there are 2"):
        objects(2).split(torch.Generator())


def test_a_folder_without_the_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither the archive sweethome3d-furniture"):
        named_objects(tmp_path)
