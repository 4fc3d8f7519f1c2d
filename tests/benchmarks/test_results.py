"""The committed runs, and the pages that show them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from archenc.benchmarks.collected import collect, collected_text
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.next import read_all
from archenc.benchmarks.protocol import list_protocols, load_protocol, read_yaml
from archenc.benchmarks.reports.audits import PAGE, SENTENCES, audit_protocol, audits_yaml
from archenc.benchmarks.reports.audits import line as audit_line
from archenc.benchmarks.reports.pretraining import (
    card_of,
    known_cards,
    masked_markdown,
    quality_markdown,
    read_pretrainings,
    regression_markdown,
)
from archenc.benchmarks.reports.tables import fill_tables, pages
from archenc.benchmarks.runs import leaderboards, read_runs, run_id
from archenc.commands.app import main
from archenc.errors import CorruptFile, DataNotFound, UnknownName
from archenc.files.documents import canonical_json, plain_values
from archenc.files.trusted import write_json
from tests.benchmarks.made_up import made_up_run

ROOT = Path(__file__).parent.parent.parent
RUNS = read_runs(ROOT / "benchmarks" / "results")


def test_every_page_is_what_the_runs_say():
    for path, text in pages(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run make tables"


def test_committed_runs_are_those_that_the_commands_would_make():
    methods, protocols = load_methods(), {name: load_protocol(name) for name in list_protocols()}
    chosen = {name: find_method(name, methods) for name in {run.key.method.name for run in RUNS}}
    for run in RUNS:
        method = chosen[run.key.method.name]
        protocol = protocols[run.key.protocol.name]
        expected = {**plain_values(run.key), "protocol": protocol.setting, "method": method.content}
        assert run_id(expected) == run.run, (
            f"{run.run}: {method.name} or {protocol.name} was changed after it was run"
        )


@pytest.mark.parametrize(
    ("protocol", "method", "runs", "bars"),
    [
        ("nasbench201-cifar10", "gates+mlp+hinge", 3, {78: 0.74, 390: 0.84}),
        ("nasbench101-ta7290", "gates+mlp+hinge", 9, {364: 0.735, 729: 0.755}),
    ],
)
def test_gates_reaches_what_it_is_known_for(protocol, method, runs, bars):
    board = next(board for board in leaderboards(RUNS) if board.setting.name == protocol)
    for size, bar in bars.items():
        row = board.cell(method, size)
        assert row is not None
        assert len(row.runs) == runs
        assert row.mean("kendall_tau") >= bar


def test_a_table_without_runs_is_an_error():
    with pytest.raises(UnknownName):
        fill_tables("<!-- table nowhere -->\n<!-- end -->", leaderboards(RUNS))


def test_the_page_of_audits_names_every_protocol_and_is_up_to_date():
    lines = (ROOT / PAGE).read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| ")][2:]  # below the header
    named = [line.split(" | ")[0].removeprefix("| ") for line in table]
    assert named == list_protocols(), (
        f"{PAGE.name} is out of date: run python -m archenc.benchmarks.reports.audits"
    )
    known = read_yaml(ROOT / SENTENCES)
    assert list(known) == list_protocols()
    for name in list_protocols():
        assert f"- **{name}**: {known[name]['sentence']}." in lines
    try:
        split, found = audit_protocol(load_protocol("nasbench201-analog"))
    except DataNotFound as reason:
        pytest.skip(str(reason))
    assert "| " + " | ".join(audit_line("nasbench201-analog", found)) + " |" in lines
    (again,) = yaml.safe_load(audits_yaml({"nasbench201-analog": (split, found)})).values()
    assert known["nasbench201-analog"] == again


# -- the tables of pretrained encoders -----------------------------------------------------------------------


CARD = {
    "architectures": 100_000,
    "settings": {"encoder": "vgae", "space": {"name": "nasbench201"}, "encoder_params": {}},
    "figures": {"reconstruction_accuracy": 12.345, "validity": 50.0, "uniqueness": 60.0, "loss": 0.1},
    "history": [{}, {}],
    "seconds": {"training": 7.6},
    "machine": {"threads": 2},
}
CATE = CARD | {
    "settings": {"encoder": "cate", "space": {"name": "nasbench101"}, "encoder_params": {"mask": "direct"}},
    "figures": {"masked_accuracy": 40.0, "chance": 30.0},
}
CARDS = [card_of(CARD, "a card"), card_of(CATE, "a card")]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_an_autoencoder_stands_beside_its_published_row():
    ours, published = cells(quality_markdown(CARDS))
    assert ours == [
        "vgae",
        "nasbench201",
        "archenc",
        "100,000",
        "12.35",
        "",
        "",
        "50.00",
        "60.00",
        "",
        "2",
        "8 (2 threads)",
    ]
    assert published[4:9] == ["98.32", "", "", "79.30", "88.42"]


def test_masked_operations_by_what_a_node_sees():
    assert cells(masked_markdown(CARDS)) == [
        ["nasbench101", "direct", "100,000", "40.00", "30.00", "2", "8 (2 threads)"]
    ]


def test_cards_and_reports_of_a_file(tmp_path):
    parts = {name: {"mean": 0.5, "std": 0.1} for name in ("pearson", "rmse")}
    report = {
        "dataset": "d",
        "label": "l",
        "plan": {"training_size": 250},
        "gaussian_process": {"pretrained": parts, "supervised": parts},
        "l2_distance": {"pretrained": {"monotone": True}, "supervised": {"monotone": False}},
    }
    path = tmp_path / "pretraining.json"
    path.write_text(json.dumps({"cards": {"one": CARD}, "reports": {"two": report}}))
    found = read_pretrainings(path)
    cards, lines = known_cards(found.cards), cells(regression_markdown(found.reports))
    assert CARDS[0] in cards
    assert len(cards) > 1, "those of the weights by name are there, too"
    assert [row[:2] for row in lines] == [["two", "pretrained"], ["two", "supervised"]]
    assert lines[0][4:] == ["0.500 ± 0.100", "0.500 ± 0.100", "yes"]


# -- runs joined into one text file for each protocol --------------------------------------------------------


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
