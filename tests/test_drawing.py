"""Pictures: what lies where, what stands in them, and the command that makes them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import archenc
from archenc import CellSpace, Predictor
from archenc.commands.app import main
from archenc.errors import CannotWrite, InvalidParameter
from archenc.graphs.drawing import MOST_BOXES, colour, curve, diagram, picture
from archenc.graphs.layout import layered
from archenc.registry import SPACES
from tests.hostile import MARKER

NAMES = [name for name in SPACES.names() if name not in ("chain", "cell", "genotype", "operations")]
ARROW = 5


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
    """Many points along a path of M, H and C."""
    found, at = [], None
    for kind, numbers in re.findall(r"([MHC])([^MHC]*)", path):
        values = [float(value) for value in numbers.split()]
        if kind == "M":
            at = np.array(values)
        elif kind == "H":
            end = np.array([values[0], at[1]])
            found += [at + (end - at) * t for t in np.linspace(0, 1, 10)]
            at = end
        else:
            a, b, c, d = at, np.array(values[:2]), np.array(values[2:4]), np.array(values[4:])
            for t in np.linspace(0, 1, 30):
                found.append((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
            at = d
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_boxes_overlap_and_no_line_runs_through_one_that_it_does_not_join(name):
    for shown in cells(name):
        layout = layered(shown.sizes, shown.edges, shown.last)
        places = boxes(shown, layout)
        for i, (left, top, right, bottom) in enumerate(places):
            assert min(left, top) >= -0.01
            assert max(right - layout.width, bottom - layout.height) <= 0.01
            for other in places[:i]:
                beside = right <= other[0] or other[2] <= left
                assert beside or bottom <= other[1] or other[3] <= top, name
        for (one, other), route in zip(shown.edges, layout.routes, strict=True):
            path = curve(route, places[one][2], places[other][0] - ARROW, layout)
            for x, y in points(path):
                for at, (left, top, right, bottom) in enumerate(places):
                    if at not in (one, other):
                        assert not (left < x < right and top < y < bottom), (name, shown.texts[at])


@pytest.mark.parametrize("name", NAMES)
def test_edges_lead_from_left_to_right_and_the_output_is_last(name):
    for shown in cells(name):
        layout = layered(shown.sizes, shown.edges, shown.last)
        places = boxes(shown, layout)
        assert all(places[one][2] < places[other][0] for one, other in shown.edges)
        assert shown.texts[shown.last] == "output"
        assert places[shown.last][2] == max(place[2] for place in places)


def test_lines_in_one_layer_keep_apart():
    # A diamond whose long edge passes the two layers of the others.
    layout = layered([(30, 26)] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)], 3)
    (long,) = [route for route in layout.routes if len(route) == 4]
    for layer, y in long[1:-1]:
        (box,) = [at for at in (1, 2) if layout.layers[at] == layer]
        assert abs(layout.centres[box][1] - y) >= 13 + 12


def test_a_picture_has_a_box_for_each_operation_and_the_arrows_of_its_edges():
    space = archenc.create_space("nasbench201")
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    root = ElementTree.fromstring(space.parse([cell]).plot().svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    operations = re.findall(r"\|(\w+)~", cell)
    assert sorted(texts) == sorted([*operations, "input", "output", "1", "2"])
    lines = [one for one in root.iter("{http://www.w3.org/2000/svg}path") if one.get("fill") == "none"]
    assert len(lines) == 2 * len(operations)
    assert sum(line.get("stroke-dasharray") is not None for line in lines) == 4, "those of 'none'"


def test_a_genotype_has_two_cells_and_no_box_for_handing_on():
    graphs = archenc.create_space("darts").sample(1, seed=0)
    root = ElementTree.fromstring(graphs.plot(title="mine").svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("normal cell") == texts.count("reduction cell") == texts.count("mine") == 1
    assert texts.count("input 1") == texts.count("output") == 2
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
    assert long in [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "<b onclick" not in graphs._repr_html_()


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
    assert html.count("<img") == 4
    assert "and 6 more" in html
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "there is nothing to draw"),
        (["x", "--space", "nasbench201"], "is no NAS-Bench-201 string"),
        (["x"], "there is nothing to draw"),
        (["x", "--space", "nasbench201", "--out", "a.png"], "should end in .svg"),
        (["--dataset", "nasbench201-analog", "--rows", "a"], "--rows 'a'"),
        (["--dataset", "nasbench201-analog", "--rows", "99999"], "99999"),
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
