"""NAS-Bench-201: the string, numbering, enumeration, equality of cells; other notations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import archenc
from archenc.dataset.rows import parse_architectures
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs.hashing import wl_hash
from archenc.graphs.transforms import simplify
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.nasbench201 import OPERATIONS, NASBench201
from tests.bad_input import refused
from tests.shared import torch_calls

SPACE = NASBench201()
TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
NUMBERS = [3, 0, 1, 4, 2, 3]


@pytest.fixture(scope="module")
def table(data_root):
    path = data_root / "nasbench201" / "table.npz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("arch", "ops", "iso_group")}


def test_the_string():
    graphs = SPACE.parse(TEXT)
    assert SPACE.to_ops(graphs).tolist() == [NUMBERS]
    for k, (source, target) in zip(NUMBERS, EDGES, strict=True):
        assert int(graphs.ops[0, source, target]) == k + 1
    assert SPACE.format(graphs) == [TEXT]
    assert len(SPACE.parse([TEXT, f" {TEXT}\n"])) == 2


def test_every_other_notation():
    nested = SPACE.to_tuples(SPACE.parse(TEXT))[0]
    assert nested == (
        (("nor_conv_3x3", 0),),
        (("none", 0), ("skip_connect", 1)),
        (("avg_pool_3x3", 0), ("nor_conv_1x1", 1), ("nor_conv_3x3", 2)),
    )
    names = [OPERATIONS[k] for k in NUMBERS]
    for one in (TEXT, nested, names, tuple(names), NUMBERS, np.array(NUMBERS)):
        assert SPACE.to_ops(SPACE.parse(one)).tolist() == [NUMBERS]
    mixed = [TEXT, nested, names, NUMBERS]
    assert SPACE.to_ops(SPACE.parse(mixed)).tolist() == [NUMBERS] * 4
    assert SPACE.to_ops(SPACE.parse(np.array([NUMBERS] * 3))).tolist() == [NUMBERS] * 3


def test_naslib_numbers():
    # 0->1 skip, 0->2 none, 0->3 3x3, 1->2 1x1, 1->3 pool, 2->3 skip, in NASLib's numbers and edge order
    graphs = SPACE.from_naslib([(0, 1, 2, 3, 4, 0)])
    assert SPACE.format(graphs) == [
        "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|skip_connect~2|"
    ]
    assert SPACE.to_naslib(graphs).tolist() == [[0, 1, 2, 3, 4, 0]]
    everything = SPACE.enumerate()
    assert torch.equal(SPACE.from_naslib(SPACE.to_naslib(everything)).ops, everything.ops)
    assert len(SPACE.from_naslib([])) == 0


def test_enumerate_is_in_counting_order():
    graphs = SPACE.enumerate()
    numbers = SPACE.to_ops(graphs)
    assert numbers.shape == (15_625, 6)
    assert (numbers @ 5 ** np.arange(5, -1, -1) == np.arange(15_625)).all()


def test_reading_all_cells_calls_torch_no_more_often_than_reading_ten():
    texts = SPACE.format(SPACE.enumerate())
    assert SPACE.format(SPACE.parse(texts)) == texts
    assert torch_calls(lambda: SPACE.parse(texts)) == torch_calls(lambda: SPACE.parse(texts[:10]))


def expression(numbers):
    """The published isomorphism string, from its definition: sorted sums in which every "none" counts as a
    term.
    """
    values = ["0"]
    ops = iter(numbers)
    for target in (1, 2, 3):
        terms = []
        for source in range(target):
            op = OPERATIONS[next(ops)]
            if op == "none" or (op != "skip_connect" and values[source] == "#"):
                terms.append("#")
            else:
                terms.append(values[source] if op == "skip_connect" else f"({values[source]})@{op}")
        values.append("+".join(sorted(terms)))
    return values[3]


def classes(digests):
    return np.unique(digests, axis=0, return_inverse=True)[1].ravel()


def pairs_of(a, b):
    return len(np.unique(np.stack([a, b]), axis=1).T)


def test_relation_to_the_published_isomorphism_groups():
    """The numbers in the docstring of NASBench201."""
    graphs = SPACE.enumerate()
    published = np.unique(
        [expression(numbers) for numbers in SPACE.to_ops(graphs).tolist()], return_inverse=True
    )[1]
    as_given, simple = classes(SPACE.hash(graphs)), classes(SPACE.hash(simplify(SPACE.node_form(graphs))))
    assert (published.max() + 1, as_given.max() + 1, simple.max() + 1) == (6_466, 14_125, 5_257)
    assert pairs_of(published, as_given) > 14_125, "the hash as given is not finer"
    assert pairs_of(published, simple) > 6_466, "the simplified hash is neither coarser"
    assert pairs_of(as_given, simple) == 14_125, "but what is isomorphic is also equal when simplified"


def test_against_the_table(table):
    texts = [text.decode() for text in table["arch"].tolist()]
    graphs = SPACE.parse(texts)
    assert (SPACE.to_ops(graphs) == table["ops"]).all()
    assert SPACE.format(graphs) == texts
    published = np.unique([expression(numbers) for numbers in table["ops"].tolist()], return_inverse=True)[1]
    assert pairs_of(published, table["iso_group"]) == 6_466


def test_disconnected_cells():
    """As many as the benchmark has cells at chance level."""
    simple = simplify(SPACE.node_form(SPACE.enumerate()))
    assert int((simple.adjacency.flatten(1).sum(1) == 0).sum()) == 341
    assert len(np.unique(wl_hash(simple)[(simple.adjacency.flatten(1).sum(1) == 0).numpy()], axis=0)) == 1


# -- by index, by edges, and as six numbers in a named notation ----------------------------------------------

OFFICIAL = {  # 0 stands in the benchmark's own generator, the others in its table
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    1: "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    17: "|avg_pool_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_1x1~0|skip_connect~1|nor_conv_1x1~2|",
}
# an example in zc_combine, which uses NASLib's conversions
NASLIB = (
    (4, 0, 3, 1, 4, 3),
    "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|",
)


def test_official_indices():
    assert SPACE.format(SPACE.parse(list(OFFICIAL))) == list(OFFICIAL.values())
    assert SPACE.format(SPACE.parse("17")) == SPACE.format(SPACE.parse(17)) == [OFFICIAL[17]]
    everything = SPACE.from_index(range(15_625))
    assert (SPACE.to_index(everything) == np.arange(15_625)).all()


def test_official_indices_are_the_rows_of_the_table(data_root):
    path = data_root / "nasbench201" / "table.npz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with np.load(path, allow_pickle=False) as table:
        assert (SPACE.to_ops(SPACE.from_index(range(15_625))) == table["ops"]).all()


BY_NAME = {
    "2_3": "nor_conv_1x1",
    "0_1": "avg_pool_3x3",
    "1_2": "none",
    "0_2": "skip_connect",
    "1_3": "avg_pool_3x3",
    "0_3": "nor_conv_1x1",
}


@pytest.mark.parametrize(
    "six",
    [
        "(4, 0, 3, 1, 4, 3)",
        "4 0 3 1 4 3",
        "[4,0,3,1,4,3]",
        " 4, 0, 3, 1, 4, 3 ",
        [4, 0, 3, 1, 4, 3],
        np.array(NASLIB[0]),
    ],
)
def test_six_numbers_mean_what_their_notation_says(six):
    assert SPACE.format(SPACE.parse(six, notation="naslib")) == [NASLIB[1]]
    assert SPACE.to_ops(SPACE.parse(six)).tolist() == [list(NASLIB[0])]
    assert SPACE.to_ops(SPACE.parse([six, six])).tolist() == [list(NASLIB[0])] * 2


@pytest.mark.parametrize("sign", ["{}_{}", "{}->{}", "{1}<-{0}", None])
def test_edges_in_any_order(sign):
    edges = {tuple(map(int, key.split("_"))): op for key, op in BY_NAME.items()}
    edges = {key if sign is None else sign.format(*key): op for key, op in edges.items()}
    assert SPACE.format(SPACE.parse(edges)) == [NASLIB[1]]
    assert SPACE.format(SPACE.parse([edges, NASLIB[1]])) == [NASLIB[1]] * 2
    assert SPACE.format(SPACE.parse(edges, notation="naslib")) == [NASLIB[1]]  # names have one meaning only


def test_numbers_of_edges_are_read_by_the_notation():
    text = '{"0_1": 4, "0_2": 0, "0_3": 3, "1_2": 1, "1_3": 4, "2_3": 3}'
    assert SPACE.format(SPACE.parse(text, notation="naslib")) == [NASLIB[1]]
    assert SPACE.to_ops(SPACE.parse(text)).tolist() == [[4, 0, 1, 3, 4, 3]]


def test_a_list_of_six_numbers_is_one_architecture_unless_they_are_named_indices():
    assert len(SPACE.parse([0, 1, 2, 3, 4, 4])) == 1
    assert SPACE.to_index(SPACE.parse([0, 1, 2, 3, 4, 4], notation="index")).tolist() == [0, 1, 2, 3, 4, 4]
    assert SPACE.to_index(SPACE.parse([0, 1, 2, 3, 4])).tolist() == [0, 1, 2, 3, 4]
    refused(lambda: SPACE.parse([0, 1, 2, 3, 4, 17]), InvalidArchitecture, "notation='index'")


NO_201 = {
    "index too high": (15_625, "15,624"),
    "negative index": (-1, "no index"),
    "text of an index too high": ("99999", "no index"),
    "truth": (True, "bool|2 operations"),
    "an edge missing": ({"0_1": "none"}, "'0_2' is missing"),
    "an edge twice": ({**BY_NAME, "0->1": "none"}, "twice"),
    "an edge backwards": ({**BY_NAME, "1_0": "none"}, "'1_0' is no edge"),
    "an edge of a node that is not there": ({**BY_NAME, (0, 9): "none"}, "no edge"),
    "a key that is none": ({**BY_NAME, 7: "none"}, "7 is no edge"),
    "an unknown operation": ({**BY_NAME, "0_1": "conv5"}, "unknown operation 'conv5'"),
    "a number too high": ("4 0 3 1 4 5", "5 is no operation"),
    "five numbers": ("4 0 3 1 4", "string"),
    "no JSON": ('{"0_1": ', "JSON"),
    "JSON with a key twice": ('{"0_1": 1, "0_1": 2}', "JSON"),
}


@pytest.mark.parametrize("notation", ["official", "naslib", "index"])
@pytest.mark.parametrize("kind", NO_201)
def test_what_is_no_cell_of_nasbench201(kind, notation):
    item, says = NO_201[kind]
    refused(lambda: SPACE.parse([OFFICIAL[0], item], notation=notation), InvalidArchitecture, says)
    refused(lambda: SPACE.parse(item, notation=notation), InvalidArchitecture, says)


def test_tables_name_the_notation(tmp_path):
    (tmp_path / "six.csv").write_text('arch,acc\n"(4, 0, 3, 1, 4, 3)",90\n0 0 0 0 0 0,80\n')
    (tmp_path / "lines.txt").write_text("4 0 3 1 4 3\n")
    (tmp_path / "index.jsonl").write_text("".join(f'{{"arch": {index}, "acc": 1}}\n' for index in range(6)))
    read = archenc.load_dataset("table", path=tmp_path / "six.csv", space="nasbench201", notation="naslib")
    assert (
        SPACE.format(read.graphs)[0]
        == SPACE.format(parse_architectures(tmp_path / "lines.txt", SPACE, "naslib"))[0]
        == NASLIB[1]
    )
    assert SPACE.to_index(
        archenc.load_dataset("table", path=tmp_path / "index.jsonl", space=SPACE).graphs
    ).tolist() == [*range(6)]
    refused(
        lambda: archenc.load_dataset("table", path=tmp_path / "six.csv", space="nasbench201", notation="no"),
        InvalidParameter,
    )
