"""Why a predictor prefers some architectures: importance, rules, pictures, and the command."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import archenc
from archenc import CellSpace, Predictor, explain
from archenc.commands.app import main
from archenc.errors import ArchencError, InvalidArchitecture, InvalidParameter, InvalidTable, NotFitted
from archenc.graphs.transforms import isomorphic_twin
from archenc.registry import SPACES
from archenc.search import explain as engine
from archenc.search.choices import Part, chosen, exchanged, has_places, parts_of
from archenc.search.rules import choice_rules
from archenc.spaces import StageSpace
from tests.shared import ALL, FEW, POOL, SPACE, TRAINED, Y, cheap

NAMES = [name for name in SPACES.names() if name not in ("chain", "cell", "genotype", "operations", "stages")]
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
NB101 = archenc.create_space("nasbench101")


def ridge(graphs, y, encoder="op-count"):
    return Predictor(encoder, "ridge", "mse", random_state=0).fit(graphs, y)


def texts(graphs):
    """The six operations of each cell of NAS-Bench-201, read from its text."""
    strings = graphs.space.format(graphs)
    return [
        [op.split("~")[0] for node in text.split("+") for op in node.strip("|").split("|")]
        for text in strings
    ]


def planted(graphs):
    """One for a 3x3 convolution on the edge 0->3."""
    return np.array([float(ops[EDGES.index((0, 3))] == "nor_conv_3x3") for ops in texts(graphs)])


def of_kind(found, kind):
    return [each for each in found.importances if each.kind == kind]


def tau(one, other):
    """Kendall's tau-b by its definition."""
    signs = [
        (np.sign(a - b), np.sign(c - d))
        for (a, c), (b, d) in itertools.combinations(list(zip(one, other, strict=True)), 2)
    ]
    untied = [sum(pair[at] != 0 for pair in signs) for at in (0, 1)]
    return sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1])


def steps(found):
    """Scores in hundredths of their standard deviation, of which smaller differences do not count."""
    return np.round(100 * found.scores / found.scores.std())


# -- importance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_planted_choice_comes_first_and_other_places_do_not_matter(with_labels):
    rows = np.random.default_rng(1).permutation(len(ALL))
    predictor = ridge(ALL[rows[:1000]], planted(ALL[rows[:1000]]), "op-onehot")
    graphs = ALL[rows[:4000]]
    found = explain(predictor, graphs, y=planted(graphs) if with_labels else None, share=0.15)
    first, *others = of_kind(found, "place")
    assert (first.name, first.prefers, first.how) == ("edge 0->3", "nor_conv_3x3", "exchanged")
    assert first.share == pytest.approx(0.2, abs=0.02)
    assert first.value > 0.5
    assert len(others) == 5
    assert all(abs(each.value) < 0.02 for each in others)
    assert of_kind(found, "operation")[0].name == "nor_conv_3x3"
    assert found.rules[0].text == "nor_conv_3x3 on edge 0->3"
    assert (found.rules[0].best, found.rules[0].all) == (1.0, pytest.approx(planted(graphs).mean()))
    assert (found.agreement is None) != with_labels


def test_importance_is_the_mean_loss_over_all_exchanges(monkeypatch):
    """Of four architectures, by loops over all 24 permutations."""
    space = CellSpace("tiny", ["conv", "pool"], op_on="edge", max_nodes=3, topology=[(0, 1), (1, 2)])
    graphs = space.enumerate()
    cells = [tuple(json.loads(text)) for text in space.format(graphs)]
    predictor = ridge(graphs, [4.0 if a == "conv" else 1.0 * (b == "conv") for a, b in cells], "op-onehot")
    score = dict(zip(cells, predictor.predict(graphs).tolist(), strict=True))

    def place(at):
        return lambda own, other: tuple(other[p] if p == at else own[p] for p in (0, 1))

    def operation(name):
        return lambda own, other: tuple(
            other[p] if (own[p] == name) != (other[p] == name) else own[p] for p in (0, 1)
        )

    changes = {
        "edge 0->1": place(0),
        "edge 1->2": place(1),
        "conv": operation("conv"),
        "pool": operation("pool"),
    }
    expected = {
        name: np.mean(
            [
                1
                - tau(
                    [score[cell] for cell in cells],
                    [score[change(*pair)] for pair in zip(cells, order, strict=True)],
                )
                for order in itertools.permutations(cells)
            ]
        )
        for name, change in changes.items()
    }
    monkeypatch.setattr(engine, "REPEATS", 2000)
    found = explain(predictor, graphs, share=0.3)
    values = {each.name: each.value for each in found.importances if each.how == "exchanged"}
    assert values == pytest.approx(expected, abs=0.06)
    assert expected["edge 0->1"] > 2 * expected["edge 1->2"]


def test_what_is_compared_is_counted_by_independent_code():
    graphs = NB101.sample(60, seed=3)
    predictor = ridge(graphs, NB101.costs(graphs)["flops"] / 1e9)
    found = explain(predictor, graphs, share=0.1)
    counts = [Counter(dict(things(graphs, at))) for at in range(len(graphs))]
    told = [each for each in found.importances if each.kind != "number"]
    assert {each.kind for each in told} == {"operation", "link", "motif"}
    assert len(told) > 20
    for each in told:
        column = [count[each.name] for count in counts]
        expected = tau(steps(found), column)
        assert each.value == pytest.approx(abs(expected), abs=1e-6), each
        assert each.prefers == ("more" if expected >= 0 else "fewer")
        assert each.share == np.mean(np.array(column) > 0)
    depth = next(part for part in parts_of(graphs, found.best) if part.name == "depth")
    assert depth.values.tolist() == [deepest(graphs, at) for at in range(len(graphs))]


def things(graphs, at):
    """How often operations, links and subtrees occur in a cell of NAS-Bench-101, by their names."""
    graph = graphs.to_networkx(at)
    op = dict(graph.nodes(data="op"))

    def tree(node, rounds):
        sources = sorted(tree(one, rounds - 1) for one in graph.predecessors(node)) if rounds else []
        return f"{op[node]}({', '.join(sources)})" if sources else op[node]

    yield from Counter(op.values()).items()
    yield from Counter(f"{op[one]} -> {op[other]}" for one, other in graph.edges).items()
    deep = [Counter(tree(node, rounds) for node in graph if op[node] != "input") for rounds in (2, 1)]
    yield from {**deep[0], **deep[1]}.items()


def deepest(graphs, at):
    import networkx

    return networkx.dag_longest_path_length(graphs.to_networkx(at)) - 1


@pytest.mark.parametrize("name", ["nasbench101", "nasbench-graph"])
def test_isomorphic_writings_are_explained_alike(name):
    space = archenc.create_space(name)
    graphs = space.sample(400, seed=5)
    twins = isomorphic_twin(graphs, seed=1)
    assert (twins.ops != graphs.ops).any()
    weights = np.random.default_rng(0).normal(size=300) / 5
    weights[3] = 3.0
    wl = {"encoder_params": {"iterations": 2, "buckets": 200}}
    predictor = Predictor("wl", "ridge", "mse", random_state=0, **wl)
    encodings = archenc.create_encoder("wl", space, iterations=2, buckets=200).encode(graphs)
    predictor.fit(graphs, encodings @ weights[: encodings.shape[1]])
    one, other = explain(predictor, graphs, share=0.05), explain(predictor, twins, share=0.05)
    assert one.rules
    assert [rule.text for rule in one.rules] == [rule.text for rule in other.rules]
    values = [{each.name: each.value for each in found.importances} for found in (one, other)]
    for either in values:  # channels that do not divide are shared out in the order of the nodes
        either.pop("parameters", None)
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_the_same_seed_explains_the_same():
    predictor = cheap().fit(TRAINED, Y)
    one, again, other = (explain(predictor, POOL, random_state=seed) for seed in (3, 3, 4))
    assert str(one) == str(again)
    assert str(one) != str(other)


# -- exchanges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nasbench201", "darts", "nasbench-macro"])
def test_an_exchange_does_what_a_loop_does(name):
    graphs = archenc.create_space(name).sample(30, seed=2)
    graphs = graphs.with_features(np.random.default_rng(0).random((*graphs.ops.shape, 2)))
    partner = np.random.default_rng(1).permutation(30)
    numbers = chosen(graphs)
    moved = [part for part in parts_of(graphs, np.arange(5)) if part.kind in ("operation", "place")]
    for part in moved:
        changed = exchanged(graphs, part, partner)
        got, features = chosen(changed), changed.features.reshape(*numbers.shape, 2)
        before = graphs.features.reshape(*numbers.shape, 2)
        for row, position in np.ndindex(numbers.shape):
            own, other = numbers[row, position], numbers[partner[row], position]
            if part.kind == "place":
                taken = position == part.position
            else:
                taken = (own == part.position) != (other == part.position)
            source = partner[row] if taken and own >= 0 and other >= 0 else row
            assert got[row, position] == numbers[source, position]
            assert (features[row, position] == before[source, position]).all()


@pytest.mark.parametrize("name", NAMES)
def test_exchanges_stay_in_every_space_and_all_of_them_are_explained(name):
    space = archenc.create_space(name)
    graphs = space.sample(120, seed=4)
    predictor = ridge(
        graphs, np.random.default_rng(0).random(120) + (graphs.ops == 4).reshape(120, -1).sum(1).numpy()
    )
    found = explain(predictor, graphs, share=0.1)
    assert {each.kind for each in found.importances} >= {"operation", "motif"}
    moved = [each for each in found.importances if each.kind in ("operation", "place")]
    hows = {each.how for each in moved}
    if isinstance(space, StageSpace) and space.skip_op is not None:
        assert "compared" in hows, "layers that do not exist cannot be exchanged with others"
    else:
        assert hows == {"exchanged" if has_places(graphs) else "compared"}
    assert len({(each.kind, each.name) for each in found.importances}) == len(found.importances)
    ElementTree.fromstring(found.plot().svg)
    ElementTree.fromstring(found.plot_motifs().svg)
    assert json.loads(json.dumps(found.to_dict()))["architectures"] == 120


def test_what_a_space_refuses_is_compared_instead(monkeypatch):
    predictor = cheap().fit(TRAINED, Y)

    def refuse(self, graphs):
        raise InvalidArchitecture("no")

    monkeypatch.setattr(type(SPACE), "validate", refuse)
    found = explain(predictor, POOL)
    assert {each.how for each in found.importances} == {"compared"}
    best = of_kind(found, "operation")[0]
    counts = [ops.count(best.name) for ops in texts(POOL)]
    assert best.value == pytest.approx(abs(tau(steps(found), counts)), abs=1e-6)


# -- rules ---------------------------------------------------------------------------------------------------


def follows(text, ops, parameters):
    """Whether a cell of NAS-Bench-201 is as a rule about operations, edges or parameters says."""
    words = text.split()
    if "edge" in words:
        at = EDGES.index(tuple(map(int, words[-1].split("->"))))
        return ops[at] != words[1] if words[0] == "not" else ops[at] == words[0]
    if words[0] in ("with", "without"):
        return (words[1] in ops) == (words[0] == "with")
    level, count = (
        int(words[2].replace(",", "")),
        parameters if words[-1] == "parameters" else ops.count(words[-1]),
    )
    return count >= level if words[1] == "least" else count <= level


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_percentages_are_those_of_plain_counting(share):
    rows = np.random.default_rng(0).permutation(len(ALL))[:500]
    y = 2 * planted(ALL[rows]) + np.array(
        [ops.count("nor_conv_3x3") - ops.count("none") for ops in texts(ALL[rows])]
    )
    predictor = ridge(ALL[rows], y, "op-onehot")
    found = explain(predictor, share=share)
    scores, cells = predictor.predict(ALL), texts(ALL)
    last = sorted(scores, reverse=True)[round(share * len(ALL)) - 1]
    best = [at for at in range(len(ALL)) if scores[at] >= last - 1e-9]
    assert sorted(found.best.tolist()) == best
    assert (np.diff(found.scores[found.best]) <= 0).all()
    sizes = SPACE.costs(ALL)["parameters"]
    told = [rule for rule in found.rules if rule.kind in ("operation", "place") or "parameters" in rule.text]
    assert {"operation", "place"} <= {rule.kind for rule in told}
    for rule in told:
        holds = [follows(rule.text, ops, size) for ops, size in zip(cells, sizes, strict=True)]
        assert rule.all == np.mean(holds), rule
        assert rule.best == np.mean([holds[at] for at in best]), rule
        assert str(rule).startswith(f"{rule.text}: in {100 * rule.best:.0f} % of the best, ")
    assert all(rule.best >= 0.5 and rule.lift > 1 for rule in found.rules)
    assert [rule.g for rule in found.rules] == sorted((rule.g for rule in found.rules), reverse=True)


def test_a_random_choice_of_the_best_has_no_rules():
    drawn = [np.random.default_rng(seed).permutation(len(ALL))[:156] for seed in range(20)]
    parts = parts_of(ALL, drawn[0])
    assert sum(bool(choice_rules(parts, best)) for best in drawn) <= 3


def test_what_is_told_once_is_not_told_again():
    rng = np.random.default_rng(0)
    good, other = (rng.random(2000) < 0.2).astype(int), (rng.random(2000) < 0.3).astype(int)
    bad = (rng.random(2000) < 0.5).astype(int)
    best = np.flatnonzero(good & other & (1 - bad))
    nearly = np.where(rng.random(2000) < 0.02, 1 - good, good)
    columns = {
        "good": good,
        "again": good,
        "nearly": nearly,
        "other": other,
        "opposite": 1 - good,
        "bad": bad,
    }
    parts = [Part("operation", name, column) for name, column in columns.items()]
    assert {rule.text for rule in choice_rules(parts, best)} == {"with good", "with other", "without bad"}


def test_ties_with_the_last_are_among_the_best():
    graphs = ALL[::50]
    found = explain(ridge(graphs, planted(graphs) + 1, "op-count"), graphs, share=0.01)
    counts = [tuple(sorted(Counter(ops).items())) for ops in texts(graphs)]
    inside = {counts[at] for at in found.best}
    assert {at for at, count in enumerate(counts) if count in inside} == set(found.best.tolist())


# -- what is refused -----------------------------------------------------------------------------------------


def test_what_cannot_be_explained_is_said_in_a_sentence():
    predictor = cheap().fit(TRAINED[:FEW], Y[:FEW])
    one = ALL[[0] * 30]
    wrong = {
        "no predictor": lambda: explain("auto"),
        "is not fitted": lambda: explain(Predictor("op-count", "ridge", "mse")),
        "share = 1": lambda: explain(predictor, share=1),
        "share = 0": lambda: explain(predictor, share=0.0),
        "random_state = -1": lambda: explain(predictor, random_state=-1),
        "cannot rank 'nasbench101'": lambda: explain(predictor, NB101.sample(20)),
        "the same score": lambda: explain(predictor, one),
        "no architecture to explain": lambda: explain(predictor, ALL[:0]),
        "no ranking of 300": lambda: explain(predictor, POOL, y=[1.0, 2.0]),
        "not all the same": lambda: explain(predictor, POOL, y=np.ones(300)),
    }
    for sentence, work in wrong.items():
        with pytest.raises(ArchencError, match=sentence) as caught:
            work()
        assert isinstance(caught.value, InvalidParameter | InvalidTable | InvalidArchitecture | NotFitted)


# -- what is shown -------------------------------------------------------------------------------------------


def test_pictures_show_the_best_and_the_strongest_motifs():
    found = explain(cheap().fit(TRAINED, Y), POOL, share=0.1)
    assert found.plot(3).svg.count("score ") == 3
    first = next(each for each in found.importances if each.tree is not None)
    drawn = found.plot_motifs(1).svg
    assert f"{first.prefers} of it: tau {first.value:.2f}" in drawn
    assert all(
        word in drawn
        for word in str(first.tree).replace("(", " ").replace(")", " ").replace(",", " ").split()
    )
    shown = found._repr_html_()
    assert found.rules[0].text in shown
    assert shown.count("<img") == 2


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a predictor and a file of architectures."""
    monkeypatch.chdir(tmp_path)
    cheap().fit(TRAINED, Y).save("model")
    Path("pool.txt").write_text("\n".join(SPACE.format(POOL)))
    return tmp_path


def test_the_command_prints_what_the_function_finds(place, capsys):
    assert main(["explain", "model", "--input", "pool.txt", "--share", "0.1", "--out", "why"]) == 0
    printed = capsys.readouterr().out
    expected = explain(Predictor.load("model"), POOL, share=0.1)
    assert printed == f"{expected}\n"
    assert printed.startswith("What the best 10 % share (")
    text = Path("why/text.md").read_text()
    assert all(rule.text in text for rule in expected.rules)
    for name in ("best", "motifs"):
        ElementTree.parse(Path(f"why/{name}.svg"))
    assert main(["explain", "model", "--input", "pool.txt", "--share", "0.1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [rule["text"] for rule in printed["rules"]] == [rule.text for rule in expected.rules]
    assert {each["name"]: each["value"] for each in printed["importances"]} == {
        each.name: each.value for each in expected.importances
    }
    assert main(["explain", "model", "--input", "pool.txt", "--share", "0.1", "--out", "why"]) == 2


def test_the_command_explains_on_the_whole_space_or_a_data_set(place, capsys):
    for options, count in (([], 15_625), (["--dataset", "few"], 30)):
        archenc.registry.DATASETS.register("few", lambda: archenc.ArchDataset("few", POOL[:30], {}, ""))
        try:
            assert main(["explain", "model", "--json", "--share", "0.2", *options]) == 0
        finally:
            archenc.registry.DATASETS.unregister("few")
        assert json.loads(capsys.readouterr().out)["architectures"] == count


NONSENSE = {
    "explain nowhere": "there is no predictor in nowhere",
    "explain pool.txt": "pool.txt",
    "explain model --share 0": "give a number between 0 and 1",
    "explain model --share 1.5": "give a number between 0 and 1",
    "explain model --share nan": "give a number between 0 and 1",
    "explain model --share some": "--share",
    "explain model --dataset nasbench-graph": "cannot rank 'nasbench-graph'",
    "explain model --input other.txt": "other.txt, line 1: ",
    "explain model --input nowhere.txt": "nowhere.txt",
    "explain model --input one.txt": "the same score",
    "explain model --input pool.txt --dataset nasbench201-analog": "give one of them",
    "explain model --notation index": "leave it out",
    "explain model --out pool.txt": "is a file",
    "explain model --out model": "already exists",
}


@pytest.mark.parametrize("line", NONSENSE)
def test_nonsense_is_one_sentence_and_nothing_is_written(line, place, capsys):
    Path("other.txt").write_text("\n".join(NB101.format(NB101.sample(2))))
    Path("one.txt").write_text(SPACE.format(POOL[:1])[0])
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    line = line if "--out" in line else f"{line} --out why"
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("archenc: error: ")
    assert captured.err.count("\n") == 1
    assert NONSENSE[line.removesuffix(" --out why")] in captured.err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
