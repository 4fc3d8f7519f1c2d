"""Runs joined into one text file for each protocol."""

from __future__ import annotations

import json

import pytest

from archenc.benchmarks.collected import collect, collected_text
from archenc.benchmarks.next import read_all
from archenc.benchmarks.runs import read_runs, run_id
from archenc.commands.app import main
from archenc.errors import CorruptFile, DataNotFound
from archenc.files.documents import canonical_json, plain_values
from archenc.files.trusted import write_json
from tests.benchmarks.made_up import made_up_run

SETTING = {
    "name": "mine",
    "version": 1,
    "dataset": "d",
    "label": "y",
    "split": {"kind": "halves", "seed": 0},
    "selection": "last_epoch",
    "metrics": ["kendall_tau"],
}


def run(method="a", size=10, seed=0, tau=0.5, protocol="mine"):
    key = {
        "protocol": SETTING | {"name": protocol},
        "method": {"name": method, "encoder": "path", "head": "gp", "loss": "mse", "simplify": False},
        "size": size,
        "seed": seed,
        "archenc": "0.1.0",
    }
    return made_up_run(key, {"kendall_tau": tau})


def write(folder, *runs):
    for one in runs:
        write_json(folder / f"{one.run}.json", plain_values(one))
    return folder


def test_one_file_a_protocol_holds_a_run_a_line_in_an_order_of_methods_sizes_and_seeds(tmp_path):
    runs = [run("b"), run(size=100), run(size=20, seed=1), run(size=20), run(protocol="other")]
    written = collect([write(tmp_path / "runs", *runs)], tmp_path / "out")
    assert written == {tmp_path / "out" / "mine.jsonl": 4, tmp_path / "out" / "other.jsonl": 1}
    lines = [json.loads(line) for line in (tmp_path / "out" / "mine.jsonl").read_text().splitlines()]
    keys = [(line["key"]["method"]["name"], line["key"]["size"], line["key"]["seed"]) for line in lines]
    assert keys == [("a", 20, 0), ("a", 20, 1), ("a", 100, 0), ("b", 10, 0)]
    assert {one.run: one for one in read_runs(tmp_path / "out")} == {one.run: one for one in runs}
    assert read_runs(tmp_path / "out" / "other.jsonl") == runs[4:]


def test_a_new_run_is_one_new_line_and_one_made_again_takes_the_place_of_the_old(tmp_path):
    out = tmp_path / "out"
    collect([write(tmp_path / "first", run(seed=0), run(seed=2))], out)
    before = (out / "mine.jsonl").read_text().splitlines()
    collect([write(tmp_path / "second", run(seed=1))], out)
    after = (out / "mine.jsonl").read_text().splitlines()
    assert [after[0], after[2]] == before
    collect([write(tmp_path / "third", run(seed=1, tau=0.75))], out)
    assert [one.metrics["kendall_tau"] for one in read_runs(out)] == [0.5, 0.75, 0.5]


def test_a_run_of_its_own_file_counts_before_a_collected_one(tmp_path):
    collect([write(tmp_path / "runs", run())], tmp_path)
    write(tmp_path / "runs", run(tau=0.9))
    assert [one.metrics["kendall_tau"] for one in read_runs(tmp_path)] == [0.9]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line[:-20], "is not valid JSON"),
        (lambda line: line.replace('"seed":0,"size"', '"seed":5,"size"'), "its name is not that of its key"),
        (lambda line: '{"a": 1}', "names no run"),
        (lambda line: "[1]", "names no run"),
        (lambda line: line.replace('"fit":1.0', '"fit":-1.0'), "fit"),
        (lambda line: line[:-1] + " " * 2**20 + "}", "longer than"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_written(tmp_path, change, words):
    path = tmp_path / "mine.jsonl"
    good = canonical_json(run())
    changed = change(good)
    assert changed != good
    path.write_text(f"{canonical_json(run(seed=1))}\n{changed}\n")
    with pytest.raises(CorruptFile, match=words) as caught:
        read_runs(path)
    assert f"line 2 of {path}" in str(caught.value)
    text = path.read_text()
    with pytest.raises(CorruptFile, match=words):
        collect([write(tmp_path / "runs", run(seed=2))], tmp_path)
    assert path.read_text() == text


def test_runs_of_other_kinds_are_passed_over(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(collected_text([run()]))
    with pytest.raises(DataNotFound, match="no runs of suggestions"):
        read_all(path)


def test_the_command_says_what_it_wrote_and_refuses_a_folder_without_runs(tmp_path, capsys):
    runs = write(tmp_path / "runs", run(), run(seed=1))
    assert main(["bench", "collect", str(runs), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'mine.jsonl'}: 2 runs\n"
    assert (
        main(["bench", "report", str(tmp_path / "out" / "mine.jsonl"), "--out", str(tmp_path / "page")]) == 0
    )
    (tmp_path / "empty").mkdir()
    assert main(["bench", "collect", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert "there are no run files in" in capsys.readouterr().err
    assert main(["bench", "collect", str(runs), "--out", str(tmp_path / "out" / "mine.jsonl")]) == 2


def test_names_of_runs_are_those_of_their_keys():
    assert run().run == run_id(plain_values(run().key))
