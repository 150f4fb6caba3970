"""Documents of a folder become passages whose sentences know their lines."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from lowland.data.document_text import html_lines, markdown_lines, plain_lines, rst_lines
from lowland.data.documents import MOST, docstrings, passages_of, read_documents
from lowland.data.self_questions import CLOZE, HEADING, cloze_questions, heading_questions, split_questions
from lowland.data.text_features import TextFeatures, words_of
from lowland.errors import DataError, OptionError


def test_a_folder_of_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "a.md").write_text("# One heading\n\nA first sentence. And\na second one.\n")
    (tmp_path / "inside" / "b.rst").write_text("Another heading\n===============\n\nText with ``code``.\n")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"Packed text.\n"))
    (tmp_path / "d.html").write_text("<html><head><title>no</title></head><body><h2>Third</h2><p>Shown text.</body>")
    (tmp_path / "e.txt").write_bytes("Caf\xe9 in Latin-1.".encode("latin-1"))
    (tmp_path / "f.png").write_bytes(b"\x89PNG")
    (tmp_path / "g.txt").write_bytes(b"\x00\x01\x02")
    (tmp_path / "h.txt").write_text("...\n")
    (tmp_path / ".hidden.txt").write_text("Not looked at.")
    found = read_documents(tmp_path)
    assert found.names == ("a.md", "c.txt.gz", "d.html", "e.txt", "inside/b.rst")
    said = {sentence.text: (one.heading, sentence.line) for one in found.passages for sentence in one.sentences}
    assert said == {
        "A first sentence.": ("One heading", 3), "And a second one.": ("One heading", 3), "Packed text.": ("", 1),
        "Shown text.": ("Third", 1), "Café in Latin-1.": ("", 1), "Text with code.": ("Another heading", 4),
    }  # fmt: skip
    assert [name for name, _ in found.skipped] == ["f.png", "g.txt", "h.txt"]
    assert "binary" in found.skipped[1][1]
    assert len(found.notes) == 1


@pytest.mark.parametrize("content", [{}, {"a.png": b"x"}, {"a.txt": b"\x00"}, {"a.txt": b""}])
def test_a_folder_without_a_document_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    for name, payload in content.items():
        (tmp_path / name).write_bytes(payload)
    with pytest.raises(DataError, match="has no document in it"):
        read_documents(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        read_documents(tmp_path / "nowhere")


def test_passages_end_at_headings_and_hold_all_words() -> None:
    text = "# First\n" + "\n\n".join("A sentence of five words. " * 10 for _ in range(6)) + "\n# Second\nShort.\n"
    found = passages_of(markdown_lines(text), document=3, section=7)
    assert {one.document for one in found} == {3}
    assert [one.heading for one in found][-2:] == ["First", "Second"]
    assert found[-1].section == found[0].section + 1
    assert sum(len(one.text.split()) for one in found) == 6 * 50 + 1
    assert max(len(one.text.split()) for one in found) <= MOST


def test_headings_of_each_kind() -> None:
    assert [one.text for one in markdown_lines("Title\n---\n```\n# code\n```") if one.heading] == ["Title"]
    assert not any(one.heading for one in rst_lines("A title that is longer\n===\n"))
    assert [one.number for one in html_lines("<p>one\ntwo</p>\n<h3>three</h3>") if one.text] == [1, 2, 3]
    assert [one.heading for one in plain_lines("Title\n=====")] == [False, False]


def test_docstrings_know_their_lines() -> None:
    found = docstrings(["json"])
    import json.encoder

    lines = Path(json.encoder.__file__).read_text().splitlines()
    document = found.names.index("json/encoder.py")
    some = [one for one in found.passages if one.document == document]
    assert some[0].heading.startswith("Extensible JSON")
    for sentence in (sentence for one in some for sentence in one.sentences):
        assert words_of(sentence.text)[0] in words_of(lines[sentence.line - 1])
    for wrong in ("nowhere", "sys", "os.path", "a b"):
        with pytest.raises(OptionError, match="no installed package"):
            docstrings([wrong])


def test_questions_are_split_by_document_and_lack_their_rarest_words() -> None:
    documents = docstrings(["json", "logging", "email"])
    draw = torch.Generator().manual_seed(0)
    questions = heading_questions(documents) + cloze_questions(documents, draw, 100)
    choosing, test = split_questions(questions, draw, 20)
    assert not {one.group for one in choosing} & {one.group for one in test}
    for kind in (HEADING, CLOZE):
        assert 5 <= sum(one.kind == kind for one in test) <= 20
    for one in questions:
        if one.kind == CLOZE:
            gone = set(words_of(one.sentence)) - set(words_of(one.text))
            assert len(gone) == 3
            assert words_of(one.sentence) != words_of(one.text)
            assert one.sentence in documents.passages[one.passages[0]].text
        else:
            assert {documents.passages[row].heading for row in one.passages} == {one.text}


def test_weights_are_those_of_bm25() -> None:
    """Against the formula, written with loops."""
    texts = [["a", "b", "a", "longer"], ["b", "c"], ["longer", "c", "c", "c", "c"]]
    features = TextFeatures(texts)
    k, b = 1.5, 0.4
    entries = features.entries(k, b)
    mean = sum(map(len, texts)) / 3
    found = {}
    for feature, text, weight in zip(entries.feature.tolist(), entries.text.tolist(), entries.weight, strict=True):
        found[features.vocabulary[feature], text] = float(weight)
    for row, text in enumerate(texts):
        for word in set(text):
            having = sum(word in one for one in texts)
            idf = torch.tensor(1 + (3 - having + 0.5) / (having + 0.5)).log()
            count = text.count(word)
            expected = idf * count * (k + 1) / (count + k * (1 - b + b * len(text) / mean))
            assert found.pop((word, row)) == pytest.approx(float(expected), rel=1e-5)
    assert not found
    with_parts = features.entries(k, b, parts=0.5)
    assert len(with_parts.feature) > len(entries.feature)
    assert bool((with_parts.weight <= with_parts.most[with_parts.feature] + 1e-6).all())
