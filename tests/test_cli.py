import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import archenc
import archenc.commands.app
from archenc.commands.app import main
from archenc.dataset import ArchDataset
from archenc.pretraining.weights import read_card
from archenc.registry import DATASETS

GOOD = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
POOR = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def load_small() -> ArchDataset:
    graphs = archenc.create_space("nasbench201").sample(40, seed=1)
    convolution = graphs.space.operations.index("nor_conv_3x3") + 1
    accuracy = 50 + 10.0 * (graphs.ops == convolution).sum((-1, -2)).numpy()
    return ArchDataset(
        "small", graphs, {"toy/accuracy": accuracy, "toy/constant": np.ones(40)}, "toy/accuracy"
    )


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, and a data set called "small"."""
    DATASETS.register("small", load_small)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    DATASETS.unregister("small")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Input files, good and bad, and a fitted predictor, outside the current folder."""
    (tmp_path / "good.txt").write_text(f"{GOOD}\n\n  {POOR}\n")
    (tmp_path / "bad.txt").write_text(f"{GOOD}\n\n|nor_conv~0|\n")
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "good.csv").write_text(f"arch,accuracy\n{POOR},10\n{GOOD},90\n")
    (tmp_path / "column.csv").write_text(f"architecture\n{POOR}\n")
    (tmp_path / "short.csv").write_text(f"accuracy,arch\n10,{POOR}\n20\n")
    (tmp_path / "empty.csv").write_text(f"accuracy,arch\n10,{POOR}\n20,\n")
    (tmp_path / "quote.csv").write_text('arch\n"never closed\n')
    (tmp_path / "good.jsonl").write_text("".join(json.dumps({"arch": arch}) + "\n" for arch in (POOR, GOOD)))
    (tmp_path / "bad.jsonl").write_text(json.dumps({"arch": GOOD}) + "\n{\n")
    (tmp_path / "field.jsonl").write_text(json.dumps({"arch": GOOD}) + "\n" + json.dumps([1]) + "\n")
    (tmp_path / "taken.npz").write_text("precious")
    (tmp_path / "bad.yaml").write_text("name: [\n")
    return tmp_path


def train(out: Path, *options: str) -> int:
    return main(
        [
            "train",
            "--dataset",
            "small",
            "--encoder",
            "op-count",
            "--head",
            "ridge",
            "--loss",
            "mse",
            "--size",
            "12",
            "--out",
            str(out),
            *options,
        ]
    )


MALFORMED = [
    "",
    "--verison",
    "bnech run x",
    "list",
    "list optimisers",
    "list encoders heads",
    "bench",
    "bench run",
    "bench run nasbench201-analogue",
    "bench run ../x.yaml",
    "bench run FILES/bad.yaml",
    "bench run nasbench201-analog --sizes 39,x",
    "bench run nasbench201-analog --sizes 0",
    "bench run nasbench201-analog --seeds -1",
    "bench run nasbench201-analog --seeds=",
    "bench run nasbench201-analog --jobs 0",
    "bench run nasbench201-analog --jobs two",
    "bench run nasbench201-analog --methods gates",
    "bench run nasbench201-analog --methods gatse+mlp+hinge",
    "bench run nasbench201-analog --methods-file FILES/nowhere.yaml",
    "bench run nasbench201-analog --runs FILES/good.txt",
    "bench run nasbench201-analog --engine dask",
    "bench report FILES/nowhere --out report",
    "bench report FILES --out FILES/good.txt",
    "encode --dataset small --encoder path",
    "encode --dataset small --encoder path --out x.txt",
    "encode --dataset small --encoder paht --out x.npz",
    "encode --dataset smal --encoder path --out x.npz",
    "encode --dataset small --encoder path --set cutof=3 --out x.npz",
    "encode --dataset small --encoder path --set cutoff --out x.npz",
    "encode --dataset small --encoder path --set kind=[ --out x.npz",
    "encode --dataset small --encoder path --set kind=2020-01-01 --out x.npz",
    "encode --dataset small --encoder path --set cutoff=3 --set cutoff=4 --out x.npz",
    "encode --dataset small --encoder path --set kind=3 --out x.npz",
    "encode --dataset small --encoder path --out FILES/taken.npz",
    "encode --dataset small --space nasbench201 --encoder path --out x.npz",
    "encode --space nasbench201 --encoder path --out x.npz",
    "encode --space nasbench2001 --input FILES/good.txt --encoder path --out x.npz",
    "encode --space nasbench201 --input FILES/bad.txt --encoder path --out x.npz",
    "encode --space nasbench201 --input FILES/nowhere.txt --encoder path --out x.npz",
    "encode --dataset small --encoder path --out x.npz --seed -1",
    "train --dataset small --size 12",
    "train --dataset small --size 1 --out p",
    "train --dataset small --size 2000 --out p",
    "train --dataset small --label toy/acuracy --size 12 --out p",
    "train --dataset small --size 12 --head ridge --loss hinge --encoder op-count --out p",
    "train --dataset small --size 12 --encoder gates --loss hnige --out p",
    "train --dataset small --size 12 --set epoch=3 --out p",
    "train --dataset small --size 12 --set epochs=many --out p",
    "train --dataset small --size 12 --encoder gates --set loss.margin=wide --out p",
    "train --dataset small --size 12 --loss mse --out p",
    "train --dataset small --size 12 --set body.margin=1 --out p",
    "train --dataset small --size 12 --set encoder_params=1 --out p",
    "train --dataset small --size 12 --encoder op-count --track mlflow --out p",
    "train --dataset small --size 12 --encoder op-count --feature toy/acuracy --out p",
    "train --dataset small --size 12 --encoder gates --feature toy/constant --out p",
    "train --dataset small --size 12 --out FILES",
    "train --dataset small --size 12 --out FILES/good.txt",
    "predict",
    "predict FILES/nowhere --input FILES/good.txt",
    "predict FILES --input FILES/good.txt --out x.txt",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_command_lines(
    line: str, files: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    code = main(line.replace("FILES", str(files)).split())
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("archenc: error: ")
    assert captured.err.count("\n") == 1, captured.err
    assert {path: path.stat().st_mtime_ns for path in files.rglob("*")} == before, "something was written"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bad.txt", "bad.txt, line 3: "),
        ("empty.txt", "holds no architecture"),
        ("latin.txt", "latin.txt, line 1: the text is not UTF-8"),
        ("column.csv", "line 2: there is no architecture in a column 'arch'"),
        ("short.csv", "line 3: 1 fields where the header has 2"),
        ("empty.csv", "line 3: there is no architecture in a column 'arch'"),
        ("quote.csv", "line 2: not valid CSV"),
        ("bad.jsonl", "line 2: this is not valid JSON"),
        ("field.jsonl", "line 2: a JSON list instead of an object"),
        ("nowhere.txt", "nowhere.txt"),
    ],
)
def test_malformed_input_files(name: str, part: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(files / "p") == 0
    capsys.readouterr()
    assert main(["predict", str(files / "p"), "--input", str(files / name), "--out", "ranks.csv"]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1
    assert not Path("ranks.csv").exists()


def test_train_with_another_label_as_side_information(files: Path) -> None:
    assert train(files / "p", "--feature", "toy/constant", "--feature", "toy/accuracy") == 0
    assert archenc.Predictor.load(files / "p").side_.dim == 1  # the constant is of no use


@pytest.mark.parametrize("name", ["good.txt", "good.csv", "good.jsonl"])
def test_train_then_predict(name: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(files / "p", "--seed", "3") == 0
    printed = capsys.readouterr().out
    data = archenc.load_dataset("small")
    split = archenc.dataset.splits.halves(data.labelled_rows(), seed=0)
    predictor = archenc.Predictor.load(files / "p")
    tau = predictor.score(data.graphs[split.test], data.y[split.test])
    assert (
        f"tau {tau:.4f} on 20 held-out architectures (small, toy/accuracy, split halves-0, size 12, seed 3)"
        in printed
    )
    notes = json.loads((files / "p" / "training.json").read_text())
    assert notes["test"]["kendall_tau"] == pytest.approx(tau)
    assert notes["split"]["digest"] == split.digest

    assert main(["predict", str(files / "p"), "--input", str(files / name)]) == 0
    header, *lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header == ["rank", "score", "architecture"]
    assert [(line[0], line[2]) for line in lines] == [("1", GOOD), ("2", POOR)]
    scores = predictor.predict(data.space.parse([GOOD, POOR]))
    assert [float(line[1]) for line in lines] == pytest.approx(list(scores))

    assert main(["predict", str(files / "p"), "--input", str(files / name), "--out", "ranks.csv"]) == 0
    with open("ranks.csv") as stream:
        assert list(csv.reader(stream)) == [header, *lines]


def test_settings_reach_the_predictor(tmp_path: Path) -> None:
    options = [
        "--encoder",
        "path",
        "--head",
        "mlp",
        "--loss",
        "hinge",
        "--simplify",
        "--set",
        "epochs=2",
        "--set",
        "encoder.cutoff=7",
    ]
    assert train(tmp_path / "p", *options, "--set", "loss.margin=0.5", "--track", "jsonl") == 0
    predictor = archenc.Predictor.load(tmp_path / "p")
    assert (predictor.epochs, predictor.encoder_params, predictor.loss_params, predictor.simplify) == (
        2,
        {"cutoff": 7},
        {"margin": 0.5},
        True,
    )
    records = [json.loads(line) for line in (tmp_path / "p" / "tracking.jsonl").read_text().splitlines()]
    assert [record.get("step") for record in records] == [None, 1, 2, 3]


def test_train_chooses_the_parts_itself(tmp_path: Path) -> None:
    assert main(["train", "--dataset", "small", "--size", "12", "--out", str(tmp_path / "p")]) == 0
    predictor = archenc.Predictor.load(tmp_path / "p")
    chosen = archenc.recommend(archenc.load_dataset("small"), 12)
    assert (predictor.encoder, predictor.head, predictor.loss) == (
        chosen["encoder"],
        chosen["head"],
        chosen["loss"],
    )


def test_a_failed_training_leaves_nothing(tmp_path: Path) -> None:
    assert train(tmp_path / "p", "--loss", "hinge", "--track", "jsonl") == 2
    assert not (tmp_path / "p").exists()


def test_encode_writes_what_the_library_gives(files: Path) -> None:
    space = archenc.create_space("nasbench201")
    graphs = space.parse([GOOD, POOR])
    expected = archenc.create_encoder("path", space, cutoff=30).encode(graphs)
    for name in ("e.npz", "e.safetensors"):
        arguments = [
            "encode",
            "--space",
            "nasbench201",
            "--input",
            str(files / "good.txt"),
            "--encoder",
            "path",
            "--set",
            "cutoff=30",
        ]
        assert main([*arguments, "--out", name]) == 0
        assert main([*arguments, "--out", name]) == 2  # not overwritten
        assert main([*arguments, "--out", name, "--force"]) == 0
    with np.load("e.npz", allow_pickle=False) as npz, safe_open("e.safetensors", "numpy") as safetensors:
        for arrays in (npz["encodings"], safetensors.get_tensor("encodings")):
            np.testing.assert_array_equal(arrays, expected)
        for arrays in (npz["hashes"], safetensors.get_tensor("hashes")):
            np.testing.assert_array_equal(arrays, graphs.hash())
        metadata = json.loads(str(npz["metadata"]))
        assert metadata == json.loads(safetensors.metadata()["archenc"])
    assert metadata["parameters"] == {"cutoff": 30}
    assert archenc.spaces.from_config(metadata["space"]) == space
    assert {path.name for path in Path().iterdir()} == {"e.npz", "e.safetensors"}


def test_encode_a_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--dataset", "small", "--encoder", "op-count", "--out", "new/e.npz"]) == 0
    with np.load("new/e.npz", allow_pickle=False) as arrays:
        assert arrays["encodings"].shape[0] == arrays["hashes"].shape[0] == 40
    assert capsys.readouterr().out.startswith("new/e.npz: 40 architectures")


@pytest.mark.parametrize("kind", ["encoders", "heads", "losses", "spaces", "datasets"])
def test_list(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == getattr(archenc, f"list_{kind}")()


def test_version_and_bench_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"archenc {archenc.__version__}\n"
    assert main(["bench", "list"]) == 0
    printed = capsys.readouterr().out
    assert "  nasbench201-analog: " in printed
    assert "  gates+mlp+hinge:simplify\n" in printed


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from archenc.commands.app import main;"
        "codes = [main(['--help']), main(['list', 'encoders']), main(['bench', 'run', '--help']), "
        "main(['suggest', '--help'])];"
        "heavy = {'numpy', 'torch', 'sklearn', 'scipy', 'matplotlib', 'xgboost', 'lightgbm', 'wandb', "
        "'rich'} & set(sys.modules);"
        "sys.exit(f'{codes} {heavy}' if any(codes) or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "What should I train next?" in done.stdout
    shown = [
        line.split()[0]
        for line in done.stdout.partition("Commands:\n")[2].partition("Usage:")[0].splitlines()
        if line[2:3] > " "
    ]
    assert shown[:2] == ["suggest", "rank"]
    assert {"bench", "data", "encode", "list", "predict", "train"} < set(shown)


def test_predict_imports_what_it_needs(tmp_path: Path) -> None:
    space = archenc.create_space("nasbench201")
    graphs = space.sample(20, seed=0)
    predictor = archenc.Predictor("op-count", "ridge", "mse").fit(graphs, np.arange(20.0))
    predictor.save(tmp_path / "predictor")
    cells = tmp_path / "cells.txt"
    cells.write_text("\n".join(space.format(graphs[:2])) + "\n")
    code = (
        "import sys; from archenc.commands.app import main;"
        f"code = main(['predict', {str(tmp_path / 'predictor')!r}, '--input', {str(cells)!r}]);"
        "unused = {'xgboost', 'lightgbm', 'sklearn.linear_model', 'sklearn.ensemble', 'sklearn.metrics', "
        "'sklearn.gaussian_process', 'pandas', 'matplotlib', 'networkx', 'torch_geometric', 'wandb'}"
        " & set(sys.modules);"
        "sys.exit(f'{code} {unused}' if code or unused else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys, archenc.commands.app; sys.exit(archenc.commands.app.main(['list', 'encoders']))"
    done = subprocess.run(
        f'{sys.executable} -c "{code}" | true', shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_traceback(closed: str, files: Path) -> None:
    code = "import sys, archenc.commands.app; sys.exit(archenc.commands.app.main(['list', 'encoders']))"
    done = subprocess.run(
        f'{sys.executable} -c "{code}" {closed}', shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_names_are_no_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    DATASETS.register("\x1b[31mred", load_small)
    try:
        assert main(["list", "datasets"]) == 0
        assert main(["list", "\x1b[31mdata\u202esets\x00"]) == 2
    finally:
        DATASETS.unregister("\x1b[31mred")
    captured = capsys.readouterr()
    assert "\\x1b[31mred\n" in captured.out
    assert captured.err.startswith("archenc: error: there is nothing called")
    assert not {"\x1b", "\u202e", "\x00"} & set(captured.out + captured.err)


def test_ranked_architectures_are_no_formulas(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(files / "p") == 0
    monkeypatch.setattr(
        "archenc.spaces.nasbench201.NASBench201.format", lambda self, graphs: ["=cmd()\x1b[31m", "@x\ny"]
    )
    command = ["predict", str(files / "p"), "--input", str(files / "good.txt")]
    assert main([*command, "--out", "ranks.csv"]) == 0
    capsys.readouterr()
    assert main(command) == 0
    for text, delimiter in ((Path("ranks.csv").read_text(), ","), (capsys.readouterr().out, "\t")):
        header, *rows = csv.reader(text.splitlines(), delimiter=delimiter)
        assert header == ["rank", "score", "architecture"]
        assert sorted(row[2] for row in rows) == ["'=cmd()\\x1b[31m", "'@x\\ny"]
        assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)


def test_a_broken_plug_in_breaks_only_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [
        EntryPoint("broken", "no_such_package.cli:app", "archenc.commands"),
        EntryPoint("bench", "archenc.benchmarks.cli:app", "archenc.commands"),
    ]
    monkeypatch.setattr(archenc.commands.app, "entry_points", lambda group: points)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("\n  bench ") < shown.index("\n  broken "), "commands of other packages come last"
    assert main(["bench", "list"]) == 0
    capsys.readouterr()
    assert main(["broken"]) == 2
    error = capsys.readouterr().err
    assert "no_such_package" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "archenc: interrupted; what was finished is kept\n"),
        (
            OSError(28, "No space left on device", "x.npz"),
            2,
            "archenc: error: x.npz: No space left on device; make room or choose another path\n",
        ),
    ],
)
def test_interrupts_and_full_disks(
    raised: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> list[str]:
        raise raised

    monkeypatch.setitem(archenc.commands.app._LISTS, "encoders", fail)
    assert main(["list", "encoders"]) == code
    assert capsys.readouterr().err == message


def test_pretrain_on_random_architectures_of_a_space(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("archenc.pretraining.PretrainableEncoder.draws", 50)
    command = [
        "pretrain",
        "gae",
        "--space",
        "darts",
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "p"),
        "--set",
        "hidden_dim=8",
    ]
    assert main(command) == 2
    assert "--limit N" in capsys.readouterr().err
    assert main([*command, "--limit", "40", "--dataset", "small"]) == 2
    assert main([*command, "--limit", "40"]) == 0
    assert "40 architectures" in capsys.readouterr().out
    assert read_card(tmp_path / "p")["command"] == (
        "archenc pretrain gae --space darts --limit 40 --epochs 1 --seed 0 --set hidden_dim=8 --out FOLDER"
    )


def test_pretrain_and_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("archenc.pretraining.PretrainableEncoder.draws", 50)
    command = [
        "pretrain",
        "arch2vec",
        "--dataset",
        "small",
        "--limit",
        "30",
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "p"),
    ]
    assert main([*command, "--set", "hidden_dim=8", "--tracker", "jsonl"]) == 0
    said = capsys.readouterr().out
    assert "reconstruction_accuracy" in said
    assert "30 architectures" in said
    assert (tmp_path / "p/tracking.jsonl").is_file()
    assert main([*command, "--set", "hidden_dim=8"]) == 0, "what is finished is only said again"
    assert main(command) == 2
    assert "encoder_params.hidden_dim" in capsys.readouterr().err
