"""NAS-Bench-201: notations, numbering, enumeration, equality of cells."""

import numpy as np
import pytest
import torch

from archenc.graphs.hashing import wl_hash
from archenc.graphs.transforms import simplify
from archenc.spaces.four_nodes import EDGES
from archenc.spaces.nasbench201 import OPERATIONS, NASBench201
from tests.work import torch_calls

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
