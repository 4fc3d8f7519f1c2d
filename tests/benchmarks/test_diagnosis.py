"""The diagnosis of estimators, against slow computations by hand."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import archenc
from archenc.benchmarks.diagnosis import (
    Estimator,
    bias,
    diagnose,
    diagnose_all,
    estimators_of,
    given_estimators,
    properties_of,
    read_scores,
)
from archenc.benchmarks.reports.diagnosis import write_diagnosis
from archenc.commands.app import main
from archenc.dataset import ArchDataset
from archenc.errors import CannotWrite, DataNotFound, InvalidParameter, InvalidTable, UnknownName
from archenc.registry import DATASETS
from tests.bad_input import MARKER, assert_harmless_files, refused

N = 60
TARGET = "toy/val_accuracy@90/mean"
NAN = np.nan


def made_up(**more: np.ndarray) -> ArchDataset:
    """Different cells with labels of every kind."""
    space = archenc.create_space("nasbench201")
    graphs = space.enumerate()[np.random.default_rng(3).choice(15_625, N, replace=False)]
    rng = np.random.default_rng(0)
    y = 50 + 5.0 * (graphs.ops == 4).sum((1, 2)).numpy() + rng.normal(size=N)
    early = {f"toy/val_accuracy@12/seed{k}": y / 2 + rng.normal(size=N) * 3 for k in (7, 8, 9)}
    partly = np.where(np.arange(N) < 25, y + rng.normal(size=N), NAN)
    labels = {
        TARGET: y,
        **{f"toy/val_accuracy@90/repeat{k}": y + rng.normal(size=N) for k in range(3)},
        **early,
        "toy/test_accuracy@12/mean": y,
        "toy/train_loss@12/seed7": -y,
        "toy/train_seconds@12/mean": y,
        "toy/zc-own/naswot": partly,
        "toy/mflops": rng.normal(size=N),
        "toy/latency_ms/phone": rng.normal(size=N),
        "other/val_accuracy@12/mean": y,
        "other/zc-own/naswot": y,
    }
    return ArchDataset("made-up", graphs, labels | more, TARGET)


@pytest.fixture
def known():
    DATASETS.register("made-up", made_up)
    yield
    DATASETS.unregister("made-up")


def slow_tau(a, b):
    """Tau-b by its definition, pair by pair."""
    pairs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)]
    both = sum(one * other for one, other in pairs)
    ties = [sum(pair[side] != 0 for pair in pairs) for side in (0, 1)]
    return both / np.sqrt(ties[0] * ties[1])


def slow_rank(values):
    """The mean rank of each value, from 1."""
    return np.array(
        [np.mean([k for k, v in enumerate(sorted(values), start=1) if v == value]) for value in values]
    )


def test_labels_that_estimate_are_found_and_seeds_are_one_estimator():
    found = {each.name: (each.kind, len(each.values)) for each in estimators_of(made_up())}
    assert found == {
        "toy/val_accuracy@90/*": ("repeats", 3),
        "toy/val_accuracy@12/*": ("early", 3),
        "toy/train_loss@12/seed7": ("early", 1),
        "toy/zc-own/naswot": ("zero-cost", 1),
        "toy/mflops": ("size", 1),
        "depth": ("size", 1),
        "computing operations": ("size", 1),
        "parameters": ("size", 1),
    }, "no test accuracy, no seconds, no latency, no other task"
    chosen = estimators_of(made_up(), ["other/val_accuracy@12/mean", "toy/val_accuracy@12/seed7"])
    assert [(each.name, each.kind) for each in chosen if each.kind != "size"] == [
        ("other/val_accuracy@12/mean", "chosen"),
        ("toy/val_accuracy@12/seed7", "chosen"),
    ]
    with pytest.raises(UnknownName, match="naswot"):
        estimators_of(made_up(), ["toy/zc-own/naswott"])


def test_a_single_repeat_of_the_label_says_nothing():
    data = made_up()
    labels = {name: values for name, values in data.labels.items() if name[-7:] not in ("repeat1", "repeat2")}
    assert "repeats" not in {
        each.kind for each in estimators_of(ArchDataset("x", data.graphs, labels, TARGET))
    }


def test_every_number_is_what_a_slow_computation_says():
    data = made_up()
    found = diagnose(data, estimators_of(data))
    assert (found.architectures, found.shared) == (N, 25)
    verdict = next(each for each in found.verdicts if each.estimator.name == "toy/val_accuracy@12/*")
    y, seeds = data.y, verdict.estimator.values
    taus = [slow_tau(y, seed) for seed in seeds]
    assert verdict.tau == pytest.approx(np.mean(taus))
    assert verdict.tau_std == pytest.approx(np.std(taus, ddof=1))
    assert verdict.shared_tau == pytest.approx(np.mean([slow_tau(y[:25], seed[:25]) for seed in seeds]))
    assert verdict.spearman == pytest.approx(
        np.mean([np.corrcoef(slow_rank(y), slow_rank(seed))[0, 1] for seed in seeds])
    )
    best, worst = set(np.argsort(-y)[:3]), set(np.argsort(y)[:3])  # 5 percent of 60
    assert verdict.top == pytest.approx(np.mean([len(best & set(np.argsort(-s)[:3])) / 3 for s in seeds]))
    assert verdict.bottom == pytest.approx(np.mean([len(worst & set(np.argsort(s)[:3])) / 3 for s in seeds]))
    ranks = [[1 + int((y > y[at]).sum()) for at in np.argsort(-seed)[:10]] for seed in seeds]
    assert verdict.best_rank == pytest.approx(np.mean([min(each) for each in ranks]))
    assert verdict.worst_rank == pytest.approx(np.mean([max(each) for each in ranks]))
    assert verdict.agreement == pytest.approx(np.mean([slow_tau(a, b) for a, b in combinations(seeds, 2)]))
    placed = np.array([slow_rank(seed) for seed in seeds]) / N * 100
    assert verdict.rank_std == pytest.approx(placed.std(0, ddof=1).mean())


def test_a_repeat_of_the_label_is_judged_by_the_others():
    data = made_up()
    (verdict,) = (
        each for each in diagnose(data, estimators_of(data)).verdicts if each.estimator.kind == "repeats"
    )
    values = verdict.estimator.values
    rest = [slow_tau(values[[k for k in range(3) if k != at]].mean(0), values[at]) for at in range(3)]
    assert verdict.tau == pytest.approx(np.mean(rest))


def test_an_estimator_is_judged_on_what_it_knows():
    data = made_up()
    verdicts = {each.estimator.name: each for each in diagnose(data, estimators_of(data)).verdicts}
    one = verdicts["toy/zc-own/naswot"]
    assert one.count == 25
    assert one.tau == one.shared_tau == pytest.approx(slow_tau(data.y[:25], one.estimator.values[0][:25]))
    assert np.isnan([one.tau_std, one.agreement, one.rank_std]).all(), "one seed"


def test_what_knows_too_little_is_left_out_and_nothing_at_all_is_an_error():
    data = made_up()
    few = Estimator("few", "given", np.where(np.arange(N) < 19, data.y, NAN)[None])
    names = [each.estimator.name for each in diagnose(data, [few, *estimators_of(data)]).verdicts]
    assert "few" not in names
    refused(lambda: diagnose(data, [few]), InvalidTable, "knows 20 architectures")
    refused(lambda: diagnose(data, []), InvalidTable)


# -- bias ----------------------------------------------------------------------------------------------------


def test_an_estimator_that_likes_size_overestimates_the_large():
    rng = np.random.default_rng(1)
    size, y = rng.integers(0, 9, 300).astype(float), rng.normal(size=300)
    likes, fair, hates = (bias([(y, y + factor * size)], size) for factor in (1.0, 0.0, -1.0))
    assert likes.shift > 0.5
    assert fair.shift == 0 == max(abs(group.shift) for group in fair.groups)
    assert hates.shift < -0.5
    assert [group.shift for group in likes.groups] == sorted(group.shift for group in likes.groups)
    assert likes.label == fair.label == pytest.approx(np.corrcoef(slow_rank(size), slow_rank(y))[0, 1])


def test_groups_split_the_property_and_have_their_own_tau():
    rng = np.random.default_rng(2)
    size, y, score = rng.normal(size=100), rng.normal(size=100), rng.normal(size=100)
    found = bias([(y, score)], size).groups
    assert [group.count for group in found] == [20] * 5
    order = np.argsort(size)
    shift = 100 * (slow_rank(score) - slow_rank(y)) / 100
    for group, at in zip(found, order.reshape(5, 20), strict=True):
        assert (group.low, group.high) == (size[at].min(), size[at].max())
        assert group.shift == pytest.approx(shift[at].mean())
        assert group.tau == pytest.approx(slow_tau(y[at], score[at]))
    halves = bias([(y, score)], (size > 0).astype(float)).groups
    assert [(group.low, group.high) for group in halves] == [(0, 0), (1, 1)]
    assert sum(group.count for group in halves) == 100


def test_properties_are_depth_sizes_and_operations():
    data = made_up()
    found = properties_of(data)
    assert np.array_equal(found["parameters"], data.space.costs(data.graphs)["parameters"])
    assert np.array_equal(found["number of nor_conv_3x3"], (data.graphs.ops == 4).sum((1, 2)).numpy())
    assert set(found) >= {"depth", "computing operations"}
    one = archenc.create_space("nasbench-macro").sample(N)
    labels = {"x/acc": np.arange(N), "x/parameters": np.arange(N) ** 2}
    assert np.array_equal(
        properties_of(ArchDataset("x", one, labels, "x/acc"))["parameters"], labels["x/parameters"]
    ), "a label, where the space counts none"


# -- scores of a file ----------------------------------------------------------------------------------------


def write_scores(path: Path, data: ArchDataset, rows, **columns) -> Path:
    texts = data.space.format(data.graphs)
    lines = [",".join(["arch", *columns])]
    lines += [
        ",".join([texts[row], *(str(values[k]) for values in columns.values())]) for k, row in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_scores_of_a_file_go_to_their_architectures_and_files_are_seeds(tmp_path):
    data, rows = made_up(), np.random.default_rng(0).permutation(N)[:30]
    first = write_scores(
        tmp_path / "a.csv", data, rows, own=rows * 2.0, empty=["", "inf", "nan", *[0.5] * 27]
    )
    second = write_scores(tmp_path / "b.csv", data, rows, own=rows * 3.0)
    found = read_scores(first, data)
    assert np.array_equal(found["own"][rows], rows * 2.0)
    assert np.isnan(np.delete(found["own"], rows)).all()
    assert np.isnan(found["empty"][rows[:3]]).all()
    own, empty = given_estimators(data, [first, second])
    assert (own.name, own.kind, own.values.shape, empty.values.shape) == ("own", "given", (2, N), (1, N))
    verdict = next(each for each in diagnose(data, [own]).verdicts)
    assert (verdict.count, verdict.agreement, verdict.rank_std) == (30, 1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("arch,own\n{0},high\n", "line 2: 'high' in 'own' is no number"),
        ("arch,own\n{0},1\n,2\n", "line 3: there is no architecture"),
        ("arch,own\n{0},1\nnonsense,2\n", "line 3"),
        ("arch\n{0}\n", "holds no scores"),
        ("own\n1\n", "line 2: there is no architecture"),
        ("", "holds no scores"),
    ],
)
def test_a_wrong_file_of_scores_is_refused_in_a_sentence(text, complaint, tmp_path):
    data = made_up()
    path = tmp_path / "scores.csv"
    path.write_text(text.format(data.space.format(data.graphs[:1])[0]))
    refused(lambda: read_scores(path, data), InvalidTable, complaint)
    refused(lambda: read_scores(tmp_path / "none.csv", data), DataNotFound)


def test_scores_of_other_architectures_are_refused(tmp_path):
    data = made_up()
    path = write_scores(tmp_path / "scores.csv", data, [40], own=[1.0])
    refused(lambda: read_scores(path, data[:40]), InvalidTable, "no architecture of the data set")


# -- the command ---------------------------------------------------------------------------------------------


def test_the_command_writes_tables_plots_and_a_page(known, tmp_path, capsys):
    out = tmp_path / "out"
    scores = write_scores(tmp_path / "scores.csv", made_up(), range(N), own=np.arange(N))
    words = ["bench", "diagnose", "made-up", "--scores", str(scores), "--out", str(out)]
    assert main(words) == 0
    written = {path.name for path in out.iterdir()}
    assert {Path(line).name for line in capsys.readouterr().out.splitlines()} == written
    assert {path.suffix for path in out.iterdir()} == {".csv", ".md", ".svg", ".html"}
    rows = list(csv.DictReader((out / "diagnosis.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows] == ["zero-cost", "early", "early", *["size"] * 4, "repeats", "given"]
    (early,) = (row for row in rows if row["estimator"] == "toy/val_accuracy@12/*")
    text = (out / "diagnosis.md").read_text()
    assert f"{float(early['kendall_tau']):.3f} ± {float(early['kendall_tau_std']):.3f}" in text
    groups = list(csv.DictReader((out / "bias.csv").read_text().splitlines()))
    assert {row["property"] for row in groups} >= {"depth", "parameters", "number of none"}
    assert_harmless_files(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(words) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere"], "nowhere"),
        (["made-up:toy/val"], "has no label 'toy/val'"),
        (["made-up", "--estimators", "toy/x"], "has no label 'toy/x'"),
        (["made-up", "made-up:toy/mflops", "--scores", "x.csv"], "name just one"),
        (["made-up", "--scores", "x.csv"], "x.csv"),
    ],
)
def test_what_the_command_refuses(words, complaint, known, tmp_path, capsys):
    assert main(["bench", "diagnose", *words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["bench", "diagnose", "nowhere", "--out", str(tmp_path / "out")]) == 2
    assert "--out" in capsys.readouterr().err


def test_several_labels_are_one_page(known):
    first, second = diagnose_all(["made-up", "made-up:toy/val_accuracy@12/seed7"], None, [])
    assert (first.label, second.label) == (TARGET, "toy/val_accuracy@12/seed7")
    refused(lambda: diagnose_all(["made-up", "nowhere"], None, [Path("x")]), InvalidParameter)


def test_names_are_text_and_a_report_appears_whole_or_not_at_all(tmp_path):
    data = made_up()
    hostile = Estimator(MARKER, "given", data.y[None])
    marked = ArchDataset(MARKER, data.graphs, {MARKER: data.y}, MARKER)
    found = [diagnose(marked, [hostile])]
    write_diagnosis(found, tmp_path / "good")
    assert_harmless_files(tmp_path / "good")
    (tmp_path / "bad" / "bias.csv").mkdir(parents=True)
    refused(lambda: write_diagnosis(found, tmp_path / "bad"), CannotWrite, r"bias\.csv")
    assert [path.name for path in (tmp_path / "bad").iterdir()] == ["bias.csv"]


# -- real tables ---------------------------------------------------------------------------------------------


def test_proxies_of_nasbench201_have_the_correlations_that_are_known():
    try:
        data = archenc.load_dataset("nasbench201", label="cifar10/test_accuracy@200/mean")
    except DataNotFound as reason:
        pytest.skip(str(reason))
    chosen = {"nwot": 0.811, "jacov": 0.799, "params": 0.799, "synflow": 0.778, "zen": 0.114, "plain": -0.352}
    (found,) = [diagnose(data, estimators_of(data, [f"cifar10/zc-nbsz/{name}" for name in chosen]))]
    verdicts = {each.estimator.name.rpartition("/")[2]: each for each in found.verdicts}
    for name, rho in chosen.items():
        assert verdicts[name].spearman == pytest.approx(rho, abs=5e-4)
    assert verdicts["params"].biases["parameters"].shift > 0 > verdicts["plain"].biases["parameters"].shift
