"""Pictures: what lies where, what stands in them, and the command that makes them."""

from __future__ import annotations

import re
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import archenc
from archenc import CellSpace, Predictor
from archenc.commands.app import main
from archenc.errors import CannotWrite, InvalidParameter
from archenc.graphs.drawing import LETTER, MOST_BOXES, MOST_EDGES, Diagram, colour, diagram, picture
from archenc.graphs.layout import ARROW, WIDEST, layered, rows
from archenc.registry import SPACES
from tests.bad_input import MARKER

NAMES = [name for name in SPACES.names() if name not in ("chain", "cell", "genotype", "operations", "stages")]
SVG = "{http://www.w3.org/2000/svg}"


def cells(name):
    """The diagrams of some architectures of a space."""
    graphs = archenc.create_space(name).sample(4, seed=3)
    return [diagram(graphs, row) for row in range(len(graphs.adjacency))]


def boxes(shown, layout):
    """Left, top, right, bottom of each."""
    return [
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        for (width, height), (x, y) in zip(shown.sizes, layout.centres, strict=True)
    ]


def points(path):
    """Many points along a path of M, H, L, Q and C."""
    found, at = [], None
    for kind, numbers in re.findall(r"([MHLQC])([^MHLQC]*)", path):
        values = np.array([float(value) for value in numbers.split()])
        if kind == "M":
            corners = [values]
        elif kind == "H":
            corners = [at, np.array([values[0], at[1]])]
        else:
            corners = [at, *values.reshape(-1, 2)]
        found += [bezier(corners, t) for t in np.linspace(0, 1, 40)]
        at = corners[-1]
    return found


def bezier(corners, t):
    while len(corners) > 1:
        corners = [(1 - t) * one + t * other for one, other in pairwise(corners)]
    return corners[0]


def chain(count):
    shown = Diagram([f"box {at}" for at in range(count)], ["#ffffff"] * count)
    shown.edges, shown.last = [(at, at + 1) for at in range(count - 1)], count - 1
    return shown


def residual(count):
    shown = chain(count)
    shown.edges += [(at, at + 4) for at in range(0, count - 4, 4)]
    return shown


def dense(count):
    shown = chain(count)
    shown.edges = [(one, other) for other in range(count) for one in range(other)]
    return shown


def random_networks():
    rng = np.random.default_rng(0)
    for count, likely in product((1, 6, 20, 50), (0.03, 0.1, 0.3)):
        shown = Diagram(["x" * width for width in rng.integers(1, 30, count)], ["#ffffff", None] * count)
        shown.fills = shown.fills[:count]
        nearby = np.abs(np.subtract.outer(range(count), range(count))) < 4
        chosen = np.triu(rng.random((count, count)) < np.where(nearby, 0.5, likely), 1)
        shown.edges, shown.last = list(map(tuple, np.argwhere(chosen).tolist()))[:MOST_EDGES], count - 1
        yield shown


DRAWN = {name: (lambda name=name: cells(name)) for name in NAMES}
DRAWN |= {"chain": lambda: [chain(70)], "residual": lambda: [residual(70)], "dense": lambda: [dense(16)]}
DRAWN |= {"random": random_networks}


@pytest.mark.parametrize("name", DRAWN)
def test_no_boxes_overlap_and_no_line_runs_through_one_that_it_does_not_join(name):
    for shown in DRAWN[name]():
        layout = layered(shown.sizes, shown.edges, shown.last)
        places = np.array(boxes(shown, layout))
        assert places.min() >= -0.01
        assert (places[:, 2:].max(0) <= np.array([layout.width, layout.height]) + 0.01).all()
        left, top, right, bottom = places.T
        apart = (right[:, None] <= left) | (bottom[:, None] <= top)
        assert (apart | apart.T | np.eye(len(places), dtype=bool)).all(), name
        for (one, other), path in zip(shown.edges, layout.paths, strict=True):
            passed = np.array(points(path))
            assert passed[0] == pytest.approx([right[one], layout.centres[one][1]], abs=0.1)
            assert passed[-1] == pytest.approx([left[other] - ARROW, layout.centres[other][1]], abs=0.1)
            assert passed.min() >= 0
            assert (passed <= [layout.width, layout.height]).all()
            x, y = passed.T[..., None]
            hit = ((left < x) & (x < right) & (top < y) & (y < bottom)).any(0)
            hit[[one, other]] = False
            assert not hit.any(), (name, [shown.texts[at] for at in hit.nonzero()[0]])


@pytest.mark.parametrize("name", DRAWN)
def test_edges_lead_from_left_to_right_and_from_one_line_of_the_page_to_the_next(name):
    for shown in DRAWN[name]():
        layout = layered(shown.sizes, shown.edges, shown.last)
        places = boxes(shown, layout)
        bands = [layout.bands[layer] for layer in layout.layers]
        for one, other in shown.edges:
            assert bands[one] <= bands[other]
            if bands[one] == bands[other]:
                assert places[one][2] < places[other][0]
            else:
                assert places[one][3] < places[other][1]
        final = [place for place, band in zip(places, bands, strict=True) if band == bands[shown.last]]
        assert max(bands) == bands[shown.last]
        assert places[shown.last][2] == max(place[2] for place in final)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_a_space_are_well_formed_and_their_texts_fit_their_boxes(name):
    root = ElementTree.fromstring(archenc.create_space(name).sample(3, seed=1).plot(1, title="<&>").svg)
    drawn = [group for group in root.iter(f"{SVG}g") if group.find(f"{SVG}rect") is not None]
    assert drawn
    for group in drawn:
        text, box = group.find(f"{SVG}text"), group.find(f"{SVG}rect")
        assert float(text.get("textLength")) == pytest.approx(len(text.text) * LETTER, abs=0.1)
        assert float(text.get("textLength")) + 6 < float(box.get("width"))
    assert float(root.get("width")) <= 1.25 * WIDEST


def test_what_is_too_wide_goes_on_below():
    for shown, lines in ((chain(70), 0), (residual(70), 0), (chain(5), 1)):
        layout = layered(shown.sizes, shown.edges, shown.last)
        assert layout.width <= WIDEST + 60
        found = max(layout.bands) + 1
        assert found == lines if lines else found > 3
        ends = [layout.layers[at] for at in range(len(shown.texts))]
        counts = np.bincount([layout.bands[layer] for layer in ends])
        assert counts.min() > counts.max() / 3, "lines are about as long"


def test_lines_in_one_layer_keep_apart_and_are_level():
    # A diamond whose long edge passes the two layers of the others.
    layout = layered([(30, 26)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)], 3)
    inside = np.array([y for x, y in points(layout.paths[3]) if 74 <= x <= 178])
    assert len(inside) > 20
    assert np.ptp(inside) < 0.1
    assert abs(inside[0] - layout.centres[1][1]) >= 13 + 12
    assert layout.centres[1][1] == layout.centres[2][1]


def test_a_long_line_goes_before_a_short_one_that_crosses_it():
    places = rows([[2, 0], [1, 3]], [(2, 3), (0, 1)], [26, 26, 6, 6], 2)
    assert places[2] == places[3]


def test_lines_from_one_box_are_one_as_far_as_they_go_the_same_way():
    layout = layered([(30, 26)] * 5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)], 4)
    shorter, longer = (layout.paths[at] for at in (4, 5))
    assert longer.startswith(shorter[: shorter.rindex("C") - 8])


def test_what_nothing_joins_lies_below_what_is_joined():
    layout = layered([(30, 26)] * 4, [(0, 2), (2, 3)], 3)
    assert layout.centres[1][1] > layout.centres[0][1]


def test_a_picture_has_a_box_for_each_operation_and_the_arrows_of_its_edges():
    space = archenc.create_space("nasbench201")
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    root = ElementTree.fromstring(space.parse([cell]).plot().svg)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    operations = re.findall(r"\|(\w+)~", cell)
    assert sorted(texts) == sorted([*operations, "input", "output", "1", "2"])
    lines = [one for one in root.iter(f"{SVG}path") if one.get("fill") == "none"]
    dashed = [one.get("d").count("M") for one in lines if one.get("stroke-dasharray")]
    assert sum(one.get("d").count("M") for one in lines) == 2 * len(operations)
    assert sum(dashed) == 4, "those of 'none'"


def test_a_genotype_has_two_cells_and_no_box_for_handing_on():
    graphs = archenc.create_space("darts").sample(1, seed=0)
    root = ElementTree.fromstring(graphs.plot(title="mine").svg)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts.count("normal cell") == texts.count("reduction cell") == texts.count("mine") == 1
    assert texts.count("input 0") == texts.count("input 1") == texts.count("output") == 2
    assert texts.count("2") == texts.count("5") == 2, "as genotypes number them"
    assert "concat" not in texts
    boxes = [text for text in texts if "_" in text or text == "none"]
    assert len(boxes) == 16


def test_an_operation_has_one_colour_in_a_space_and_kinds_differ():
    space = archenc.create_space("darts")
    colours = {name: colour(name, space.operations) for name in space.operations}
    assert len(set(colours.values())) == len(colours)
    assert colour("conv3x3-bn-relu", ["conv3x3-bn-relu"]) == colour("nor_conv_1x1", ["nor_conv_1x1"])
    assert colour("maxpool3x3", ["maxpool3x3"]) == colour("avg_pool", ["avg_pool"])
    assert colour("blend_gate", ["blend_gate"]) != colour("gat", ["gat"])


def test_the_same_architecture_gives_the_same_text():
    graphs = archenc.create_space("nasbench101").sample(5, seed=1)
    assert picture(graphs).svg == picture(graphs).svg
    assert graphs.plot(3).svg == graphs[3].plot().svg


def test_names_are_text_and_long_ones_are_cut():
    long = "an_operation_with_a_name_that_no_box_can_hold_3x3"
    space = CellSpace("mine", [MARKER, long], op_on="node", max_nodes=4, max_edges=4)
    graphs = space.graphs([[[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]], [[1, 3, 4, 2]])
    svg = graphs.plot(title=MARKER).svg
    root = ElementTree.fromstring(svg)
    assert "<b" not in svg
    assert "\x1b" not in svg
    assert long in [element.text for element in root.iter(f"{SVG}title")]
    assert "<b onclick" not in graphs._repr_html_()


def test_letters_of_two_columns_and_marks_of_none_fit_their_box():
    wide, marked = "畳み込み", "e\u0301" * 40
    shown = Diagram([wide, "abcdefgh", marked, "\u0301" * 500], ["#ffffff"] * 4)
    (first, _), (second, _), (third, _), (fourth, _) = shown.sizes
    assert first == second
    assert third <= 30 * LETTER + 16
    space = CellSpace("mine", [wide, marked], op_on="node", max_nodes=4, max_edges=4)
    svg = space.sample(3, seed=0).plot().svg
    assert fourth < first
    assert max(len(element.text) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")) <= 120


def test_numbers_of_states_fit_their_circles():
    ((narrow, height), (wide, _)) = Diagram(["1", "1234"], [None, None]).sizes
    assert narrow == height
    assert wide > 4 * LETTER


def test_inputs_have_the_names_of_their_space():
    texts = cells("nasbench-nlp")[0].texts
    assert texts[:4] == ["x", "h_prev_0", "h_prev_1", "h_prev_2"]


def test_several_architectures_lie_beside_and_below_each_other():
    graphs = archenc.create_space("nasbench201").sample(4, seed=0)
    one, four = graphs.plot(), picture(graphs, ["a", "b", "c", "x" * 500])
    assert one.width * 1.5 < four.width < one.width * 3
    assert four.height < 3.5 * one.height
    root = ElementTree.fromstring(four.svg)
    assert max(len(text.text) for text in root.iter(f"{SVG}text")) == 60
    assert picture(graphs[:0]).svg.count("<text") == 0


def test_a_network_of_many_edges_is_cut_to_a_bound():
    nodes = 60
    space = CellSpace("dense", ["conv"], op_on="node", max_nodes=nodes, max_edges=nodes**2)
    adjacency = np.triu(np.ones((nodes, nodes), int), 1)
    graphs = space.graphs([adjacency], [[1, *[3] * (nodes - 2), 2]])
    shown = diagram(graphs, 0)
    assert len([edge for edge in shown.edges if edge[1] != shown.last]) <= MOST_EDGES
    assert 15 < len(shown.texts) < 30
    assert f"and {nodes - len(shown.texts) + 1} more" in shown.texts


def test_a_large_network_is_cut_to_a_bound():
    nodes = 4 * MOST_BOXES
    space = CellSpace("long", ["conv"], op_on="node", max_nodes=nodes, max_edges=nodes)
    adjacency = np.eye(nodes, k=1, dtype=int)
    graphs = space.graphs([adjacency], [[1, *[3] * (nodes - 2), 2]])
    svg = graphs.plot().svg
    assert svg.count("<rect") == MOST_BOXES + 1
    assert f"and {nodes - MOST_BOXES} more" in svg


def test_a_picture_is_saved_whole_or_not_at_all(tmp_path):
    shown = archenc.create_space("nasbench201").sample(1, seed=0).plot()
    assert shown.save(tmp_path / "cell.svg").read_text() == shown._repr_svg_()
    with pytest.raises(InvalidParameter, match=r"should end in \.svg"):
        shown.save(tmp_path / "cell.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        shown.save(tmp_path / "file" / "cell.svg")


# -- notebooks -----------------------------------------------------------------------------------------------


def test_a_batch_shows_its_first_architectures():
    graphs = archenc.create_space("nasbench201").sample(10, seed=0)
    html = graphs._repr_html_()
    assert html.count("<img") == 6
    assert "and 4 more" in html
    assert graphs[:2]._repr_html_().count("<img") == 2
    assert "<img" not in graphs[:0]._repr_html_()


def test_a_data_set_shows_labels_units_licence_and_a_histogram():
    dataset = archenc.load_dataset("nasbench201-analog")
    html = dataset._repr_html_()
    for words in ("15,625", "CIFAR-10 accuracy in percent", "licence", "MIT", "ICLR 2020", "<img"):
        assert words in html
    space = archenc.create_space("nasbench201")
    hostile = archenc.ArchDataset(MARKER, space.sample(3, 0), {MARKER: [1.0, 2.0, np.nan]}, MARKER)
    html = hostile._repr_html_()
    assert "<b onclick" not in html
    assert "\x1b" not in html
    unlabelled = archenc.ArchDataset("mine", space.sample(3, 0), {}, "")
    assert "<img" not in unlabelled._repr_html_()


@pytest.mark.parametrize(
    ("labels", "drawn"),
    [
        ([np.nan] * 3, False),
        ([5.0] * 3, True),
        ([5.0, 5.0, 5.0 + 4e-15], False),
        ([1e300, 1.0, 2.0], False),
        ([1e16, 1e16, 1e16], False),
        ([-1e99, 0.0, 1e99], True),
    ],
)
def test_labels_that_bins_cannot_tell_apart_have_no_histogram(labels, drawn):
    graphs = archenc.create_space("nasbench201").sample(3, seed=0)
    assert ("<img" in archenc.ArchDataset("mine", graphs, {"y": labels}, "y")._repr_html_()) == drawn


def test_a_predictor_shows_its_parts_and_what_it_learnt():
    space = archenc.create_space("nasbench201")
    graphs, y = space.sample(30, seed=0), np.arange(30.0)
    predictor = Predictor("gates", "mlp", "hinge", epochs=3)
    assert "not fitted" in predictor._repr_html_()
    predictor.fit(graphs, y)
    assert len(predictor.losses_) == 3
    assert all(np.isfinite(predictor.losses_))
    html = predictor._repr_html_()
    for words in ("gates + mlp + hinge", "fitted on nasbench201", "<img", "epochs"):
        assert words in html
    auto = Predictor(budget="fast").fit(graphs, y)._repr_html_()
    for words in ("auto", "combined + mixture", "member grouped-gp", "left out in turn"):
        assert words in auto


def test_notebooks_show_this_and_not_what_scikit_learn_shows_of_estimators():
    predictor = Predictor("gates", device="<script>")
    shown = predictor._repr_mimebundle_(include=None, exclude=None)  # as notebooks call it
    assert shown["text/html"] == predictor._repr_html_()
    assert shown["text/plain"] == repr(predictor)
    assert "&lt;script&gt;" in shown["text/html"]
    assert "<script" not in shown["text/html"]


def test_losses_of_a_training_are_the_mean_losses_of_its_epochs():
    space = archenc.create_space("nasbench201")
    seen = []
    predictor = Predictor("op-count", "mlp", "mse", epochs=4, random_state=0)
    predictor.fit(
        space.sample(20, seed=0), np.arange(20.0), on_epoch_end=lambda epoch, one: seen.append(epoch)
    )
    assert len(predictor.losses_) == len(seen) == 4
    assert predictor.losses_[-1] < predictor.losses_[0]


# -- the command ---------------------------------------------------------------------------------------------


def test_the_command_draws_texts_files_and_data_sets(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = archenc.create_space("nasbench201").format(archenc.create_space("nasbench201").sample(3, seed=0))
    assert main(["draw", cells[0], "--space", "nasbench201", "--out", "one.svg"]) == 0
    assert capsys.readouterr().out == "one.svg\n"
    assert Path("one.svg").read_text().count(">output<") == 1
    Path("runs.csv").write_text("arch,accuracy\n" + "".join(f"{cell},90\n" for cell in cells))
    assert main(["draw", "runs.csv", cells[0], "--space", "nasbench201"]) == 0
    assert Path("architectures.svg").read_text().count(">output<") == 4
    assert main(["draw", "--dataset", "nasbench201-analog", "--rows", "0,5", "--out", "two.svg"]) == 0
    assert Path("two.svg").read_text().count(">output<") == 2
    assert "nasbench201-analog, row 5" in Path("two.svg").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "there is nothing to draw"),
        (["x", "--space", "nasbench201"], "is no NAS-Bench-201 string"),
        (["x"], "there is nothing to draw"),
        (["x", "--space", "nasbench201", "--out", "a.png"], "should end in .svg"),
        (["--dataset", "nasbench201-analog", "--rows", "a"], "--rows 'a'"),
        (["--dataset", "nasbench201-analog", "--rows", "99999"], "99999"),
        (["--dataset", "nasbench201-analog", "x"], "draws its own architectures"),
        (["--dataset", "nasbench201-analog", "--space", "nasbench201"], "draws its own architectures"),
        (["x", "--space", "nasbench201", "--rows", "0"], "--rows are those of a data set"),
        (["--dataset", "nasbench201-analog", "--rows", ",".join(["1"] * 101)], "101 architectures"),
        (["x" * 5_000, "--space", "nasbench201"], "is no NAS-Bench-201 string"),
    ],
)
def test_mistakes_are_one_sentence(options, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
