"""Pipes, bombs and names that somebody else chose: every command that reads a file says one sentence, and at once."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from lowland import cli
from lowland.recipes.catalogue import catalogue
from lowland.reports.run import Run

_known = functools.cache(catalogue)

SECONDS = 60
"""After which a command is taken to hang; each takes a fraction of one, and the machine may be busy."""


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes are looked for once, which takes most of the time of a command that is refused."""
    known = _known()
    monkeypatch.setattr("lowland.recipes.catalogue.catalogue", lambda: known)


@pytest.fixture(autouse=True)
def hangs() -> Iterator[None]:
    """A command that waits for ever is a failure, and not the end of the tests."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"It hangs: nothing has come for {SECONDS} seconds.")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert code in (cli.FAILURE, cli.USAGE), (words, out, err)
    assert err.startswith("lowland: "), err
    assert "a bug of Lowland" not in err, err
    assert "hangs" not in err, err
    assert err.replace("\n", "").isprintable(), err
    lines = [line for line in err.splitlines() if not line.startswith("Finished stages are kept.")]
    assert len(lines) == 1, err
    return err


PIPES = {
    "values.json": "report",
    "status.json": "report",
    "environment.json": "report",
    "figures/valleys.png": "report",
    "config.json": "resume",
    "checkpoints/ellipse/config.json": "export",
    "checkpoints/ellipse/model.safetensors": "export",
    "encoder/encoder.safetensors": "embed",
}


NO_FILES = [(name, "pipe") for name in PIPES] + [
    (name, kind)
    for name in ("values.json", "figures/valleys.png", "checkpoints/ellipse/model.safetensors")
    for kind in ("device", "loop", "folder")
]


@pytest.mark.parametrize(("name", "kind"), NO_FILES)
def test_what_is_no_file_in_a_run(
    name: str, kind: str, smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(smoke, run)
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.name)
    lines = {
        "report": ["report", str(run)],
        "resume": ["run", "ellipse", "--resume", str(run)],
        "export": ["export", str(run), "--to", "safetensors"],
        "embed": ["embed", str(path), str(tmp_path), "--out", str(tmp_path / "v.npy")],
    }
    one_sentence(lines[PIPES[name]], capsys)


def test_a_pipe_among_the_results_does_not_keep_the_list_from_being_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pipe", "loop", "nested"):
        (tmp_path / name / "latest").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe" / "latest" / "results.json")
    (tmp_path / "loop" / "latest" / "results.json").symlink_to("results.json")
    (tmp_path / "nested" / "latest" / "results.json").write_text("[" * 100_000)
    assert cli.main(["list", "--rows", "--runs", str(tmp_path)]) == 0
    assert "E4" in capsys.readouterr().out


def test_pipes_in_the_place_of_what_options_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.npz")
    Path("pictures").mkdir()
    for number in range(4):
        Image.new("L", (20, 20), number).save(f"pictures/{number}.png")
    for words in (
        ["run", "world", "--log", "pipe.npz"],
        ["run", "drive", "--models", "pipe.npz"],
        ["run", "denoise", "--image", "pipe.npz"],
        ["run", "inpaint", "--image", "pipe.npz"],
        ["pretrain", "pipe.npz"],
        ["report", "pipe.npz"],
        ["embed", "pipe.npz", "pictures"],
        ["export", "pipe.npz", "--to", "onnx"],
        ["data", "make", "photos", "--out", "pipe.npz"],
    ):
        one_sentence([*words, "--preset", "smoke"] if words[0] in ("run", "pretrain") else words, capsys)


BOMBS: dict[str, tuple[str, bytes]] = {
    "values nested": ("values.json", b"[" * 200_000),
    "values with nested elements": (
        "values.json", b'{"results": {}, "shown": {}, "seconds": 1, "elements": ' + b"[" * 900 + b"]" * 900 + b"}",
    ),
    "configuration nested": ("config.json", b'{"recipe": ' + b"[" * 200_000),
    "a number of 10,000 digits": ("values.json", b'{"results": ' + b"9" * 10_000 + b"}"),
    "weights with a header of 2^63 bytes": ("checkpoints/ellipse/model.safetensors", b"\xff" * 8 + b"{}"),
    "weights that announce 2^50 numbers": (
        "checkpoints/ellipse/model.safetensors",
        (90).to_bytes(8, "little")
        + b'{"radii":{"dtype":"F32","shape":[1125899906842624],"data_offsets":[0,4503599627370496]}}'.ljust(90),
    ),
    "weights with a nested header": (
        "checkpoints/ellipse/model.safetensors", (9000).to_bytes(8, "little") + b"[" * 9000,
    ),
    "an encoder with a nested card": (
        "encoder/encoder.safetensors",
        save({"a": np.zeros(1)}, {"kind": "lowland encoder 1", "class": "ConvNet", "card": "[" * 200_000}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_in_a_run(case: str, smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content = BOMBS[case]
    run = tmp_path / "run"
    shutil.copytree(smoke, run)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_bytes(content)
    words = {
        "checkpoints": ["export", str(run), "--to", "safetensors"],
        "encoder": ["embed", str(run / name), str(run)],
    }
    one_sentence(words.get(name.split("/", maxsplit=1)[0], ["report", str(run)]), capsys)


NAMES = (
    b"caf\xe9", b"\xff\xfe", b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", b"a\nb", b"a\rb", b"a\tb", b"\x9b2J", b"\x7f",
    "‮gnp".encode(), "é".encode(), "名前".encode(), b"$x_$", b"\\foo", b"_x", b"-x", b"--help", b"~", b"*", b"%s",
    b"{}", b"a b", b"it's", b'"', b"`id`", b"$(id)", b";ls", b"#", b"a,b", b"<b>", b"...", b" ", b"x" * 255,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_folders_of_any_name(
    name: bytes, smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = os.fsdecode(name)
    # A run: its page, and its weights for use elsewhere.
    shutil.copytree(smoke, folder)
    words = f"./{folder}"
    assert cli.main(["report", words]) == 0
    assert cli.main(["export", words, "--to", "safetensors"]) == 0
    shown, err = capsys.readouterr()
    assert shown.replace("\n", "").isprintable()
    assert len(shown.splitlines()) == 2
    assert not err
    # What is wrong with it, and where nothing is.
    Path(folder, "values.json").write_text("{")
    one_sentence(["report", words], capsys)
    one_sentence(["run", "ellipse", "--resume", f"{words}/none"], capsys)
    one_sentence(["embed", f"{words}/encoder", words], capsys)
    one_sentence(["data", "make", "photos", f"--out={folder}"], capsys)
    one_sentence(["run", "ellipse", "--preset", "smoke", f"--runs={words}/config.json"], capsys)


def test_a_run_in_a_folder_of_any_name_has_a_page_and_a_film(tmp_path: Path) -> None:
    from lowland.plots.video import write_video

    runs = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m"))
    with Run.create(runs, "r", {"folder": str(runs)}) as run:
        run.text(f"In {runs}")
        pictures = [np.full((32, 48, 3), shade, np.uint8) for shade in (0, 99)]
        run.video(write_video(run.folder / "film.mp4", pictures))
    assert json.loads((run.folder / "config.json").read_bytes())["options"]["folder"] == str(runs)
    assert (run.folder / "report.html").stat().st_size > 1000
    assert sorted(path.name for path in run.folder.glob(".*")) == []


def test_paths_that_are_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a" * 300, "a/" * 2100):
        for words in (
            ["report", path],
            ["run", "ellipse", "--resume", path],
            ["run", "drive", "--models", path],
            ["export", path, "--to", "onnx"],
            ["embed", path, "."],
            ["pretrain", path, "--preset", "smoke"],
            ["data", "make", "photos", "--out", path],
            ["run", "ellipse", "--preset", "smoke", "--runs", path],
        ):
            said = one_sentence(words, capsys)
            assert len(said) < 2 * cli.LONGEST


FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "an absolute path": ({"kind": "figure", "file": "/etc/hostname", "caption": "", "width": 1}, "outside the run"),
    "a path above": ({"kind": "figure", "file": "../../../etc/hostname", "caption": "", "width": 1}, "outside the run"),
    "a link": ({"kind": "figure", "file": "figures/link.png", "caption": "", "width": 1}, "outside the run"),
    "a film from elsewhere": ({"kind": "video", "file": "/etc/hostname", "caption": ""}, "outside the run"),
    "HTML": ({"kind": "figure", "file": "figures/code.html", "caption": "", "width": 1}, "no picture or film"),
    "a style": (
        {"kind": "figure", "file": "figures/valleys.png", "caption": "", "width": "1;x:url(//a)"}, "not written",
    ),
    "a grid with a style": ({"kind": "grid", "items": [], "columns": "1;x:url(//a)", "caption": ""}, "not written"),
    "no kind": ({"file": "figures/valleys.png"}, "not written"),
    "a picture that is a number": ({"kind": "figure", "file": 3, "caption": "", "width": 1}, "not written"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_the_page_of_a_foreign_run_takes_nothing_from_elsewhere(
    case: str, smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    element, words = FOREIGN[case]
    run = tmp_path / "run"
    shutil.copytree(smoke, run)
    (run / "report.html").unlink()
    (run / "figures" / "link.png").symlink_to("/etc/hostname")
    (run / "figures" / "code.html").write_text("<script>alert(1)</script>")
    # Without a checksum, which whoever made the run could have made as well.
    values = json.loads((run / "values.json").read_text())
    named = [{**element, "name": one["name"]} for one in values["elements"]]
    values = {name: values[name] for name in ("results", "shown", "stand_ins", "seconds")} | {"elements": named}
    (run / "values.json").write_text(json.dumps(values))
    assert words in one_sentence(["report", str(run)], capsys)
    assert not (run / "report.html").exists()
    # A run of a recipe that is not known here has only its page.
    (run / "values.json").unlink()
    page = {"title": "t", "shows": "", "rows": [], "stand_ins": [], "elements": [element], "seconds": 1}
    (run / "page.json").write_text(json.dumps(page))
    assert words in one_sentence(["report", str(run)], capsys)
    assert not (run / "report.html").exists()


def test_a_foreign_figure_of_plotly_ends_no_element(smoke: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(smoke, run)
    figure = {"data": [{"type": "scatter", "name": "</script><script>alert(1)</script>"}], "layout": {}}
    (run / "figures" / "f.json").write_text(json.dumps(figure))
    element = {"kind": "figure", "file": "figures/f.json", "caption": "", "width": None}
    page = {"title": "t", "shows": "", "rows": [], "stand_ins": [], "elements": [element], "seconds": 1}
    (run / "page.json").write_text(json.dumps(page))
    (run / "values.json").unlink()
    assert cli.main(["report", str(run)]) == 0
    html = (run / "report.html").read_text()
    assert "<script>alert" not in html
    stored = html.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(stored)["data"] == figure["data"]
    # Whatever a picture or a figure asks of the network, the browser refuses.
    assert "default-src 'none'" in html.split("<title>")[0]


def test_a_foreign_command_is_quoted(smoke: Path, tmp_path: Path) -> None:
    from lowland.reports.page import command

    config = {"recipe": "a;rm -rf ~", "preset": "$(id)", "options": {"x;ls": "`id`", "l": ["a b"]}}
    assert command(config) == "lowland run 'a;rm -rf ~' --preset '$(id)' '--x;ls' '`id`' --l 'a b'"


def test_the_options_of_a_foreign_run_are_of_their_kinds(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, words in (
        ({"points": "many"}, "points"),
        ({"points": 10**30}, "points must be at most"),
        ({"radii": [1.0, "2"]}, "radii"),
        ({"threads": True}, "threads"),
        ("none", "values by name"),
        ([1], "values by name"),
    ):
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(smoke, run)
        config = {"recipe": "ellipse", "preset": "cpu", "options": options}
        (run / "config.json").write_text(json.dumps(config))
        assert words in one_sentence(["run", "ellipse", "--resume", str(run)], capsys)
