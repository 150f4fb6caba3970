"""The registry knows no package above it; each package shows its own classes, and all of them are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lowland as ll
from lowland import registry
from lowland.errors import OptionError

PLUGIN = '''
from lowland.energies.ellipse import Ellipse
from lowland.registry import register

@register("energy")
class TestOnlyRound(Ellipse):
    """An ellipse."""
'''


def test_the_registry_names_no_package() -> None:
    """What it says to users may name modules; its code may not."""
    code = re.sub(r'""".*?"""', "", Path(registry.__file__).read_text(), flags=re.DOTALL)
    code = code.replace(f'"{registry.GROUP}"', "")  # of entry points; no module has that name
    assert set(re.findall(r"lowland\.\w+", code)) == {"lowland.errors"}


@pytest.mark.parametrize(
    ("name", "kind", "home"),
    [
        ("PlanEnergy", "energy", "planning"),
        ("ForwardTraining", "shaping", "worlds"),
        ("LinearWorld", "world", "worlds"),
    ],
)
def test_a_class_is_found_by_its_kind_and_shown_by_its_package(name: str, kind: str, home: str) -> None:
    cls = registry.find(kind, name)
    assert registry.registered(kind)[name] is cls
    assert getattr(getattr(ll, home), name) is cls
    for package in (ll.energies, ll.shaping, ll.solvers, ll.nn.encoders):
        assert name not in dir(package)
        with pytest.raises(AttributeError, match=f"has no class '{name}'"):
            getattr(package, name)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(AttributeError, match=r"lowland\.energies has no class 'Elipse'\. Did you mean 'Ellipse'\?"):
        _ = ll.energies.Elipse
    with pytest.raises(OptionError, match=r"There is no energy called 'Elipse'\. Did you mean 'Ellipse'\?"):
        registry.find("energy", "Elipse")
    for ask in (registry.registered, registry.register, lambda kind: registry.find(kind, "Ellipse")):
        with pytest.raises(OptionError, match=r"There is no registry of kind 'energies'\. Did you mean 'energy'\?"):
            ask("energies")


def test_a_plugin_is_found_and_no_package_claims_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_only_plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("LOWLAND_PLUGINS", str(tmp_path / "test_only_plugin.py"))
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    try:
        assert registry.find("energy", "TestOnlyRound").__module__ == "test_only_plugin"
        assert "TestOnlyRound" not in dir(ll.energies)
    finally:
        registry._registered["energy"].pop("TestOnlyRound", None)
