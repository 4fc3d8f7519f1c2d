"""The commands suggest and rank, and the loop."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.commands.app import main
from archenc.graphs.hashing import sortable_keys
from archenc.search.suggest import suggest, untrained
from tests.shared import FEW, POOL, SPACE, TRAINED, Y, accuracy, cheap, dominated


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with results and candidates, and a predictor that is fitted in no time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archenc.search.suggest.usual_predictor", cheap)
    write(Path("runs.csv"), TRAINED[:FEW], accuracy=accuracy(TRAINED[:FEW]).tolist(), note=["a, b"] * FEW)
    Path("pool.txt").write_text("\n".join(SPACE.format(POOL[:40])))
    Path("trained.txt").write_text("\n".join(SPACE.format(TRAINED[:FEW])))
    return tmp_path


def write(path, graphs, **columns):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", *columns])
        writer.writerows(zip(graphs.space.format(graphs), *columns.values(), strict=True))


def run(line, capsys, code=0):
    assert main(line.split()) == code, capsys.readouterr().err
    return capsys.readouterr()


def test_the_table_and_the_line_of_honesty(place, capsys):
    printed = run("suggest runs.csv --space nasbench201 --count 4", capsys).out.splitlines()
    assert printed[0] == f"accuracy: op-count+gp+mse on {FEW} labels; how well it ranks was not measured"
    assert printed[2].split() == [
        "rank",
        "predicted",
        "80",
        "%",
        "interval",
        "why",
        "parameters",
        "flops",
        "architecture",
    ]
    assert len(printed) == 3 + 4
    found = suggest(TRAINED[:FEW], Y[:FEW], 4, predictor=cheap())
    for at, line in enumerate(printed[3:]):
        assert line.split()[0] == str(at + 1)
        assert f"predicted best, close to row {found.nearest[at] + 2}  " in line, (
            "rows are those of the file, whose first is the header"
        )
        assert line.endswith(SPACE.format(found.graphs)[at])
        assert f"{SPACE.costs(found.graphs)['flops'][at]:,}" in line


def test_numbers_are_read_as_the_notation_says(place, capsys):
    ours = run("suggest runs.csv --space nasbench201 --count 4", capsys).out
    indices = SPACE.to_index(TRAINED[:FEW])
    Path("numbers.csv").write_text(
        "arch,accuracy\n"
        + "".join(f"{i},{y}\n" for i, y in zip(indices, accuracy(TRAINED[:FEW]), strict=True))
    )
    assert run("suggest numbers.csv --space nasbench201 --notation index --count 4", capsys).out == ours


def test_json_is_all_that_is_printed(place, capsys):
    printed = json.loads(
        run("suggest runs.csv --space nasbench201 --count 3 --json --out next.csv --explore 1", capsys).out
    )
    assert printed["predictors"]["accuracy"]["labels"] == FEW
    assert [record["rank"] for record in printed["suggestions"]] == [1, 2, 3]
    for record in printed["suggestions"]:
        low, high = record["interval_80"]["accuracy"]
        assert low < record["predicted"]["accuracy"] < high
        assert record["why"] == "uncertain"


def test_small_numbers_are_not_rounded_away(place, capsys):
    write(Path("tiny.csv"), TRAINED[:FEW], loss=(accuracy(TRAINED[:FEW]) / 1e9).tolist())
    line = run("suggest tiny.csv --space nasbench201 --count 1", capsys).out.splitlines()[3]
    assert float(line.split()[1]) == pytest.approx(9e-8, rel=0.5)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_loop_appends_results_and_asks_again(place, kind, capsys):
    if kind == "jsonl":
        rows = list(csv.DictReader(Path("runs.csv").read_text().splitlines()))
        Path("runs.jsonl").write_text(
            "".join(json.dumps({**row, "accuracy": float(row["accuracy"])}) + "\n" for row in rows)
        )
    seen = set(sortable_keys(TRAINED[:FEW].hash()))
    for step in range(3):
        run(
            f"suggest runs.{kind} --space nasbench201 --count 10 --out next{step}.{kind} --seed {step}",
            capsys,
        )
        text = Path(f"next{step}.{kind}").read_text()
        if kind == "csv":
            header, *lines = list(csv.reader(text.splitlines()))
            assert header == ["arch", "accuracy", "note"]
            architectures = [line[0] for line in lines]
            assert all(line[1:] == ["", ""] for line in lines)
            results = [
                f"{arch},{value},done\n"
                for arch, value in zip(architectures, accuracy(SPACE.parse(architectures)), strict=True)
            ]
        else:
            rows = [json.loads(line) for line in text.splitlines()]
            assert all(row == {"arch": row["arch"], "accuracy": None, "note": None} for row in rows)
            architectures = [row["arch"] for row in rows]
            values = accuracy(SPACE.parse(architectures)).tolist()
            results = [
                json.dumps({**row, "accuracy": value}) + "\n" for row, value in zip(rows, values, strict=True)
            ]
        classes = set(sortable_keys(SPACE.parse(architectures).hash()))
        assert len(classes) == 10
        assert not classes & seen
        seen |= classes
        with Path(f"runs.{kind}").open("a") as stream:
            stream.writelines(results)
    assert f"on {FEW + 30} labels" in run(f"suggest runs.{kind} --space nasbench201 --count 1", capsys).out


def test_rank_orders_all_that_is_new(place, capsys):
    Path("all.txt").write_text(Path("pool.txt").read_text() + "\n" + Path("trained.txt").read_text())
    printed = run("rank runs.csv --space nasbench201 --candidates all.txt", capsys).out
    assert f"left out: {40 + FEW - len(untrained(POOL[:40], TRAINED[:FEW]))} candidates" in printed
    ranked = [line.split()[-1] for line in printed.splitlines() if line.endswith("|")]
    fresh = POOL[untrained(POOL[:40], TRAINED[:FEW])]
    scores = cheap().fit(TRAINED[:FEW], Y[:FEW]).predict(fresh)
    assert ranked == [SPACE.format(fresh)[at] for at in np.argsort(-scores, kind="stable")]


def test_a_column_can_be_low_and_twins_are_averaged(place, capsys):
    twice = archenc.graphs.concatenate([TRAINED[:FEW], TRAINED[:1]])
    write(Path("twice.csv"), twice, error=[*(100 - Y[:FEW]), 100 - Y[0] + 1], latency=[1.0] * (FEW + 1))
    lowest = json.loads(
        run(
            "suggest twice.csv --space nasbench201 --objective error:min --candidates pool.txt --json", capsys
        ).out
    )
    predicted = [record["predicted"]["error"] for record in lowest["suggestions"]]
    assert predicted == sorted(predicted)
    assert lowest["predictors"]["error"]["labels"] == FEW
    mean = np.concatenate([[100 - Y[0] + 0.5], 100 - Y[1:FEW]])
    found = suggest(TRAINED[:FEW], -mean, 10, candidates=POOL[:40], predictor=cheap())
    assert [record["close_to_row"] for record in lowest["suggestions"]] == (found.nearest + 2).tolist()
    np.testing.assert_allclose(predicted, -found.score, rtol=1e-6)


@pytest.mark.parametrize(
    "objective", ["accuracy:max,params:min", "accuracy,params:min", "accuracy:max,size:min"]
)
def test_a_pareto_set_of_columns_and_costs(place, objective, capsys):
    sizes = SPACE.costs(TRAINED[:FEW])["parameters"].tolist()
    write(Path("both.csv"), TRAINED[:FEW], accuracy=Y[:FEW].tolist(), size=sizes)
    printed = json.loads(
        run(f"suggest both.csv --space nasbench201 --objective {objective} --count 6 --json", capsys).out
    )
    assert list(printed["predictors"]) == (["accuracy", "size"] if "size" in objective else ["accuracy"])
    records = [
        (r["predicted"]["accuracy"], -r["predicted"].get("size", r["parameters"]))
        for r in printed["suggestions"]
    ]
    values = np.array(records)
    assert not any(dominated(values, row) for row in values)
    assert len(np.unique(values[:, 1])) >= 5, "they are spread"


def test_a_data_set_is_a_list_of_candidates(place, capsys):
    archenc.registry.DATASETS.register("few", lambda: archenc.ArchDataset("few", POOL[:30], {}, ""))
    try:
        printed = json.loads(run("suggest runs.csv --dataset few --count 5 --json", capsys).out)
    finally:
        archenc.registry.DATASETS.unregister("few")
    assert {record["architecture"] for record in printed["suggestions"]} <= set(SPACE.format(POOL[:30]))


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_space_of_ones_own_is_a_file(place, suffix, capsys):
    space = archenc.CellSpace("mine", ["conv", "pool", "skip"], op_on="node", max_nodes=4, skip_op="skip")
    graphs = space.enumerate()[:: len(space.enumerate()) // 9]
    Path(f"mine.{suffix}").write_text(json.dumps(space.config()))
    cells = [json.loads(text) for text in space.format(graphs)]
    rows = [
        [json.dumps(cell["adjacency"]), json.dumps(cell["ops"]), 3.0 * cell["ops"].count("conv") + at]
        for at, cell in enumerate(cells)
    ]
    with Path("cells.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["adjacency", "operations", "accuracy"], *rows])
    printed = json.loads(
        run(f"suggest cells.csv --space mine.{suffix} --count 3 --out next.csv --json", capsys).out
    )
    assert all(
        '"conv"' in record["architecture"] and "parameters" not in record for record in printed["suggestions"]
    )
    with Path("next.csv").open() as stream:
        found = [
            {"adjacency": json.loads(r["adjacency"]), "ops": json.loads(r["operations"])}
            for r in csv.DictReader(stream)
        ]
    assert space.format(space.parse(found)) == [record["architecture"] for record in printed["suggestions"]]


@pytest.mark.parametrize("column", ["arch", "model"])
def test_a_folder_of_models(place, column, capsys):
    onnx = pytest.importorskip("onnx")
    nets = place / "nets"
    (nets / "more").mkdir(parents=True)
    for size in range(1, 9):
        value = onnx.helper.make_tensor_value_info
        steps = [
            onnx.helper.make_node("Relu" if at % 2 else "Sigmoid", [f"x{at}"], [f"x{at + 1}"])
            for at in range(size)
        ]
        ends = [[value(f"x{at}", onnx.TensorProto.FLOAT, [1, 4])] for at in (0, size)]
        model = onnx.helper.make_model(
            onnx.helper.make_graph(steps, "net", *ends), opset_imports=[onnx.helper.make_opsetid("", 17)]
        )
        onnx.save(model, nets / ("more" if size > 6 else "") / f"{size}.onnx")
    (nets / "runs.csv").write_text(
        f"{column},accuracy\n" + "".join(f"{size}.onnx,{50 + size}\n" for size in (1, 2, 3, 5))
    )
    run(f"suggest {nets}/runs.csv --models {nets} --count 3 --out next.csv", capsys)
    with Path("next.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert list(found[0]) == [column, "accuracy"]
    assert {row[column] for row in found} < {"4.onnx", "6.onnx", "more/7.onnx", "more/8.onnx"}
    Path("pool.txt").write_text("4.onnx\n1.onnx\n")
    assert "4.onnx" in run(f"rank {nets}/runs.csv --models {nets} --candidates pool.txt", capsys).out
    assert (
        "left out: 1 candidates"
        in run(f"rank {nets}/runs.csv --models {nets} --candidates pool.txt", capsys).out
    )


def test_the_usual_predictor_says_what_it_did_and_warns_where_that_is_nothing(tmp_path, capsys):
    good, random = tmp_path / "good.csv", tmp_path / "random.csv"
    write(good, TRAINED, accuracy=Y.tolist())
    write(random, TRAINED, accuracy=np.random.default_rng(4).random(24).tolist())
    (tmp_path / "pool.txt").write_text("\n".join(SPACE.format(POOL[:20])))
    for file, warned in ((good, False), (random, True)):
        captured = run(
            f"suggest {file} --space nasbench201 --candidates {tmp_path}/pool.txt --count 2", capsys
        )
        assert "on 24 labels; left out in turn: tau " in captured.out
        assert ("archenc: warning: accuracy is predicted no better than by chance" in captured.err) == warned


NONSENSE = {
    "suggest runs.csv": "give one of --space",
    "suggest runs.csv --space nasbench201 --dataset nasbench201-analog": "give one of --space",
    "suggest runs.csv --space nasbench2001": "did you mean 'nasbench201'",
    "suggest runs.csv --space nowhere.json": "nowhere.json",
    "suggest runs.csv --space bad.json": "bad.json",
    "suggest runs.csv --space list.yaml": "list.yaml",
    "suggest runs.csv --space half.json": "the key 'name' is missing",
    "suggest runs.csv --space wrong.json": "operations",
    "suggest runs.csv --dataset nasbench201-analogue": "did you mean 'nasbench201-analog'",
    "suggest runs.csv --models nets": "no ONNX file in nets",
    "suggest runs.csv --space nasbench101": "runs.csv, line 2: ",
    "suggest nowhere.csv --space nasbench201": "nowhere.csv",
    "suggest runs.txt --space nasbench201": "neither CSV nor JSONL",
    "suggest unknown.csv --space nasbench201": "unknown.csv, line 3: ",
    "suggest gap.csv --space nasbench201": "gap.csv, line 4: no number in the column 'accuracy'",
    "suggest nan.csv --space nasbench201": "nan.csv, line 4: no number in the column 'accuracy'",
    "suggest inf.csv --space nasbench201": "inf.csv, line 4: 'inf' in the column 'accuracy'",
    "suggest text.csv --space nasbench201": "no column of numbers",
    "suggest text.csv --space nasbench201 --objective accuracy": "is not a finite number",
    "suggest header.csv --space nasbench201": "has no rows",
    "suggest empty.csv --space nasbench201": "has no rows",
    "suggest empty.jsonl --space nasbench201": "has no rows",
    "suggest one.csv --space nasbench201": "at least 2",
    "suggest same.csv --space nasbench201": "at least 2",
    "suggest two.csv --space nasbench201": "several columns of numbers",
    "suggest runs.csv --space nasbench201 --objective acuracy": "did you mean 'accuracy'",
    "suggest runs.csv --space nasbench201 --objective accuracy:up": "write NAME:max or NAME:min",
    "suggest runs.csv --space nasbench201 --objective accuracy,accuracy:min": "names something twice",
    "suggest runs.csv --space nasbench201 --objective params:min": "names no column",
    "suggest macro.csv --space nasbench-macro --objective accuracy,params:min": "does not say which network",
    "suggest runs.csv --space nasbench201 --count 0": "--count",
    "suggest runs.csv --space nasbench201 --count 20000": "ask for at most",
    "suggest runs.csv --space nasbench201 --explore 1.5": "--explore",
    "suggest runs.csv --space nasbench201 --candidates trained.txt": "only 0 of 12 candidates are left",
    "suggest runs.csv --space nasbench201 --candidates other.txt": "other.txt, line 1: ",
    "suggest runs.csv --space nasbench201 --candidates empty.csv": "holds no architecture",
    "suggest runs.csv --space nasbench201 --candidates pool.txt --count 41": "ask for at most",
    "suggest runs.csv --space nasbench201 --out runs.csv": "already exists",
    "suggest runs.csv --space nasbench201 --out next.txt": "should end in .csv or .jsonl",
    "rank runs.csv --space nasbench201": "--candidates",
    "rank runs.csv --space nasbench201 --candidates trained.txt": "was trained already",
    "rank runs.csv --space nasbench201 --candidates nowhere.txt": "nowhere.txt",
}


@pytest.mark.parametrize("line", NONSENSE)
def test_nonsense_is_one_sentence_and_nothing_is_written(line, place, capsys):
    texts = SPACE.format(TRAINED[:5])
    lines = {"gap": "", "nan": "nan", "inf": "inf"}
    for name, third in lines.items():
        Path(f"{name}.csv").write_text(
            "arch,accuracy\n" + "".join(f"{t},{v}\n" for t, v in zip(texts, [1, 2, third, 4, 5], strict=True))
        )
    Path("text.csv").write_text("arch,accuracy\n" + "".join(f"{text},good\n" for text in texts))
    Path("unknown.csv").write_text(f"arch,accuracy\n{texts[0]},1\n{texts[1].replace('~0', '~9')},2\n")
    Path("header.csv").write_text("arch,accuracy\n")
    Path("empty.csv").write_text("")
    Path("empty.jsonl").write_text("")
    Path("one.csv").write_text(f"arch,accuracy\n{texts[0]},1\n")
    Path("same.csv").write_text(f"arch,accuracy\n{texts[0]},1\n{texts[0]},2\n")
    Path("two.csv").write_text(f"arch,accuracy,loss\n{texts[0]},1,2\n{texts[1]},2,3\n")
    Path("runs.txt").write_text("\n".join(texts))
    macro = archenc.create_space("nasbench-macro")
    write(Path("macro.csv"), macro.sample(3), accuracy=[1, 2, 3])
    Path("other.txt").write_text("\n".join(macro.format(macro.sample(3))))
    Path("bad.json").write_text("{")
    Path("list.yaml").write_text("- 1\n")
    Path("half.json").write_text('{"parameters": {}}')
    Path("wrong.json").write_text(
        '{"name": "cell", "parameters": {"name": "x", "operations": 5, "max_nodes": 4}}'
    )
    Path("nets").mkdir()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    captured = run(f"{line} --json", capsys, code=2)
    assert captured.out == ""
    assert captured.err.startswith("archenc: error: ")
    assert captured.err.count("\n") == 1
    assert NONSENSE[line] in captured.err
    if "--out" not in line:
        run(f"{line} --out next.csv", capsys, code=2)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_strategy_answers_on_the_command_line(tmp_path, capfd) -> None:
    runs = tmp_path / "runs.csv"
    space = archenc.create_space("nasbench201")
    cells = space.sample(30, seed=0)
    costs = space.costs(cells)["flops"]
    lines = [f"{text},{value}" for text, value in zip(space.format(cells), costs, strict=True)]
    runs.write_text("\n".join(["arch,acc", *lines]), "utf-8")
    ask = ["suggest", str(runs), "--space", "nasbench201", "--count", "3"]
    assert main([*ask, "--strategy", "evolution", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["suggestions"]
    assert [each["rank"] for each in found] == [1, 2, 3]
    assert not {each["architecture"] for each in found} & set(space.format(cells))
    out = tmp_path / "next.csv"
    options = ["--strategy", "nsga2", "--objective", "acc:max,params:min", "--out", str(out)]
    assert main([*ask, *options]) == 0
    assert "nsga2, told of" in capfd.readouterr().out
    assert len(out.read_text("utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strategy", "evolutoin"], "did you mean 'evolution'"),
        (["--strategy", "evolution", "--objective", "acc:max,params:min"], "nsga2"),
        (["--strategy", "evolution", "--explore", "0.5"], "--explore"),
        (["--strategy", "random", "--count", "20000"], "ask for at most"),
    ],
)
def test_a_strategy_is_refused_in_one_sentence(options, words, tmp_path, capfd) -> None:
    runs = tmp_path / "runs.csv"
    space = archenc.create_space("nasbench201")
    texts = space.format(space.sample(5, seed=0))
    runs.write_text("\n".join(["arch,acc", *(f"{text},{at}" for at, text in enumerate(texts))]), "utf-8")
    out = tmp_path / "o.csv"
    command = ["suggest", str(runs), "--space", "nasbench201", "--out", str(out), *options]
    assert main(command) == 2
    said = capfd.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1
    assert not out.exists()
