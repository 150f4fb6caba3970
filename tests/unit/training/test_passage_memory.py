"""Questions to a memory of passages, and the memory as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.data.documents import Documents, docstrings, read_documents
from lowland.data.self_questions import Question, cloze_questions, heading_questions
from lowland.errors import CheckpointError
from lowland.evaluation.passages import best_threshold, choose, features_of, ranks, refusal_row, retrieval_row
from lowland.training.memory_files import load_memory, write_memory
from lowland.training.passage_memory import MatchSettings, PassageMemory, told, word_table


@pytest.fixture(scope="module")
def documents() -> Documents:
    return docstrings(["json", "logging"])


def test_energies_are_those_that_infer_minimises(documents: Documents) -> None:
    features = features_of(documents)
    table = word_table(documents, features.vocabulary, 8)
    settings = MatchSettings(parts=0.2, share=0.3, hop=0.5)
    memory = PassageMemory(documents, settings, False, table, features=features)
    questions = ["encode an object as JSON", "format a record for output"]
    energies = memory.energies(questions)
    found = ll.infer(memory.energy, x=memory.read(questions), over="z")
    torch.testing.assert_close(found.energy, energies.amin(dim=1))
    assert found.value.argmax(dim=1).tolist() == energies.argmin(dim=1).tolist()
    alone = memory.energies(questions[:1])
    torch.testing.assert_close(alone, energies[:1])


def test_the_look_up_moves_the_question_to_what_is_near(documents: Documents) -> None:
    table = word_table(documents, PassageMemory(documents).features.vocabulary, 8)
    vectors = []
    for hop in (0.0, 0.5, 1.0):
        memory = PassageMemory(documents, MatchSettings(share=0.5, hop=hop), True, table)
        vectors.append(memory.read(["format a record"])["vector"][0])
    assert memory.energy.keys is not None
    nearest = [float((memory.energy.keys @ vector).max()) for vector in vectors]
    assert nearest == sorted(nearest)
    assert nearest[0] < nearest[2]


def test_an_answer_is_a_sentence_with_its_place(tmp_path: Path) -> None:
    text = "# Fruit\nApples grow on trees.\nBananas grow on plants.\n\n# Cars\nCars need roads.\n"
    (tmp_path / "a.md").write_text(text)
    memory = PassageMemory(read_documents(tmp_path))
    answer = memory.ask("Where do bananas grow?")
    assert told(memory, answer).startswith("Bananas grow on plants. (a.md, line 3; energy −".replace("−", "-"))
    assert memory.ask("Quantum?").sentence is None
    memory.threshold = -10.0
    assert memory.ask("Where do bananas grow?").why == "nothing in these documents answers this"
    assert memory.ask("bananas", without=range(len(memory.documents.passages))).sentence is None


def test_one_passage_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Only this.")
    documents = read_documents(tmp_path)
    memory = PassageMemory(documents)
    assert word_table(documents, memory.features.vocabulary) is None
    assert memory.ask("only?").sentence is not None
    assert not heading_questions(documents)


def test_files_bring_back_the_same_memory(documents: Documents, tmp_path: Path) -> None:
    features = PassageMemory(documents).features
    table = word_table(documents, features.vocabulary, 4)
    memory = PassageMemory(documents, MatchSettings(parts=0.1, share=0.2), True, table, -0.5)
    again = load_memory(write_memory(tmp_path / "memory", memory))
    assert torch.equal(again.energies(["format a record"]), memory.energies(["format a record"]))
    assert again.ask("format a record") == memory.ask("format a record")
    assert load_memory(tmp_path).threshold == -0.5
    text = (tmp_path / "memory" / "passages.json").read_text()
    (tmp_path / "memory" / "passages.json").write_text(text.replace("record", "rekord", 1))
    with pytest.raises(CheckpointError, match="damaged"):
        load_memory(tmp_path)
    with pytest.raises(CheckpointError, match="no memory"):
        load_memory(tmp_path / "nowhere")


def test_settings_are_chosen_and_measured(documents: Documents) -> None:
    questions = cloze_questions(documents, torch.Generator().manual_seed(0), 12)
    features = features_of(documents)
    chosen = choose(documents, questions, None, 3, features)
    assert chosen.vectors == chosen.bm25
    assert chosen.whole.share == 0
    assert chosen.whole.support == 3
    memory = PassageMemory(documents, chosen.whole, False, features=features)
    found = ranks(memory.energies([one.text for one in questions]), questions)
    row = retrieval_row(found, [one.group for one in questions])
    assert row["recall 1 low"] <= row["recall 1"] <= row["recall 5"]
    assert row["rank"] == pytest.approx(sum(1 / one for one in found) / len(found))


def test_ranks_of_equal_passages_are_means() -> None:
    one = Question("", "cloze", (0, 3), 0)
    assert ranks(torch.zeros(1, 5), [one]) == [3.0]
    assert ranks(torch.tensor([[5.0, 1.0, 2.0, 3.0, 4.0]]), [one]) == [3.0]


def test_a_threshold_tells_apart() -> None:
    cut = best_threshold([-3.0, -2.0], [-1.0, -0.5])
    assert -2 < cut < -1
    one = Question("", "cloze", (0,), 0, "said")
    row = refusal_row({"with": [-3.0], "without": [-1.0], "sentence": ["said"]}, [one], cut)
    assert (row["answered"], row["refused"], row["sentence"]) == (100, 100, 100)
