import contextlib
import csv
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import archenc
from archenc.benchmarks import runner, speed, speed_training
from archenc.benchmarks.methods import Method, find_method
from archenc.benchmarks.protocol import load_protocol
from archenc.benchmarks.reports.report import write_report
from archenc.benchmarks.runner import Encodings
from archenc.benchmarks.runs import Run, leaderboards, read_run, read_runs, rows_of, run_id, run_key
from archenc.commands.app import main
from archenc.dataset import ArchDataset
from archenc.dataset.splits import halves
from archenc.encoder import Encoder
from archenc.errors import CorruptFile, DataNotFound, InvalidTable
from archenc.files.documents import plain_values
from archenc.graphs import ArchGraphs
from archenc.metrics import evaluate
from archenc.registry import DATASETS
from tests.benchmarks.made_up import forced, made_up_run, shown_on_page


@pytest.fixture
def bench(protocol_file: Path, tmp_path: Path):
    """Run the tiny protocol from the command line into ``tmp_path/runs``."""
    runs = tmp_path / "runs"

    def call(*options: str) -> int:
        return main(["bench", "run", str(protocol_file), "--runs", str(runs), *options])

    call.runs = runs
    call.protocol = load_protocol(str(protocol_file))
    return call


def states(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_run_is_what_the_library_computes_by_hand(bench) -> None:
    assert bench("--methods", "op-count+ridge+mse", "--sizes", "8", "--seeds", "1") == 0
    (run,) = read_runs(bench.runs)
    data = archenc.load_dataset("tiny")
    split = halves(data.labelled_rows(), seed=0)
    train = data[split.training_subset(8, 1)]
    predictor = archenc.Predictor("op-count", "ridge", "mse", random_state=1).fit(train.graphs, train.y)
    expected = evaluate(
        data.y[split.test], predictor.predict(data.graphs[split.test]), ["kendall_tau", "regret@1"]
    )
    assert run.metrics == pytest.approx(expected)
    assert run.split.digest == split.digest
    assert run.dataset.digest == data.digest
    assert run.command.endswith("--methods op-count+ridge+mse --sizes 8")
    assert {"python", "torch", "numpy", "scikit-learn"} <= set(run.versions)
    assert set(plain_values(run.machine)) == {"cpu", "cores", "threads"}


@pytest.mark.parametrize("method", ["graf+ridge+mse", "graf+mlp+hinge"])
def test_a_test_set_is_encoded_once(bench, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """And not for every seed, size and epoch; the runs are those of encoding it each time."""
    encoded = []
    plain = Encoder.encode

    def counted(encoder: Encoder, graphs: ArchGraphs, *arguments: int) -> np.ndarray:
        encoded.append(len(graphs))
        return plain(encoder, graphs, *arguments)

    monkeypatch.setattr(Encoder, "encode", counted)
    metrics, test = {}, len(halves(archenc.load_dataset("tiny").labelled_rows(), seed=0).test)
    for most_bytes in (2**20, 0):
        encoded.clear()
        monkeypatch.setattr(runner, "ENCODINGS", Encodings(most_bytes))
        assert bench("--methods", method, "--sizes", "8,12", "--seeds", "0,1", "--force") == 0
        metrics[most_bytes] = [run.metrics for run in read_runs(bench.runs)], encoded.count(test)
    assert metrics[2**20][0] == metrics[0][0]
    assert metrics[2**20][1] == 1
    assert metrics[0][1] >= 4
    assert runner.ENCODINGS.saved == 0


def test_seeds_beyond_the_subsets_train_again_on_the_same_cells(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def fit_and_predict(method, training_sets, test, last_epochs):
        for training_set in training_sets:
            seen[training_set.seed] = (training_set.graphs.ops, training_set.y.tolist())
            yield runner.Outcome([np.arange(len(test), dtype=float)], 1.0, 0.5, 0.9)

    monkeypatch.setattr(runner, "fit_and_predict", fit_and_predict)
    path = bench.runs.parent / "tiny.yaml"
    path.write_text(path.read_text() + "subsets: 2\n")
    assert bench("--methods", "op-count+ridge+mse", "--sizes", "8", "--seeds", "0,1,2,3") == 0
    data = archenc.load_dataset("tiny")
    split = halves(data.labelled_rows(), seed=0)
    for seed in range(4):
        rows = split.training_subset(8, seed % 2)
        assert seen[seed][0].equal(data.graphs[rows].ops)
        assert seen[seed][1] == data.y[rows].tolist()
    assert len({run.run for run in read_runs(bench.runs)}) == 4
    assert all(run.key.protocol.subsets == 2 for run in read_runs(bench.runs))


def test_another_label_can_be_scored(bench, tiny: None) -> None:
    data = load_two_labels()
    DATASETS.register("two-labels", load_two_labels)
    try:
        path = bench.runs.parent / "tiny.yaml"
        text = (
            path.read_text()
            .replace("dataset: tiny", "dataset: two-labels")
            .replace("kind: halves", "kind: all")
            .replace("  seed: 0\n", "")
        )
        path.write_text(text + "test_label: toy/test_accuracy\n")
        assert bench("--methods", "op-count+ridge+mse", "--sizes", "16", "--seeds", "0") == 0
    finally:
        DATASETS.unregister("two-labels")
    (run,) = read_runs(bench.runs)
    train = data[np.random.RandomState(0).permutation(60)[:16]]
    scores = (
        archenc.Predictor("op-count", "ridge", "mse", random_state=0)
        .fit(train.graphs, train.y)
        .predict(data.graphs)
    )
    expected = evaluate(data.labels["toy/test_accuracy"], scores, ["kendall_tau", "regret@1"])
    assert run.metrics == pytest.approx(expected)
    assert (run.split.name, run.split.pool, run.split.test) == ("all", 60, 60)
    assert run.dataset.test_digest == data.with_label("toy/test_accuracy").digest
    changed = forced(run, {"dataset": {"test_digest": "other"}})
    with pytest.raises(InvalidTable, match="different data"):
        rows_of([run, changed])


def load_two_labels() -> ArchDataset:
    tiny = archenc.load_dataset("tiny")
    other = tiny.y + 20 * np.random.default_rng(5).normal(size=len(tiny))
    return replace(tiny, name="two-labels", labels={**tiny.labels, "toy/test_accuracy": other})


def test_a_run_is_named_by_all_it_depends_on(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("gates+mlp+hinge", {})
    ids = [
        run_id(run_key(bench.protocol, method, 8, 0)),
        run_id(run_key(bench.protocol, method, 8, 1)),
        run_id(run_key(bench.protocol, method, 9, 0)),
        run_id(run_key(bench.protocol, find_method("gates+mlp+hinge:simplify", {}), 8, 0)),
        run_id(
            run_key(
                bench.protocol,
                Method("gates+mlp+hinge", "gates", "mlp", "hinge", parameters={"epochs": 5}),
                8,
                0,
            )
        ),
    ]
    monkeypatch.setattr(archenc, "__version__", "9.9.9")
    ids.append(run_id(run_key(bench.protocol, method, 8, 0)))
    assert len(set(ids)) == 6
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in ids)


def test_only_what_is_missing_or_damaged_is_computed(bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench() == 0
    before = states(bench.runs)
    assert len(before) == 8
    contents = {name: (bench.runs / name).read_text() for name in before}
    assert bench() == 0
    assert states(bench.runs) == before

    deleted, truncated, edited = sorted(before)[:3]
    (bench.runs / deleted).unlink()
    (bench.runs / truncated).write_text(contents[truncated][:200])
    (bench.runs / edited).write_text(
        contents[edited].replace('"size": 8', '"size": 7').replace('"size": 16', '"size": 15')
    )
    capsys.readouterr()
    assert bench() == 0
    *warnings, forecast = capsys.readouterr().err.splitlines()
    assert forecast.startswith("archenc: 8 runs, 5 of them finished; the other 3")
    assert len(warnings) == 2
    assert all(line.startswith("archenc: warning: the run file") for line in warnings)
    after = states(bench.runs)
    assert {name for name in before if before[name] != after[name]} == {deleted, truncated, edited}
    for name in (deleted, truncated, edited):
        assert read_run(bench.runs / name).metrics == json.loads(contents[name])["metrics"]

    assert bench("--force") == 0
    assert all(states(bench.runs)[name] != after[name] for name in after)


def test_a_failing_method_does_not_stop_the_others(bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        bench("--methods", "op-count+ridge+hinge,op-count+ridge+mse", "--sizes", "8,31", "--seeds", "0,1")
        == 1
    )
    captured = capsys.readouterr()
    assert len(list(bench.runs.iterdir())) == 2
    assert "op-count+ridge+mse" in captured.out
    lines = captured.err.splitlines()
    assert any("op-count+ridge+hinge" in line and "seed 0, 1" in line for line in lines)
    assert any("31 cannot be drawn from a pool of 30" in line for line in lines)
    assert "Traceback" not in captured.err


def test_one_failing_seed_loses_only_itself(
    bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit_and_predict(method, training_sets, test, last_epochs):
        for training_set in training_sets:
            if training_set.seed == 1:
                raise ZeroDivisionError("seed 1\nis unlucky")
            yield runner.Outcome([np.arange(len(test), dtype=float)], 1.0, 0.5, 0.9)

    monkeypatch.setattr(runner, "fit_and_predict", fit_and_predict)
    assert bench("--methods", "op-count+ridge+mse", "--sizes", "8", "--seeds", "0,1,2") == 1
    assert sorted(run.key.seed for run in read_runs(bench.runs)) == [0, 2]
    assert "(size 8; seed 1): ZeroDivisionError: seed 1 is unlucky" in capsys.readouterr().err


@pytest.mark.parametrize(("selection", "averaged"), [("last_epoch", 1), ("mean_last_5_epochs", 5)])
def test_metrics_are_averaged_over_the_last_epochs(
    bench, monkeypatch: pytest.MonkeyPatch, selection: str, averaged: int
) -> None:
    class Stub:
        """Ranks perfectly after even epochs and in reverse after odd ones."""

        epochs, encoder_ = 8, SimpleNamespace(fixed=False)
        calibrated = False

        def fit(self, graphs, y, on_epoch_end):
            for epoch in range(1, self.epochs + 1):
                self.epoch = epoch
                on_epoch_end(epoch, self)
            return self

        def predict(self, graphs):
            y = data.y[split.test]
            return y if self.epoch % 2 == 0 else -y

    data = archenc.load_dataset("tiny")
    split = halves(data.labelled_rows(), seed=0)
    monkeypatch.setattr(Method, "predictor", lambda self, seed: Stub())
    path = bench.runs.parent / "tiny.yaml"
    path.write_text(path.read_text().replace("last_epoch", selection))
    assert bench("--methods", "op-count+ridge+mse", "--sizes", "8", "--seeds", "0") == 0
    (run,) = read_runs(bench.runs)
    assert run.epochs_averaged == averaged
    assert run.metrics["kendall_tau"] == pytest.approx(1.0 if averaged == 1 else (3 - 2) / 5)  # epochs 4 to 8


def test_calibrated_predictions_and_deviations_come_from_one_call(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archenc.load_dataset("tiny")
    y = data.y[halves(data.labelled_rows(), seed=0).test]
    asked = []

    class Stub:
        epochs, calibrated, encoder_ = 1, True, SimpleNamespace(fixed=False)

        def fit(self, graphs, y, on_epoch_end):
            return self

        def predict(self, graphs, return_std=False):
            asked.append(return_std)
            return y + 1.0, np.where(np.arange(len(y)) < 6, 1.0, 0.5)

    monkeypatch.setattr(Method, "predictor", lambda self, seed: Stub())
    assert bench("--methods", "op-count+ridge+mse", "--sizes", "8", "--seeds", "0") == 0
    (run,) = read_runs(bench.runs)
    assert asked == [True]
    assert run.metrics["kendall_tau"] == 1.0
    assert run.coverage == pytest.approx(6 / 30), (
        "the interval of 80 percent is 1.28 deviations wide on either side"
    )


def test_kill_loses_nothing_that_was_finished(bench, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent("""
        import importlib.util, sys, time
        spec = importlib.util.spec_from_file_location("helper", sys.argv[1])
        helper = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(helper)
        from archenc.benchmarks import runner
        from archenc.commands.app import main
        from archenc.registry import DATASETS

        DATASETS.register("tiny", helper.load_tiny)
        real, written = runner.write_json, []

        def write_json(path, value):
            if len(written) == 3:  # in the middle of the fourth run's file
                with runner_files.atomic_write(path) as temporary:
                    temporary.write_text('{"half": ')
                    print("writing", flush=True)
                    time.sleep(600)
            written.append(path)
            real(path, value)

        import archenc.files.trusted as runner_files
        runner.write_json = write_json
        main(sys.argv[2:])
    """)
    )
    command = [
        sys.executable,
        str(script),
        str(Path(__file__).with_name("conftest.py")),
        "bench",
        "run",
        str(tmp_path / "tiny.yaml"),
    ]
    child = subprocess.Popen([*command, "--runs", str(bench.runs)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "writing\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    finished = {path.name: path.stat().st_mtime_ns for path in bench.runs.glob("[0-9a-f]*.json")}
    assert len(finished) == 3
    assert len(read_runs(bench.runs)) == 3
    assert bench() == 0
    assert len(read_runs(bench.runs)) == 8
    assert {name: states(bench.runs)[name] for name in finished} == finished


@pytest.mark.slow
def test_workers_end_with_their_parent(bench, tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(
        textwrap.dedent("""
        import importlib.util, os, sys, time
        spec = importlib.util.spec_from_file_location("helper", sys.argv[1])
        helper = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(helper)
        from archenc.benchmarks import runner
        from archenc.commands.app import main
        from archenc.registry import DATASETS

        def fit_and_predict(*arguments):
            os.write(1, b"%d\\n" % os.getpid())
            time.sleep(600)

        DATASETS.register("tiny", helper.load_tiny)  # in the workers, too, which import this script
        runner.fit_and_predict = fit_and_predict
        if __name__ == "__main__":
            main(sys.argv[2:])
    """)
    )
    command = [
        sys.executable,
        str(script),
        str(Path(__file__).with_name("conftest.py")),
        "bench",
        "run",
        str(tmp_path / "tiny.yaml"),
    ]
    parent = subprocess.Popen(
        [*command, "--runs", str(bench.runs), "--jobs", "2"], stdout=subprocess.PIPE, text=True
    )
    workers = []
    try:
        workers += [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(signal.SIGKILL)
        parent.communicate(timeout=60)  # returns when nobody is left who could write to the pipe
    finally:
        parent.kill()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    assert parent.pid not in workers


def test_a_full_disk_is_one_sentence(
    bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_json(path, value):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(runner, "write_json", write_json)
    assert bench() == 2
    _forecast, error = capsys.readouterr().err.splitlines()
    assert error.startswith("archenc: error: ")


def test_ctrl_c(bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fit_and_predict(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "fit_and_predict", fit_and_predict)
    assert bench() == 130
    assert capsys.readouterr().err.endswith("\narchenc: interrupted; what was finished is kept\n")


def test_two_processes_give_the_same_runs(tmp_path: Path) -> None:
    try:
        archenc.load_dataset("nasbench201-analog")
    except DataNotFound as reason:
        pytest.skip(str(reason))
    options = ["--methods", "op-count+ridge+mse,adjacency+ridge+mse", "--sizes", "39", "--seeds", "0,1"]
    for jobs in ("1", "2"):
        assert (
            main(
                [
                    "bench",
                    "run",
                    "nasbench201-analog",
                    *options,
                    "--jobs",
                    jobs,
                    "--runs",
                    str(tmp_path / jobs),
                ]
            )
            == 0
        )
    one, two = ({run.run: run for run in read_runs(tmp_path / jobs)} for jobs in ("1", "2"))
    assert len(one) == 4
    assert one.keys() == two.keys()
    assert all(one[name].metrics == pytest.approx(two[name].metrics) for name in one)
    assert all(run.machine.threads == 1 for run in two.values())


# -- tables --------------------------------------------------------------------------------------------------


def stub_run(bench, name: str, size: int, seed: int, tau: float | None, digest: str = "d") -> Run:
    return made_up_run(
        run_key(bench.protocol, find_method(name, {}), size, seed),
        {metric: tau if metric == "kendall_tau" else 1.0 for metric in bench.protocol.metrics},
        dataset={"architectures": 60, "digest": digest * 64, "duplicates": "unknown"},
        seconds={"fit": 1.0 + seed, "predict": 0.25},
        command=f"archenc bench run tiny.yaml --methods {name} --sizes {size}",
    )


def test_means_and_deviations_by_hand(bench) -> None:
    runs = [stub_run(bench, "path+gp+mse", 8, seed, tau) for seed, tau in enumerate([0.5, 0.6, 0.1])]
    (row,) = rows_of(reversed(runs))
    assert row.mean("kendall_tau") == pytest.approx(0.4)
    assert row.std("kendall_tau") == pytest.approx(math.sqrt((0.01 + 0.04 + 0.09) / 2))
    assert row.seconds("fit") == pytest.approx(2.0)
    assert row.seeds == (0, 1, 2)
    assert row.command.endswith("--sizes 8 --seeds 0,1,2")
    (single,) = rows_of(runs[:1])
    assert math.isnan(single.std("kendall_tau"))


def test_methods_are_ordered_at_the_largest_common_size(bench) -> None:
    board = [
        stub_run(bench, "path+gp+mse", 8, 0, 0.9),
        stub_run(bench, "path+gp+mse", 16, 0, 0.1),
        stub_run(bench, "op-count+ridge+mse", 8, 0, 0.5),
        stub_run(bench, "op-count+gp+mse", 8, 0, None),
    ]
    assert leaderboards(board)[0].methods == ["path+gp+mse", "op-count+ridge+mse", "op-count+gp+mse"]
    board.append(stub_run(bench, "op-count+ridge+mse", 16, 0, 0.3))
    assert leaderboards(board[:2] + board[4:])[0].methods == ["op-count+ridge+mse", "path+gp+mse"]


def test_smaller_is_better_for_regret(bench) -> None:
    path = bench.runs.parent / "tiny.yaml"
    path.write_text(path.read_text().replace("- kendall_tau\n- regret@1", "- regret@1"))
    bench.protocol = load_protocol(str(path))
    regrets = {"path+gp+mse": 2.0, "mlp+mlp+mse": 1.0}
    runs = [
        forced(stub_run(bench, name, 8, 0, 0.0), {"metrics": {"regret@1": r}}) for name, r in regrets.items()
    ]
    assert leaderboards(runs)[0].methods == ["mlp+mlp+mse", "path+gp+mse"]


def test_runs_that_do_not_belong_together_are_refused(bench) -> None:
    runs = [stub_run(bench, "path+gp+mse", 8, 0, 0.1), stub_run(bench, "path+gp+mse", 8, 1, 0.1, digest="e")]
    with pytest.raises(InvalidTable, match="different data"):
        rows_of(runs)
    same_name = forced(stub_run(bench, "path+gp+mse", 8, 1, 0.1), {"key": {"method": {"epochs": 3}}})
    with pytest.raises(InvalidTable, match="two different methods"):
        rows_of([runs[0], same_name])


def test_the_report_agrees_with_the_runs(bench, tmp_path: Path) -> None:
    assert bench() == 0
    out = tmp_path / "report"
    assert main(["bench", "report", str(bench.runs), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "leaderboard.csv",
        "overview.csv",
        "leaderboard.md",
        "runs.csv",
        "index.html",
        f"tiny-v1-archenc-{archenc.__version__}.svg",
    }
    runs = read_runs(bench.runs)
    with (out / "leaderboard.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 4
    for line in lines:
        values = [
            run.metrics["kendall_tau"]
            for run in runs
            if run.key.method.name == line["method"] and run.key.size == int(line["size"])
        ]
        assert float(line["kendall_tau_mean"]) == pytest.approx(np.mean(values), abs=1e-6)
        assert float(line["kendall_tau_std"]) == pytest.approx(np.std(values, ddof=1), abs=1e-6)
        assert (line["runs"], line["seeds"], line["simplify"]) == (
            "2",
            "0 1",
            str(line["method"].endswith(":simplify")),
        )
    with (out / "runs.csv").open() as stream:
        assert {line["run"]: float(line["kendall_tau"]) for line in csv.DictReader(stream)} == pytest.approx(
            {run.run: run.metrics["kendall_tau"] for run in runs}, abs=1e-6
        )

    for line in lines:
        expected = f"{float(line['kendall_tau_mean']):.3f} ± {float(line['kendall_tau_std']):.3f}"
        assert f"{expected} (2)" in (out / "leaderboard.md").read_text()
    page = shown_on_page(out / "index.html")
    for name in ("leaderboard", "overview"):
        assert page["results" if name == "leaderboard" else name] == (out / f"{name}.csv").read_text()
    for fact in ("toy/accuracy", "halves-0", "0, 1"):
        assert fact in str(page["boards"]["tiny"]["facts"])

    again = tmp_path / "again"
    write_report(list(reversed(runs)), again)
    for path in out.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), (
            f"{path.name} depends on more than the runs"
        )


def test_names_cannot_inject_markup(bench, tmp_path: Path) -> None:
    run = stub_run(bench, "path+gp+mse", 8, 0, 0.1)
    named = forced(run, {"key": {"method": {"name": "<script>alert(1)</script>"}}})
    write_report([named], tmp_path / "out")
    assert "<script>alert" not in (tmp_path / "out" / "index.html").read_text()
    assert "<script>alert(1)</script>" in shown_on_page(tmp_path / "out" / "index.html")["methods"]


def test_a_report_of_damaged_or_missing_runs_is_refused(bench, tmp_path: Path) -> None:
    with pytest.raises(DataNotFound):
        read_runs(tmp_path / "nowhere")
    assert bench("--sizes", "8", "--seeds", "0") == 0
    path = next(bench.runs.iterdir())
    run = json.loads(path.read_text())
    run["metrics"]["kendall_tau"] = "high"
    path.write_text(json.dumps(run))
    with pytest.raises(CorruptFile, match="damaged or was edited"):
        read_runs(bench.runs)
    path.rename(path.with_name("0123456789abcdef.json"))
    with pytest.raises(CorruptFile):
        read_runs(bench.runs)
    assert main(["bench", "report", str(bench.runs), "--out", str(tmp_path / "report")]) == 2
    assert not (tmp_path / "report").exists()


def test_speed_is_measured_of_the_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast it was is no matter of a test."""
    monkeypatch.setattr(speed, "MOST_PLAIN", 20)
    graphs = speed.full_cells(speed.NASBench101(), 50)
    assert graphs.mask.all()
    rows = [speed.measure(task, graphs, rounds=1) for task in speed.tasks(graphs.space)]
    assert {row.name: row.same for row in rows} == dict.fromkeys(
        ["hash", "read", "write", "to_pyg", "path", "graf", "wl"], True
    ) | {"graf-plus": None, "adjacency": None}
    assert all(row.cells == 50 and row.rate > 0 and (row.ratio is None) == (row.same is None) for row in rows)


def test_speed_notices_other_results() -> None:
    graphs = speed.full_cells(speed.NASBench101(), 5)
    task = speed.Task("ops", lambda given, _: given.ops.tolist(), lambda cell: len(cell.ops), len)
    assert speed.measure(task, graphs, rounds=2).same
    assert not speed.measure(task._replace(item=lambda ops: len(ops) + 1), graphs, rounds=2).same


def test_the_plain_gates_is_the_same_gates() -> None:
    space = speed.NASBench101()
    rows = [
        *speed_training.steps(space.sample(60, 0), (5, 40), 2),
        speed_training.scoring(space.sample(30, 1)),
    ]
    assert [row.same for row in rows] == [True] * 3


def test_speed_by_nodes_covers_every_encoder() -> None:
    table = speed.by_nodes([7, 9], graphs=2)
    assert list(table) == archenc.list_encoders()
    assert {len(row) for row in table.values()} == {2}
    assert table["linegraph-gcn"] == [None, None]
    assert None not in table["gates"]


def test_speed_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "MOST_PLAIN", 5)
    monkeypatch.setattr(speed, "start_up", lambda: {"python": 0.25})
    monkeypatch.setattr(
        speed, "by_nodes", lambda nodes: {"mlp": [1.0] * len(nodes), "path": [None] * len(nodes)}
    )
    assert main(["bench", "speed", "--cells", "5,6", "--nodes", "8,9", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: {'cpu': ")
    assert sum(line.startswith("hash") and line.endswith("yes") for line in lines) == 2
    assert "mlp                   1.00     1.00" in lines
    assert "python: 0.25 CPU s" in lines
    assert lines[-1].startswith("peak memory: ")
