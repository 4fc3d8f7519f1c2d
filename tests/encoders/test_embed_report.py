"""The report on embeddings: numbers against slow computations, the same files for the same seed, and what is
refused.
"""

import json
import math
import re
import sys

import networkx
import numpy as np
import pytest

import archenc
from archenc.benchmarks.embeddings import analyses as embed_report
from archenc.benchmarks.embeddings import walks
from archenc.benchmarks.embeddings.analyses import Analyses, Distances, Map, Plan, Regression, analyse
from archenc.benchmarks.embeddings.figures import summary, write_report
from archenc.commands.app import main
from archenc.dataset import ArchDataset
from archenc.errors import CannotWrite, DataNotFound, InvalidParameter, InvalidTable
from archenc.graphs.hashing import sortable_keys
from archenc.registry import DATASETS
from archenc.spaces.cell import CellSpace
from tests.bad_input import (
    MARKER,
    assert_harmless_files,
    assert_harmless_output,
    assert_one_sentence,
    everywhere,
)

SPACE = CellSpace("toy", ["conv", "pool"], max_nodes=5, max_edges=6)
CELLS = SPACE.enumerate()


def labelled(graphs=CELLS, name="toy"):
    """Accuracies that follow from the number of edges and of convolutions."""
    edges = graphs.adjacency.sum((1, 2)).double().numpy()
    convolutions = (graphs.ops == 3).sum(1).double().numpy()
    accuracy = 70 + 3 * convolutions + edges + np.sin(np.arange(len(edges)))
    labels = {
        "val_accuracy": accuracy,
        "x/val_accuracy@4/mean": accuracy - 1,
        "x/test_accuracy@4/mean": accuracy,
    }
    return ArchDataset(name, graphs, labels, "x/val_accuracy@4/mean")


@pytest.fixture(autouse=True)
def short_walks(monkeypatch):
    monkeypatch.setattr(walks, "WALKS", 6)
    monkeypatch.setattr(walks, "LENGTH", 30)


# -- edit distances ------------------------------------------------------------------------------------------


def by_networkx(first, second):
    def change(a, b):
        return 0 if a["op"] == b["op"] else 100 if {a["op"], b["op"]} & {"input", "output"} else 1

    return networkx.graph_edit_distance(first.to_networkx(), second.to_networkx(), node_subst_cost=change)


def test_edit_distances_of_cells_with_a_free_topology():
    first, second = SPACE.sample(25, seed=1), SPACE.sample(25, seed=2)
    expected = [by_networkx(first[i], second[i]) for i in range(25)]
    assert len(set(expected)) > 3
    assert walks.edit_distances(first, second).tolist() == expected


def test_edit_distances_of_cells_with_a_fixed_topology():
    space = archenc.create_space("nasbench201")
    first, second = space.sample(20, seed=1), space.sample(20, seed=2)
    names = (
        [re.findall(r"\w+~", text) for text in space.format(first)],
        [re.findall(r"\w+~", text) for text in space.format(second)],
    )
    expected = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in zip(*names, strict=True)]
    assert walks.edit_distances(first, second).tolist() == expected


def test_edit_distances_of_several_cells_are_added():
    space = CellSpace("two", ["conv", "pool"], max_nodes=4, cells=2)
    graphs = space.sample(1, seed=0)
    once = space.mutate(graphs, seed=1)
    assert walks.edit_distances(graphs, graphs).tolist() == [0]
    assert walks.edit_distances(graphs, once).shape == (1,)
    assert walks.edit_distances(graphs, once)[0] > 0


def test_pairs_of_a_walk_are_one_to_eight_steps_apart():
    wandering = walks.through_space(SPACE, seed=0)
    assert len(wandering.graphs) == 6 * 30
    steps = wandering.second // 6 - wandering.first // 6
    assert np.array_equal(wandering.first % 6, wandering.second % 6), "both cells of a pair are of one walk"
    assert sorted(set(steps.tolist())) == list(range(1, 9))
    assert wandering.exact
    assert wandering.edits[steps == 1].mean() < wandering.edits[steps == 8].mean()


def test_cells_too_large_for_exact_distances_are_compared_by_steps():
    space = CellSpace("large", ["conv", "pool"], max_nodes=9)
    wandering = walks.through_space(space, seed=0)
    assert not wandering.exact
    assert np.array_equal(wandering.edits, wandering.second // 6 - wandering.first // 6)


def test_distances_by_plain_loops():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3)).astype(np.float32)
    first, second = rng.integers(200, size=(2, 150))
    edits = rng.choice([1, 2, 5, 9], p=[0.3, 0.3, 0.3, 0.1], size=150)
    edits[:3] = 4  # too few pairs
    found = embed_report.distances(values, walks.Wandering(CELLS, first, second, edits, True))
    expected = {}
    for a, b, count in zip(first, second, edits, strict=True):
        expected.setdefault(int(count), []).append(math.dist(values[a], values[b]))
    assert found.edits.tolist() == [1, 2, 5]
    for at, count in enumerate((1, 2, 5)):
        assert found.mean[at] == pytest.approx(np.mean(expected[count]), rel=1e-5)
        assert found.std[at] == pytest.approx(np.std(expected[count]), rel=1e-5)
        assert found.pairs[at] == len(expected[count])


@pytest.mark.parametrize(
    ("means", "monotone"), [([1.0, 2.0, 3.0], True), ([1.0, 3.0, 2.0], False), ([1.0], False)]
)
def test_monotone(means, monotone):
    many = np.ones(len(means))
    assert Distances(many, np.array(means), many, many, 0.0, 0.0).monotone is monotone


# -- autocorrelation -----------------------------------------------------------------------------------------


def test_correlations_by_plain_loops():
    labels = np.random.default_rng(0).normal(size=(30, 4)).cumsum(0)
    found = walks._correlations(labels)
    for steps in (1, 7, 20):
        pairs = [(labels[t, w], labels[t + steps, w]) for w in range(4) for t in range(30 - steps)]
        assert found[steps - 1] == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1])


def test_edit_steps_lead_to_labelled_mutants():
    data = labelled()
    hashes, rows = np.unique(sortable_keys(data.graphs.hash()), return_index=True)
    graphs = data.graphs[rows]
    after = walks._mutation(graphs, hashes)(np.arange(len(graphs)), np.random.default_rng(0))
    assert (after != np.arange(len(graphs))).all()
    edits = walks.edit_distances(graphs, graphs[after])
    assert (edits == 1).mean() > 0.5, "the others split an edge or cut off nodes"


def test_near_steps_lead_to_one_of_the_nearest():
    values = np.random.default_rng(1).normal(size=(60, 3))
    after = walks._nearest(values)(np.arange(60), np.random.default_rng(0))
    for at, to in enumerate(after):
        order = sorted((math.dist(values[at], values[other]), other) for other in range(60) if other != at)
        assert to in [other for _, other in order[: walks.NEIGHBOURS]]


def test_labels_that_follow_the_embedding_are_alike_along_its_walks():
    data = labelled()
    noise = np.random.default_rng(0).normal(size=(len(data), 1))
    found = walks.autocorrelations(data, {"good": data.y[:, None], "bad": noise}, seed=0)
    assert set(found) == {"edit", "good", "bad"}
    assert all(one.walks == 6 for one in found.values())
    assert found["good"].values[0] > 0.95
    assert found["good"].values[0] > found["edit"].values[0] > found["bad"].values[0]


def test_walks_without_labelled_neighbours_are_left_out():
    chain, wide = SPACE.parse(SPACE.format(CELLS[:1])), CELLS[len(CELLS) - 1 :]
    apart = archenc.graphs.concatenate([chain, wide])
    data = ArchDataset("apart", apart, {"accuracy": np.array([90.0, 91.0])}, "accuracy")
    found = walks.autocorrelations(data, {"any": np.eye(2)}, seed=0)
    assert found["edit"].walks == 0
    assert np.isnan(found["edit"].values).all()
    assert found["any"].walks == 6


# -- Gaussian process ----------------------------------------------------------------------------------------


def test_splits_learn_from_any_and_judge_on_the_high_ones():
    data, plan = labelled(), Plan(training_size=20, above=82.0)
    train, test = embed_report.split(data, plan, 0)
    assert len(train) == 20
    assert data.y[train].min() < 82
    assert sorted(test) == sorted(set(np.flatnonzero(data.y > 82)) - set(train))
    assert not np.array_equal(train, embed_report.split(data, plan, 1)[0])


def test_errors_of_the_gaussian_process_by_hand():
    data, plan = labelled(), Plan(training_size=20, repeats=2, above=80.0)
    splits = [embed_report.split(data, plan, repeat) for repeat in range(2)]
    values = np.stack([data.graphs.adjacency.sum((1, 2)), (data.graphs.ops == 3).sum(1)], axis=1).astype(
        np.float32
    )
    found = embed_report.regress([values, values], data.y, splits, plan)
    true, predicted = data.y[splits[0][1]], found.predictions
    assert np.array_equal(found.labels, true)
    assert found.rmse[0] == pytest.approx(
        math.sqrt(sum((a - b) ** 2 for a, b in zip(true, predicted, strict=True)) / len(true))
    )
    assert found.pearson[0] == pytest.approx(np.corrcoef(true, predicted)[0, 1])
    assert found.pearson[0] > 0.8, "the labels are nearly a function of these embeddings"
    noise = np.random.default_rng(0).normal(size=values.shape)
    assert embed_report.regress([noise], data.y, splits[:1], plan).pearson[0] < 0.5


# -- map -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_plane_of_pca_keeps_what_it_says(dim, monkeypatch):
    monkeypatch.setattr(embed_report, "MAP_SIZE", 40)
    values = np.random.default_rng(0).normal(size=(60, dim)) * np.arange(1, dim + 1)
    found = embed_report.project(values, np.arange(60.0), Plan())
    rows = found.labels.astype(int)
    assert found.points.shape == (40, 2)
    variances = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(values[rows].T))))[::-1]
    assert found.explained_variance == pytest.approx(variances[:2].sum() / variances.sum())
    assert found.points.var(axis=0, ddof=1).sum() == pytest.approx(variances[:2].sum())


def test_a_map_by_tsne():
    values = np.random.default_rng(0).normal(size=(30, 4))
    found = embed_report.project(values, np.arange(30.0), Plan(projection="tsne"))
    assert found.points.shape == (30, 2)
    assert found.explained_variance is None
    assert np.array_equal(
        found.points, embed_report.project(values, np.arange(30.0), Plan(projection="tsne")).points
    )


# -- the command ---------------------------------------------------------------------------------------------

FILES = ["autocorrelation.svg", "distances.svg", "index.html", "map.svg", "regression.svg", "report.json"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "p"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archenc.pretraining.PretrainableEncoder.draws", 50)
        archenc.pretrain(
            "arch2vec",
            CELLS,
            folder,
            encoder_params={"hidden_dim": 8, "layers": 2},
            epochs=1,
            dataset="<toy>",
        )
    return folder


@pytest.fixture(autouse=True)
def data_sets():
    loaders = {
        "<toy>": lambda: labelled(name="<toy>"),
        "unlabelled": lambda: ArchDataset("unlabelled", CELLS, {}, ""),
        "few": lambda: labelled(CELLS[:15], "few"),
        "elsewhere": lambda: ArchDataset(
            "elsewhere",
            archenc.create_space("nasbench201").sample(9, seed=0),
            {"accuracy": np.ones(9)},
            "accuracy",
        ),
    }
    for name, loader in loaders.items():
        DATASETS.register(name, loader)
    yield
    for name in loaders:
        DATASETS.unregister(name)


def report(folder, *options):
    return main(["embed-report", str(folder), "--size", "20", "--repeats", "2", *map(str, options)])


def test_the_report(pretrained, tmp_path, capsys):
    assert report(pretrained, "--out", tmp_path / "a") == 0
    said = capsys.readouterr().out
    assert "reconstruction accuracy, %" in said
    assert "Gaussian process, 20 labels: RMSE" in said
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == FILES
    numbers = json.loads((tmp_path / "a/report.json").read_text())
    assert numbers["label"] == "x/test_accuracy@4/mean", "in place of the validation accuracy"
    assert numbers["architectures"] == len(CELLS)
    assert numbers["plan"] == {
        "training_size": 20,
        "repeats": 2,
        "above": 80.0,
        "projection": "pca",
        "seed": 0,
    }
    assert numbers["pretraining_figures"].keys() >= {"reconstruction_accuracy", "validity", "uniqueness"}
    for kind in ("pretrained", "supervised"):
        assert len(numbers["gaussian_process"][kind]["pearson"]["values"]) == 2
        assert numbers["l2_distance"][kind]["by_edit_distance"][0]["edits"] == 1
        assert 0 < numbers["map"][kind]["explained_variance"] <= 1
    assert set(numbers["autocorrelation"]) == {"edit", "pretrained", "supervised"}
    page = (tmp_path / "a/index.html").read_text()
    assert page.count('<img alt="') == 4
    assert page.count("data:image/svg+xml;base64,") == 4
    assert "&lt;toy&gt;" in page
    assert "<toy>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page), "the page needs other files"
    assert report(pretrained, "--out", tmp_path / "b") == 0
    assert [(tmp_path / "b" / name).read_bytes() for name in FILES] == [
        (tmp_path / "a" / name).read_bytes() for name in FILES
    ]
    assert report(pretrained, "--out", tmp_path / "b") == 2, "it is there already"


def test_another_seed_gives_other_numbers(pretrained):
    encoder, settings = (
        archenc.load_pretrained(pretrained),
        archenc.pretraining.weights.read_card(pretrained)["settings"],
    )
    first, second = (
        analyse(encoder, settings, labelled(), Plan(20, 1, seed=seed)).numbers() for seed in (0, 1)
    )
    assert first["gaussian_process"]["pretrained"] != second["gaussian_process"]["pretrained"]
    assert first["gaussian_process"]["pretrained"]["rmse"]["std"] is None, "of a single repeat"


def analyses_by_hand(plan):
    few, ones = np.arange(1.0, 4.0), np.ones(3)
    return Analyses(
        plan,
        100,
        3,
        True,
        {
            kind: Regression(np.array([1.0, 3.0]), np.array([0.5, 0.7]), few, few)
            for kind in ("pretrained", "supervised")
        },
        {
            kind: Distances(few, mean, ones, ones, 1.0, 0.9)
            for kind, mean in (("pretrained", few), ("supervised", ones))
        },
        {kind: Map(np.eye(3)[:, :2], few, 0.9) for kind in ("pretrained", "supervised")},
        {
            kind: walks.Autocorrelation(0, np.full(20, np.nan))
            for kind in ("edit", "pretrained", "supervised")
        },
    )


CARD = {
    "settings": {"encoder": "arch2vec", "space": {"name": "nasbench101"}},
    "figures": {"loss": 0.5, "reconstruction_accuracy": 99.9, "validity": 50.0},
}


def test_the_published_row_stands_only_beside_the_published_task(tmp_path):
    lines = {line[0]: line[1:] for line in summary(analyses_by_hand(Plan()), CARD)}
    assert lines["validity, %"] == ["50.00", "", "51.33", ""]
    assert lines["Gaussian process, 250 labels: RMSE"] == [
        "2.000 ± 1.414",
        "2.000 ± 1.414",
        "1.8 ± 0.1",
        "3.8 ± 2.5",
    ]
    assert lines["L2 distance grows with every edit"][:2] == ["yes", "no"]
    other = {line[0]: line[1:] for line in summary(analyses_by_hand(Plan(above=90.0)), CARD)}
    assert other["Gaussian process, 250 labels: RMSE"][2:] == ["", ""]


def test_what_is_undefined_is_null(tmp_path):
    write_report(analyses_by_hand(Plan()), CARD, {"label": "accuracy"}, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["autocorrelation"]["edit"] == {
        "walks": 0,
        "by_steps": [None] * 20,
    }


def test_names_of_cards_and_tables_are_text(tmp_path):
    card = everywhere(CARD, but=frozenset({"figures"})) | {"figures": {MARKER: 0.5}}
    setting = dict.fromkeys(("pretrained", "encoder", "dataset", "label", "command"), MARKER)
    assert_harmless_output(write_report(analyses_by_hand(Plan()), card, setting, tmp_path))
    assert_harmless_files(tmp_path)


def test_a_report_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "map.svg").mkdir()
    with pytest.raises(CannotWrite, match=r"map\.svg") as caught:
        write_report(analyses_by_hand(Plan()), CARD, {"label": "accuracy"}, tmp_path)
    assert_one_sentence(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--dataset", "unlabelled"], "has no label to predict"),
        (["--dataset", "elsewhere"], "are of 'nasbench201'"),
        (["--dataset", "few"], "has 15 architectures with a label"),
        (["--above", "200"], "0 with one above 200"),
        (["--label", "latency"], "has no label 'latency'"),
        (["--dataset", "nowhere"], "nowhere"),
        (["--map", "sphere"], "no map 'sphere'"),
        (["--map", "umap"], "needs the package umap-learn"),
    ],
)
def test_what_is_refused(options, complaint, pretrained, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    assert report(pretrained, *options, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_errors_are_one_sentence(pretrained, tmp_path):
    encoder, settings = (
        archenc.load_pretrained(pretrained),
        archenc.pretraining.weights.read_card(pretrained)["settings"],
    )
    for data, plan, error in (
        (labelled(CELLS[:15]), Plan(20), InvalidTable),
        (labelled(), Plan(20, above=200.0), InvalidTable),
        (ArchDataset("x", archenc.create_space("nasbench201").sample(2), {}, ""), Plan(), InvalidParameter),
    ):
        with pytest.raises(error) as caught:
            analyse(encoder, settings, data, plan)
        assert_one_sentence(caught.value)
    with pytest.raises(DataNotFound) as caught:
        archenc.load_pretrained(tmp_path)
    assert_one_sentence(caught.value)


def test_a_folder_without_embeddings_is_enough(pretrained, tmp_path):
    import shutil

    folder = shutil.copytree(pretrained, tmp_path / "weights only")
    (folder / "embeddings.safetensors").unlink()
    assert report(folder) == 0
    assert (tmp_path / "weights only-report/index.html").is_file()
