"""The README's examples run and print what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.blocks import assert_command_exists, assert_table, blocks, commands, run

BLOCKS = blocks(Path(__file__).parent.parent / "README.md")
PYTHON = [block.body for block in BLOCKS if block.language == "python"]
TEXT = [block.body for block in BLOCKS if block.language == "text"]
NUMBER = re.compile(r"\d+\.\d+")


def example(words):
    """The one that holds these words, wherever it stands."""
    (found,) = [body for body in PYTHON if words in body]
    return found


def test_fifty_results_become_ten_suggestions(tmp_path, monkeypatch, capsys):
    from archenc.commands.app import main

    monkeypatch.chdir(tmp_path)
    run(PYTHON[0])
    words = next(words for words in commands(BLOCKS) if words[0] == "suggest")
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert_table(printed, TEXT[0])
    printed, expected = printed.splitlines(), TEXT[0].splitlines()
    assert len(printed) == 3 + 10 + 2
    best, told = (float(lines[3].split()[1]) for lines in (printed, expected))
    assert best == pytest.approx(told, abs=0.5)


def test_the_python_example_prints_what_is_printed_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = TEXT[1].splitlines()
    printed = run(PYTHON[1]).splitlines()
    assert len(printed) == len(expected)
    assert (printed[0], printed[-1]) == (expected[0], expected[-1])
    tau, stated = (float(NUMBER.findall(lines[1])[0]) for lines in (printed, expected))
    assert tau == pytest.approx(stated, abs=0.03)  # processors round differently
    assert printed[2].startswith("train this next: |")


def test_the_own_space_example_runs(tmp_path, monkeypatch, capsys):
    assert '"ops":["input"' in run(example("CellSpace("))
    from archenc.commands.app import main

    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(next(block.body for block in BLOCKS if block.language == "yaml"))
    Path("runs.csv").write_text(
        'arch,accuracy\n"{""adjacency"":[[0,1],[0,0]],""ops"":[""input"",""output""]}",1\n'
    )
    assert main(["suggest", "runs.csv", "--space", "mine.yaml"]) == 2
    assert "at least 2 are needed" in capsys.readouterr().err, "the space is read"


def test_the_example_of_architectures_in_many_forms_runs():
    (score,) = map(float, NUMBER.findall(run(example("runs = ["))))
    assert 85 < score < 95


@pytest.mark.slow
def test_the_own_models_example_ranks_real_networks():
    graphs, accuracies, tau = run(example("from_modules(networks")).splitlines()
    assert graphs == "ArchGraphs(operations: 40 architectures, 16 nodes, ops on nodes)"
    low, high = map(float, NUMBER.findall(accuracies))
    assert low < 20 < 75 < high
    assert float(NUMBER.findall(tau)[0]) > 0.4  # both trainings round differently elsewhere


def test_the_example_with_weights_by_name_runs():
    shape, score = run(example("load_pretrained(")).rsplit(maxsplit=1)
    assert shape == "(15625, 16)"
    assert float(score) > 0.4


def test_command_line_examples_name_real_commands(capsys):
    found = commands(BLOCKS)
    assert len(found) >= 8
    for words in found:
        assert_command_exists(words, capsys)
