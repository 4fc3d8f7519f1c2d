"""The README's examples run and print what the README says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
PYTHON = [body for language, body in BLOCKS if language == "python"]
TEXT = [body for language, body in BLOCKS if language == "text"]
NUMBER = re.compile(r"\d+\.\d+")


def example(words):
    """The one that holds these words, wherever it stands."""
    (found,) = [body for body in PYTHON if words in body]
    return found


def run(code):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    return printed.getvalue()


def test_fifty_results_become_ten_suggestions(tmp_path, monkeypatch, capsys):
    from archenc.commands.app import main

    monkeypatch.chdir(tmp_path)
    run(PYTHON[0])
    command = next(
        line
        for language, body in BLOCKS
        if language == "sh"
        for line in body.splitlines()
        if line.startswith("archenc suggest")
    )
    assert main(command.split()[1:]) == 0
    printed, expected = capsys.readouterr().out.splitlines(), TEXT[0].splitlines()
    assert len(printed) == len(expected) == 3 + 10 + 2
    assert printed[2].split() == expected[2].split()
    assert printed[-1] == expected[-1]
    tau, stated = (float(NUMBER.findall(lines[0])[0]) for lines in (printed, expected))
    assert tau == pytest.approx(stated, abs=0.05)  # processors round differently
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
    Path("mine.yaml").write_text(next(body for language, body in BLOCKS if language == "yaml"))
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
    from archenc.commands.app import main

    commands = [
        line.split("#")[0].split()
        for language, body in BLOCKS
        if language == "sh"
        for line in body.splitlines()
    ]
    archenc = [words[1:] for words in commands if words and words[0] == "archenc"]
    assert len(archenc) >= 8
    for words in archenc:
        names = words[:2] if words[0] in ("bench", "data") else words[:1]
        assert main([*names, "--help"]) == 0, words
        options = [word for word in words if word.startswith("--")]
        shown = capsys.readouterr().out
        assert all(option in shown for option in options), words
