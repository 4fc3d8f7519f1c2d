"""Spaces of others: by what is public and documented, what they say of themselves, how they are built; and
spaces of one cell, with "none" among the operations, and of any number of steps.
"""

from __future__ import annotations

import ast
import json
import pickle
from graphlib import TopologicalSorter
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import archenc
import archenc.spaces
from archenc.dataset.rows import parse_rows
from archenc.errors import InvalidArchitecture, InvalidParameter, InvalidTable
from archenc.graphs import ArchGraphs, as_graphs
from archenc.graphs.hashing import sortable_keys
from archenc.registry import SPACES
from archenc.spaces import from_config, needs_parameters
from archenc.spaces.base import Space
from archenc.spaces.cell import CellSpace
from archenc.spaces.cell.definition import CellDefinition
from archenc.spaces.cell.drawing import random_cells
from archenc.spaces.cell.enumeration import free_cells
from archenc.spaces.cell.notation import Cell
from archenc.spaces.genotype import GenotypeSpace
from archenc.spaces.genotype.notation import GenotypeDefinition
from archenc.testing import check_space, registered_spaces
from tests.bad_input import assert_one_sentence
from tests.shared import SPACES as EXAMPLES

LETTERS = {"idle": "i", "dense": "d", "sparse": "s", "mix": "m"}


class Ladder(CellSpace):
    """Three rungs of two layers each, of which at least one is dense; written as ``"dsidmi"``."""

    parametric_ops = ("dense", "sparse")
    example = "dsidmi"

    def __init__(self) -> None:
        topology = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 7)]
        super().__init__("ladder", list(LETTERS), max_nodes=8, topology=topology, skip_op="idle")

    def config(self) -> dict[str, Any]:
        return {"name": "ladder", "parameters": {}}

    def read_one(self, item: Any, where: str) -> list[Cell | list[int]]:
        letters = "".join(LETTERS.values())
        if not isinstance(item, str) or len(item) != self.places or not set(item) <= set(letters):
            raise InvalidArchitecture(f"{where}: {item!r} is no ladder; write it as {self.example}")
        return [[letters.index(letter) for letter in item]]

    def format(self, graphs: ArchGraphs) -> list[str]:
        letters = list(LETTERS.values())
        return ["".join(letters[k] for k in row) for row in self.to_ops(graphs).tolist()]

    def choice_faults(self, graphs: ArchGraphs) -> list[tuple[Tensor, str]]:
        none_dense = (self.ops_of_cells(graphs) != 1).all(1)
        return [*super().choice_faults(graphs), (none_dense, "no layer is dense; make one dense")]

    def random_cells(self, rows: int, rng: np.random.Generator) -> ArchGraphs:
        """Half of the layers are idle."""
        numbers = rng.choice(4, size=(rows, self.places), p=[0.5, 0.2, 0.2, 0.1])
        return self.cells_from_ops(torch.from_numpy(numbers))

    def mutants(self, parents: ArchGraphs, rng: np.random.Generator) -> ArchGraphs:
        """Two neighbours change places, or one layer becomes dense."""
        numbers = self.ops_of_cells(parents).clone()
        row = torch.arange(len(numbers))
        at = torch.from_numpy(rng.integers(self.places - 1, size=len(numbers)))
        swap = torch.from_numpy(rng.random(len(numbers)) < 0.5)
        first, second = numbers[row, at].clone(), numbers[row, at + 1].clone()
        numbers[row, at] = torch.where(swap, second, 1)
        numbers[row, at + 1] = torch.where(swap, first, second)
        return self.cells_from_ops(numbers)

    def costs(self, graphs: ArchGraphs) -> dict[str, np.ndarray]:
        weights = np.array([0, 100, 10, 0])[self.to_ops(graphs)].sum(1)
        return {"parameters": weights, "flops": 2 * weights}


@pytest.fixture
def ladder():
    SPACES.register("ladder", Ladder)
    yield archenc.create_space("ladder")
    SPACES.unregister("ladder")


def test_a_space_of_ones_own_keeps_the_contract(ladder):
    check_space(ladder)


def test_its_hooks_are_what_is_called(ladder):
    graphs = ladder.sample(2000, seed=0)
    numbers = ladder.to_ops(graphs)
    assert 0.4 < (numbers == 0).mean() < 0.5  # half, less those without a dense layer
    changed = ladder.to_ops(ladder.mutate(graphs, seed=1)) != numbers
    assert set(changed.sum(1)) <= {1, 2}
    assert len(ladder.validate(ladder.enumerate())) == 4**6 - 3**6
    assert ladder.has_costs
    assert ladder.costs(ladder.parse(["dsidmi", "dddddd"]))["flops"].tolist() == [420, 1200]


def test_a_rule_of_ones_own_is_a_fault_with_its_position(ladder):
    with pytest.raises(
        InvalidArchitecture, match=r"^architecture 1: no layer is dense; make one dense$"
    ) as raised:
        ladder.parse(["dsidmi", "iiiiii"])
    assert raised.value.position == 1


def test_architectures_are_learned_from_in_a_space_of_ones_own(ladder):
    graphs = ladder.sample(60, seed=0)
    labels = ladder.costs(graphs)["parameters"].astype(float)
    for encoder, head, loss in (("op-onehot", "ridge", "mse"), ("ta-gates", "mlp", "hinge")):
        predictor = archenc.Predictor(encoder, head=head, loss=loss, epochs=1).fit(graphs, labels)
        assert np.isfinite(predictor.predict(graphs)).all()


# -- what a space says of itself -----------------------------------------------------------------------------

ALL = EXAMPLES | registered_spaces()


@pytest.mark.parametrize("name", ALL)
def test_costs_are_there_where_a_space_says_so(name):
    space = ALL[name]
    graphs = space.sample(2)
    if space.has_costs:
        assert set(space.costs(graphs)) == {"parameters", "flops"}
    else:
        with pytest.raises(archenc.errors.InvalidParameter, match="no parameter counts"):
            space.costs(graphs)


def test_parametric_operations():
    assert archenc.create_space("nasbench201").parametric_ops == ("nor_conv_1x1", "nor_conv_3x3")
    assert archenc.create_space("nasbench101").parametric_ops == ("conv3x3-bn-relu", "conv1x1-bn-relu")
    assert "concat" in archenc.create_space("darts").parametric_ops
    assert Ladder().parametric_ops == ("dense", "sparse")


def test_which_spaces_need_parameters():
    needing = {name for name in SPACES.names() if needs_parameters(SPACES.get(name))}
    assert needing == {"cell", "chain", "genotype", "stages"}
    assert not needs_parameters(lambda **settings: Ladder(**settings))


# -- the position of a bad architecture ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_an_error_says_the_position(name):
    space = ALL[name]
    good = space.format(space.sample(2))
    with pytest.raises(InvalidArchitecture, match=r"^architecture 2") as raised:
        space.parse([*good, "no architecture"])
    assert raised.value.position == 2
    assert raised.value.called("this").startswith("this")
    assert "architecture 2" not in raised.value.called("this")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.position) == (str(raised.value), 2)


def test_the_position_of_an_architecture_of_several_cells():
    space = archenc.create_space("darts")
    table = np.concatenate([space.to_genotypes(space.sample(3)).astype(int)] * 2)
    for column, value in ((0, 9), (1, 99)):
        wrong = table.copy()
        wrong[4, 1, 3, column] = value
        with pytest.raises(
            InvalidArchitecture, match=r"^architecture 4, reduce cell, edge 3: 99? "
        ) as raised:
            space.from_genotypes(wrong)
        assert raised.value.position == 4
    graphs = space.sample(3)
    graphs.adjacency[3] = 0
    with pytest.raises(InvalidArchitecture, match=r"^architecture 1, cell 1: ") as raised:
        space.validate(graphs)
    assert raised.value.position == 1


def test_the_position_of_what_is_no_text():
    space = archenc.create_space("nasbench101")
    cell = {"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"]}
    for wrong in ("0" * 32, archenc.create_space("nasbench201").sample(1)):
        with pytest.raises(InvalidArchitecture) as raised:
            as_graphs([cell, wrong], space)
        assert raised.value.position == 1


def test_an_error_of_no_architecture_has_no_position():
    space: Space = archenc.create_space("nasbench201")
    with pytest.raises(InvalidArchitecture) as raised:
        space.parse(None)
    assert raised.value.position is None
    assert raised.value.called("this") == str(raised.value)


def test_a_line_of_a_file_is_named_instead_of_the_position(ladder):
    with pytest.raises(InvalidTable, match=r"^f.txt, line 7: 'x' is no ladder; write it as dsidmi$"):
        parse_rows(Path("f.txt"), ladder, [(3, "dsidmi"), (7, "x")])


# -- how spaces are built: no circle of imports, no override of what is private ------------------------------

ROOT = Path(archenc.spaces.__file__).parent
FILES = {"/".join(("archenc", "spaces", *path.relative_to(ROOT).parts)): path for path in ROOT.rglob("*.py")}
MODULES = {
    name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for name, path in FILES.items()
}


def imported(path: Path) -> set[str]:
    """The modules of archenc.spaces that a file imports anywhere, for a type checker only, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {node.module}
    return found & MODULES.keys()


def test_no_circle_of_imports():
    tuple(TopologicalSorter({name: imported(path) for name, path in MODULES.items()}).static_order())


def test_what_a_definition_says_is_known_without_the_space():
    spaces = {CellSpace.__module__, GenotypeSpace.__module__}
    for part in (CellDefinition, Cell, random_cells, free_cells, GenotypeDefinition):
        assert not imported(MODULES[part.__module__]) & spaces, part
    assert imported(MODULES[CellDefinition.__module__]) == {"archenc.spaces.parameters"}


def test_files_are_short():
    for path in MODULES.values():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("name", SPACES.names())
def test_no_space_overrides_what_is_private(name):
    bases = [base for base in SPACES.get(name).__mro__ if base.__module__.startswith("archenc.spaces")]
    own = [
        {name for name in vars(base) if name[0] == "_" and not name.startswith(("__", "_abc"))}
        for base in bases
    ]
    for at, attributes in enumerate(own):
        for above in own[at + 1 :]:
            assert not attributes & above, f"{bases[at].__name__} overrides {attributes & above}"


OPERATIONS = ("none", "skip_connect", "conv")
ROLES: dict[str, Any] = {"none_op": "none", "skip_op": "skip_connect"}


def genotype(nodes: int, **parameters: Any) -> GenotypeSpace:
    return GenotypeSpace("log", OPERATIONS, nodes=nodes, cells=1, **ROLES, **parameters)


def cell(**parameters: Any) -> CellSpace:
    return CellSpace("log", OPERATIONS, **ROLES, **parameters)


ONE_CELL: dict[str, Space] = {
    **{f"genotype of {nodes}": genotype(nodes) for nodes in (1, 2, 7)},
    "genotype of 1, different inputs": genotype(1, distinct_inputs=True),
    "genotype of 3, different inputs": genotype(3, distinct_inputs=True, output="loose"),
    "edges": cell(op_on="edge", max_nodes=4, num_inputs=2),
    "one edge": cell(op_on="edge", max_nodes=2, topology=[(0, 1)]),
    "fixed edges": cell(op_on="edge", max_nodes=4, topology=[(0, 1), (0, 2), (1, 2), (2, 3)]),
    "nodes": cell(max_nodes=5),
    "one node": cell(max_nodes=3, topology=[(0, 1), (1, 2)]),
}


@pytest.mark.parametrize("name", ONE_CELL)
def test_one_cell_goes_through_everything(name: str) -> None:
    space = ONE_CELL[name]
    check_space(space, n=20)
    assert from_config(json.loads(json.dumps(space.config()))) == space
    graphs = space.sample(30, seed=1)
    assert len(graphs) == len(graphs.adjacency)
    for text, one in zip(space.format(graphs[:3]), sortable_keys(graphs.hash()), strict=False):
        assert sortable_keys(space.parse(text).hash()) == [one]
    for encoder in ("combined", "gates"):
        for simplify in (False, True):
            assert np.isfinite(archenc.create_encoder(encoder, space, simplify=simplify).encode(graphs)).all()


@pytest.mark.parametrize("operations", [("none",), ("none", "skip_connect")])
def test_operations_that_compute_nothing(operations: tuple[str, ...]) -> None:
    space = CellSpace("nothing", operations, op_on="edge", max_nodes=3, none_op="none")
    assert np.isfinite(archenc.create_encoder("gates", space).encode(space.sample(4))).all()


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_every_genotype_is_listed_once(nodes: int) -> None:
    space = genotype(nodes, output="loose")
    cells = space.enumerate()
    digests = sortable_keys(cells.hash())
    assert len(set(digests)) == len(cells)
    assert np.isin(sortable_keys(space.sample(500).hash()), digests).all()


def test_two_cells_are_all_pairs_of_one() -> None:
    one, two = (
        GenotypeSpace("g", ["a", "b"], nodes=1, skip_op=None, cells=cells).enumerate() for cells in (1, 2)
    )
    assert len(one) == comb(5, 2)
    assert len(two) == len(one) ** 2


def test_forms_of_one_cell() -> None:
    space = genotype(2)
    named = [("none", 0), ("conv", 1), ("skip_connect", 0), ("conv", 2)]
    pairs = [[0, 0], [1, 2], [0, 1], [2, 2]]
    text = f"Genotype(normal={named}, normal_concat=range(2, 4))"
    forms = [
        text,
        f"Genotype(normal={named}, normal_concat=range(2, 4), reduce=[], reduce_concat=[])",
        {"normal": named},
        named,
        pairs,
    ]
    forms += [
        str(pairs),
        json.dumps({"normal": named, "normal_concat": [2, 3]}),
        np.array(pairs),
        np.array([pairs]),
        np.array([[pairs]]),
    ]
    expected = space.parse(text)
    assert space.format(expected)[0].startswith("Genotype(normal=[")
    assert "reduce" not in space.format(expected)[0]
    for form in forms:
        assert torch.equal(space.parse(form).ops, expected.ops), form
    assert len(space.parse([text, named, {"normal": named}])) == 3
    assert space.to_genotypes(expected).shape == (1, 1, 4, 2)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("Genotype(normal=[('conv', 0), ('conv', 1)], reduce=[('conv', 0), ('conv', 1)])", "has one cell"),
        ([[0, 0], [1, 5]], "5 is no operation"),
        ([[0, 0], [2, 1]], "edge 1: 2 is no node before"),
        ([[0, 0]], "two for each of 1 intermediate nodes"),
    ],
)
def test_what_is_no_single_cell_is_refused(form: Any, message: str) -> None:
    with pytest.raises(InvalidArchitecture, match=message) as caught:
        genotype(1).parse(form)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("cells", [0, 3, "1", None, True])
def test_genotypes_have_one_cell_or_two(cells: Any) -> None:
    with pytest.raises(InvalidParameter, match="the number of cells"):
        GenotypeSpace("g", ["a"], nodes=1, skip_op=None, cells=cells)


def test_the_description_of_two_cells_is_what_it_was() -> None:
    assert "cells" not in GenotypeSpace("g", ["a"], nodes=1, skip_op=None).config()["parameters"]
