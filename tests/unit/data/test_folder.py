"""Folders of a user's files: what is read, what is changed on the way, and what is left out and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lowland import cli
from lowland.data.folder import read_folder
from lowland.data.label_files import read_labels
from lowland.data.motions import sample_motions
from lowland.data.photos import sample_photos
from lowland.errors import DataError, OptionError


def paint(path: Path, mode: str = "RGB", size: tuple[int, int] = (24, 20), level: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level if mode in ("L", "I", "I;16", "F") else (level,) * len(mode)).save(path)
    return path


def test_grey_among_colour_is_converted_and_said(tmp_path: Path) -> None:
    for number in range(3):
        paint(tmp_path / f"{number}.png")
    paint(tmp_path / "deep" / "grey.jpg", "L")
    found = read_folder(tmp_path)
    assert found.shape == (3, 20, 20)
    assert found.files == ("0.png", "1.png", "2.png", "deep/grey.jpg")
    assert any("1 of 4 images are grey among colour" in note for note in found.notes)
    assert torch.equal(found.values, torch.full_like(found.values, 100))


def test_grey_alone_stays_grey(tmp_path: Path) -> None:
    for number in range(2):
        paint(tmp_path / f"{number}.png", "L", (16, 16))
    found = read_folder(tmp_path)
    assert found.shape == (1, 16, 16)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "mode", "level", "expected"),
    [
        ("a.png", "I;16", 65535, 255),
        ("a.png", "I;16", 32768, 128),
        ("a.tiff", "F", 1, 255),
        ("a.png", "RGBA", 200, 255 - round(55 * 200 / 255)),
        ("a.png", "P", 0, 0),
        ("a.tiff", "CMYK", 0, 255),
    ],
)
def test_every_mode_is_read(name: str, mode: str, level: int, expected: int, tmp_path: Path) -> None:
    if mode == "P":
        Image.new("P", (20, 20)).save(tmp_path / name)
    else:
        paint(tmp_path / name, mode, (20, 20), level)
    values = read_folder(tmp_path).values
    # A level of 16 bits is rounded to one of 8.
    assert int((values.int() - expected).abs().max()) <= 1


def test_sizes_are_brought_to_one(tmp_path: Path) -> None:
    paint(tmp_path / "large.png", size=(300, 100))
    paint(tmp_path / "small.png", size=(18, 90))
    found = read_folder(tmp_path, size=32)
    assert found.shape == (3, 32, 32)
    assert any("shorter side of 32 pixels" in note for note in found.notes)
    assert any("1 of 2 images are smaller than 32 pixels" in note for note in found.notes)


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    values = read_folder(tmp_path).values
    assert int(values[0, :, :8].max()) == 0


def test_unreadable_files_are_listed_with_a_reason_and_left_out(tmp_path: Path) -> None:
    good = paint(tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.png").write_text("hello")
    found = read_folder(tmp_path)
    assert found.files == ("good.png",)
    assert sorted(name for name, _ in found.skipped) == ["cut.png", "empty.png", "text.jpg"]
    assert all(reason for _, reason in found.skipped)
    assert any("1 other file was left alone: notes.txt" in note for note in found.notes)


def test_a_picture_of_absurd_size_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "a.png")
    paint(tmp_path / "bomb.png", size=(200, 200))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    assert [name for name, _ in read_folder(tmp_path).skipped] == ["bomb.png"]


def test_series_of_several_kinds(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.arange(2 * 20 * 2).reshape(2, 20, 2))
    np.save(tmp_path / "one.npy", np.zeros((45, 2)))
    lines = ["time,a,b", *(f"{t},{t / 2},{-t}" for t in range(20))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    (tmp_path / "semicolon.csv").write_text("\n".join(f"{t};0" for t in range(20)))
    found = read_folder(tmp_path)
    assert found.kind == "series"
    assert found.shape == (2, 20)
    assert found.files == ("many.npy#0", "many.npy#1", "one.npy", "one.npy", "semicolon.csv", "table.csv")
    assert found.starts == (0, 0, 0, 20, 0, 0)
    assert torch.equal(found.take(torch.tensor([5]))[0, 1], -torch.arange(20.0))
    assert any("'time'" in note for note in found.notes)
    assert any("windows of 20 steps" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad.npy", b"hello", "could not be read"),
        ("nothing.npy", b"", "No data left"),
        ("none.npy", np.zeros((0, 30, 1)), "holds no numbers"),
        ("large.npy", np.full(30, 1e300), "30 of its 30 rows are not finite"),
        ("long.csv", b"1" * 200_000 + b"\n", "field larger than"),
        ("objects.npy", np.array([{}, None]), "could not be read"),
        ("words.npy", np.array(["a", "b"]), "real numbers"),
        ("nan.npy", np.array([[0.0, np.nan]] * 20), "20 of its 20 rows are not finite"),
        ("wide.npy", np.zeros((20, 5)), "has 5 channels, but the others have 1"),
        ("short.npy", np.zeros(7), "has 7 time steps"),
        ("text.csv", b"a,b\n1,x\n", "'x', which is not a number"),
        ("ragged.csv", b"1,2\n1\n", "row 2 has 1 cells"),
        ("empty.csv", b"", "empty"),
        ("head.csv", b"a,b\n", "nothing below"),
    ],
)
def test_series_that_cannot_be_used(name: str, content: bytes | np.ndarray, reason: str, tmp_path: Path) -> None:
    for number in range(2):
        np.save(tmp_path / f"good{number}.npy", np.zeros(30))
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content, allow_pickle=True)
    found = read_folder(tmp_path)
    assert len(found) == 2
    ((skipped, why),) = found.skipped
    assert skipped == name
    assert reason in why


def test_a_folder_without_anything_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no images and no series in it, but nothing"):
        read_folder(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match="1 other file"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="is a file"):
        read_folder(tmp_path / "a.txt")
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"No images in .* can be used, of 1 in all: a.png is not a picture"):
        read_folder(tmp_path)
    with pytest.raises(OptionError, match="at least 16 pixels"):
        read_folder(tmp_path, size=4)
    with pytest.raises(OptionError, match="positive"):
        read_folder(tmp_path, size=-1)
    paint(tmp_path / "b.png")
    with pytest.raises(OptionError, match="1 images of 10,000,000 pixels do not fit into memory"):
        read_folder(tmp_path, size=10_000_000)


def test_runs_in_the_folder_are_left_out(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    run = paint(tmp_path / "runs" / "now" / "figures" / "figure.png").parents[1]
    for name in ("config.json", "environment.json", "status.json"):
        (run / name).write_text("{}")
    found = read_folder(tmp_path)
    assert found.files == ("a.png",)
    assert not any("left alone" in note for note in found.notes)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png", "dogs/3.png"):
        paint(tmp_path / "animals" / name)
    (tmp_path / "animals" / "dogs" / "broken.png").write_text("hello")
    return tmp_path / "animals"


def test_labels_by_file_or_by_folder(animals: Path, tmp_path: Path) -> None:
    found = read_folder(animals)
    labels, classes, _ = read_labels("folders", animals, found)
    assert (labels.tolist(), classes) == ([0, 0, 1, 1], ("cats", "dogs"))
    table = tmp_path / "labels.csv"
    whole = animals / "cats" / "2.png"
    table.write_text(f"file,label\ncats/1.png,10\n{whole},9\n3.png,9\ndogs/broken.png,9\n")
    labels, classes, notes = read_labels(str(table), animals, found)
    assert (labels.tolist(), classes) == ([1, 0, -1, 0], ("9", "10"))
    assert notes == ("1 labels belong to files that could not be used.",)


def test_labels_of_names_with_a_hash_and_of_many_series_in_a_file(tmp_path: Path) -> None:
    for number in range(2):
        paint(tmp_path / "images" / f"a#{number}.png")
        np.save(tmp_path / f"s#{number}.npy", np.zeros((2, 20, 1)))
    table = tmp_path / "labels.txt"
    table.write_text("a#0.png,x\na#1.png,y\n")
    labels, _, _ = read_labels(str(table), tmp_path / "images", read_folder(tmp_path / "images"))
    assert labels.tolist() == [0, 1]
    table.write_text("s#0.npy,x\ns#1.npy,y\n")
    labels, _, _ = read_labels(str(table), tmp_path, read_folder(tmp_path, kind="series"))
    assert labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cats/9.png,a\ndogs/8.png,b\n", "labels 2 files that are not in .*: cats/9.png, dogs/8.png"),
        ("file,label\n1.png,a\n", "1.png"),
        ("cats/1.png,a\ncats/2.png,a\n", "only one class, 'a'"),
        ("cats/1.png,a\ncats/1.png,b\n", "labelled 'b', but it was 'a' before"),
        ("cats/1.png\n", "must be a file and its label"),
        ("a" * 200_000 + ",b\n", "cannot be read .*: they must be CSV, in UTF-8"),
        ("file,label\n", "no label of a file"),
        ("cats/1.png,a\ncats/2.png,b\ndogs/1.png,c\n", "3 files have 3 different labels"),
    ],
)
def test_labels_that_cannot_be_used(text: str, words: str, animals: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=words):
        read_labels(str(table), animals, read_folder(animals))


def test_a_missing_table_of_labels(animals: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_labels(str(animals / "nowhere.csv"), animals, read_folder(animals))


def test_sample_photographs_are_not_written_over_anything(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    with pytest.raises(DataError, match="there already"):
        sample_photos(tmp_path, 24)
    with pytest.raises(OptionError, match="24 to 2000"):
        sample_photos(tmp_path / "new", 3)
    with pytest.raises(DataError, match="there already"):
        sample_motions(tmp_path)


def test_the_command_makes_motions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As far as it goes without a network: a folder in use, and an option that belongs to another."""
    paint(tmp_path / "a.png")
    assert cli.main(["data", "make", "motions", "--out", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["data", "make", "motions", "--count", "5"]) == 2
    assert "has no option --count" in capsys.readouterr().err


@pytest.fixture
def motions(tmp_path: Path) -> Path:
    """Both files of the set in the real format, one series of each activity in each."""
    kinds = ("Standing", "Running", "Walking", "Badminton")
    place = tmp_path / "BasicMotions"
    place.mkdir()
    for start, name in ((0, "TRAIN"), (100, "TEST")):
        lines = [
            ":".join([*(",".join(f"{start + kind + channel / 8}" for _ in range(20)) for channel in range(6)), label])
            for kind, label in enumerate(kinds)
        ]
        heading = ["#Four students wore a watch.", "@problemName BasicMotions", "@dimensions 6", "@data"]
        (place / f"BasicMotions_{name}.ts").write_text("\n".join([*heading, *lines]) + "\n")
    return place


def test_sample_motions_are_read_as_series_with_their_classes(motions: Path, tmp_path: Path) -> None:
    folder = read_folder(sample_motions(tmp_path / "new", motions))
    assert (folder.shape, len(folder), folder.skipped) == ((6, 20), 8, ())
    assert folder.files[:2] == ("badminton/03.csv", "badminton/07.csv")
    assert torch.equal(folder.values[1, :, 0], torch.tensor([103 + channel / 8 for channel in range(6)]))
    _, names, _ = read_labels("folders", tmp_path / "new", folder)
    assert names == ("badminton", "running", "standing", "walking")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("@data\n1,2:3,4:Walking\n", "line 2 is not six channels"),
        ("@data\n1,2:3,4:1,2:3:1,2:3,4:Walking\n", "line 2 is not six channels"),
        ("@data\n1:2:3:x:5:6:Walking\n", "line 2 is not six channels"),
        ("@data\n1:2:3:nan:5:6:Walking\n", "line 2 is not six channels"),
        ("@data\n1:2:3:4:5:6:7\n", "line 2 is not six channels"),
        ("@data\n", "holds no series"),
        ("1:2:3:4:5:6:Walking\n", "holds no series"),
    ],
)
def test_damaged_motions_write_nothing(content: str, words: str, motions: Path, tmp_path: Path) -> None:
    (motions / "BasicMotions_TEST.ts").write_text(content)
    with pytest.raises(DataError, match=rf"BasicMotions_TEST\.ts.* {words}"):
        sample_motions(tmp_path / "new", motions)
    assert not (tmp_path / "new").exists()
