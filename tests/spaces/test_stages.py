"""Spaces of choices: layers with attributes, depths, conditions and constraints, however they are written."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidArchitecture, InvalidParameter
from archenc.graphs import concatenate
from archenc.predictor.automatic import recommend
from archenc.search import operators
from archenc.spaces import StageSpace, from_config
from archenc.testing import check_space
from tests.bad_input import assert_one_sentence

BLOCKS = {"layers": [2, 3], "attributes": {"heads": [4, 8, 12], "ratio": [2, 4]}}
SMALL = StageSpace(
    "small", stages={"blocks": BLOCKS}, globals={"embed_dim": [192, 384], "bias": [False, True]}
)
RICH: dict[str, Any] = {
    "stages": {
        "body": {"layers": [1, 3], "attributes": {"op": ["conv", "mb"], "kernel": [3, 5], "expand": [1, 6]}},
        "tail": {"attributes": {"se": [True, False]}},
    },
    "globals": {"resolution": [128, 160], "stem": ["a", "b"]},
    "conditions": [
        {"attribute": "body.expand", "when": {"body.op": "mb"}},
        {"attribute": "body.kernel", "when": {"body.op": ["conv", "mb"], "resolution": [160]}},
        {"attribute": "stem", "when": {"resolution": 128}},
    ],
    "constraints": [
        {"forbid": {"resolution": 160, "body.kernel": 5, "body.op": "mb"}},
        {"total": "body.expand", "at_most": 12},
    ],
}
CONDITIONAL = StageSpace("conditional", **RICH)
WRITTEN = {"embed_dim": 384, "bias": False, "blocks": {"heads": [4, 12], "ratio": [2, 4]}}


@pytest.mark.parametrize("space", [SMALL, CONDITIONAL], ids=lambda space: space.name)
def test_the_contract_of_spaces_is_kept(space: StageSpace) -> None:
    check_space(space)


def test_all_ways_to_write_an_architecture_are_one() -> None:
    layers = [{"heads": 4, "ratio": 2}, {"ratio": 4, "heads": 12}]
    too_long = {
        "layers": 2,
        "heads": [4, 12, 8],
        "ratio": [2, 4, 4],
    }  # what is behind the depth does not count
    row = {
        "embed_dim": "384",
        "bias": "false",
        "blocks.layers": 2,
        "blocks.0.heads": 4.0,
        "blocks.0.ratio": 2,
    }
    row |= {
        "blocks.1.heads": np.int64(12),
        "blocks.1.ratio": "4",
        "blocks.2.heads": None,
        "blocks.2.ratio": "",
    }
    ways: list[Any] = [WRITTEN, json.dumps(WRITTEN), row]
    ways += [WRITTEN | {"blocks": layers}, WRITTEN | {"blocks": too_long}]
    graphs = SMALL.parse(ways)
    assert set(SMALL.format(graphs)) == {json.dumps(WRITTEN, separators=(",", ":"))}
    assert len(np.unique(graphs.hash(), axis=0)) == 1
    assert SMALL.format(SMALL.parse(WRITTEN)) == SMALL.format(graphs)[:1]


def test_a_layer_is_a_node_that_says_its_attributes() -> None:
    graphs = SMALL.parse(WRITTEN)
    names = [SMALL.node_vocabulary[k] for k in graphs.ops[0].tolist()]
    assert names == [
        "input", "embed_dim=384", "bias=false", "blocks: heads=4, ratio=2", "blocks: heads=12, ratio=4",
        "no layer", "output",
    ]  # fmt: skip
    assert SMALL.place_names == ["embed_dim", "bias", "blocks 0", "blocks 1", "blocks 2"]
    features = SMALL.operation_features
    four, twelve = (SMALL.operations.index(f"blocks: heads={heads}, ratio=2") for heads in (4, 12))
    assert (features[four] != features[twelve]).sum() == 3, "one-hot twice, and the number"
    assert not features[SMALL.operations.index("no layer")].any()


def test_enumeration_has_every_architecture_once() -> None:
    graphs = SMALL.enumerate()
    assert len(graphs) == 4 * (6**2 + 6**3)
    assert len(np.unique(graphs.hash(), axis=0)) == len(graphs)
    texts = set(CONDITIONAL.format(CONDITIONAL.enumerate()))
    assert texts == set(_all_conditional())
    assert set(CONDITIONAL.format(CONDITIONAL.sample(3000, seed=0))) <= texts


def _all_conditional() -> list[str]:
    """By hand, what the conditions and constraints say."""
    found = []
    for resolution, se, depth in itertools.product((128, 160), (True, False), (1, 3)):
        kernels = [None] if resolution == 128 else [3, 5]
        layer = [("conv", kernel, None) for kernel in kernels]
        layer += [("mb", kernel, expand) for kernel in kernels if kernel != 5 for expand in (1, 6)]
        for layers in itertools.product(layer, repeat=depth):
            if sum(expand or 0 for *_, expand in layers) > 12:
                continue
            columns = dict(zip(("op", "kernel", "expand"), map(list, zip(*layers, strict=True)), strict=True))
            for stem in ({"stem": "a"}, {"stem": "b"}) if resolution == 128 else ({},):
                written = {"resolution": resolution, **stem, "body": columns, "tail": {"se": [se]}}
                found.append(json.dumps(written, separators=(",", ":")))
    return found


def test_what_does_not_count_is_no_part_of_an_architecture() -> None:
    body = {"op": ["conv"], "kernel": [5], "expand": [6]}
    one = CONDITIONAL.parse({"resolution": 160, "body": body, "tail": {"se": True}, "stem": "a"})
    other = CONDITIONAL.parse({"resolution": 160, "body": body | {"expand": [None]}, "tail": {"se": True}})
    assert (one.ops == other.ops).all()
    assert CONDITIONAL.format(one) == CONDITIONAL.format(other)


def test_tables_there_and_back() -> None:
    graphs = CONDITIONAL.sample(50, seed=0)
    table = CONDITIONAL.to_table(graphs)
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    for form in (table, rows, {name: np.array(values, dtype=object) for name, values in table.items()}):
        assert CONDITIONAL.format(CONDITIONAL.parse_table(form)) == CONDITIONAL.format(graphs)
    numbers = CONDITIONAL.to_choices(graphs)
    assert (CONDITIONAL.from_choices(numbers).ops == graphs.ops).all()
    inferred = StageSpace.of_table("inferred", SMALL.to_table(SMALL.enumerate()))
    assert inferred.definition_as_values() == SMALL.definition_as_values()


def test_a_configuration_space_is_read() -> None:
    package = pytest.importorskip("ConfigSpace")
    space = package.ConfigurationSpace()
    layers = package.OrdinalHyperparameter("body.layers", [1, 3])
    space.add(layers, package.OrdinalHyperparameter("resolution", [128, 160]))
    space.add(package.CategoricalHyperparameter("bias", [False, True]), package.Constant("stem", "a"))
    for number in range(3):
        op = package.CategoricalHyperparameter(f"body.{number}.op", ["conv", "mb"])
        kernel = package.UniformIntegerHyperparameter(f"body.{number}.kernel", 3, 5)
        space.add(op, kernel)
        wanted = package.EqualsCondition(kernel, op, "mb")
        if number:
            deep = package.InCondition(kernel, layers, [3])
            space.add(package.AndConjunction(wanted, deep), package.EqualsCondition(op, layers, 3))
        else:
            space.add(wanted)
        clauses = package.ForbiddenEqualsClause(op, "mb"), package.ForbiddenInClause(space["bias"], [True])
        space.add(package.ForbiddenAndConjunction(*clauses))
    read = StageSpace.of_configspace("read", space)
    assert read.definition_as_values() == {
        "stages": {"body": {"layers": [1, 3], "attributes": {"kernel": [3, 4, 5], "op": ["conv", "mb"]}}},
        "globals": {"bias": [False, True], "resolution": [128, 160], "stem": ["a"]},
        "conditions": [{"attribute": "body.kernel", "when": {"body.op": ["mb"]}}],
        "constraints": [{"forbid": {"body.op": ["mb"], "bias": [True]}}],
    }
    check_space(read)
    for one in space.sample_configuration(20):
        assert len(read.parse(dict(one))) == 1
    for changed, sentence in (
        (package.ForbiddenEqualsClause(space["body.1.op"], "conv"), "1 of the 3 layers"),
        (package.UniformFloatHyperparameter("lr", 0.1, 1.0), "is a range"),
    ):
        space.add(changed)
        with pytest.raises(InvalidParameter, match=sentence) as caught:
            StageSpace.of_configspace("bad", space)
        assert_one_sentence(caught.value)
    with pytest.raises(InvalidParameter, match="no ConfigurationSpace"):
        StageSpace.of_configspace("bad", 3)


def test_children_have_the_choices_of_their_parents() -> None:
    first, second = SMALL.sample(200, seed=0), SMALL.sample(200, seed=1)
    a, b, child = (SMALL.to_choices(graphs) for graphs in (first, second, SMALL.cross(first, second, seed=2)))
    of_a_parent = (child == a) | (child == b) | (child == -1)
    assert of_a_parent.all()
    assert (child != a).any()
    assert (child != b).any()
    children = CONDITIONAL.cross(CONDITIONAL.sample(300, 0), CONDITIONAL.sample(300, 1), 2)
    CONDITIONAL.validate(children)
    mutants = CONDITIONAL.mutate(children, seed=3)
    assert ((CONDITIONAL.to_choices(mutants) != CONDITIONAL.to_choices(children)).any(1)).all()


def test_searches_see_a_vector_of_choices() -> None:
    graphs = CONDITIONAL.sample(100, seed=0)
    numbers = operators.to_vectors(CONDITIONAL, graphs)
    assert numbers is not None
    assert (numbers >= 0).all()
    assert (numbers < operators.vector_choices(CONDITIONAL)).all()
    assert (operators.from_vectors(CONDITIONAL, numbers).ops == graphs.ops).all()


def test_costs_of_ones_own() -> None:
    graphs = SMALL.sample(100, seed=0)
    asked = []

    def cost(one: dict[str, Any]) -> float:
        asked.append(one)
        return one["embed_dim"] * sum(one["blocks"]["heads"])

    costs = SMALL.cost(concatenate([graphs, graphs]), cost)
    table = SMALL.to_table(graphs)
    heads = np.array([[table[f"blocks.{layer}.heads"][n] or 0 for layer in range(3)] for n in range(100)])
    np.testing.assert_array_equal(costs[:100], np.array(table["embed_dim"]) * heads.sum(1))
    assert len(asked) == len(np.unique(graphs.hash(), axis=0)), "equal architectures are asked for once"
    with pytest.raises(InvalidParameter, match="finite number") as caught:
        SMALL.cost(graphs, lambda one: float("nan"))
    assert_one_sentence(caught.value)


def test_spaces_of_a_family_are_joined() -> None:
    large = {"layers": [4], "attributes": {"heads": [8, 16], "ratio": [2, 4]}}
    other = StageSpace("large", stages={"blocks": large}, globals={"embed_dim": [320], "bias": [False, True]})
    both = SMALL.joined(other, "both")
    assert both.globals[0].choices == (192, 320, 384)
    assert both.stages[0].depths == (2, 3, 4)
    graphs = concatenate([both.adopt(SMALL.sample(20, 0)), both.adopt(other.sample(20, 0))])
    assert both.format(graphs) == SMALL.format(SMALL.sample(20, 0)) + other.format(other.sample(20, 0))
    with pytest.raises(InvalidParameter, match="differ in attributes"):
        SMALL.joined(CONDITIONAL, "no family")
    with pytest.raises(InvalidArchitecture, match="embed_dim is 320"):
        SMALL.adopt(
            other.parse({"embed_dim": 320, "bias": True, "blocks": {"heads": [16] * 4, "ratio": [2] * 4}})
        )


def test_networks_are_translated_within_their_family() -> None:
    large = {"layers": [6, 9], "attributes": {"heads": [8, 16, 20], "ratio": [2, 4]}}
    other = StageSpace(
        "large", stages={"blocks": large}, globals={"embed_dim": [320, 640], "bias": [False, True]}
    )
    deep = {"heads": [8, 8, 20, 20, 16, 16, 8, 16, 20], "ratio": [4] * 9}
    graphs = other.parse([{"embed_dim": 640, "bias": True, "blocks": deep}])
    (written,) = SMALL.to_dicts(SMALL.translate(graphs))
    assert written == {"embed_dim": 384, "bias": True, "blocks": {"heads": [8, 8, 8], "ratio": [4, 4, 4]}}
    same = SMALL.sample(100, seed=0)
    assert (SMALL.translate(same).ops == same.ops).all()
    there = other.sample(500, seed=1)
    back = SMALL.to_table(SMALL.translate(there))
    heads = np.array([[back[f"blocks.{layer}.heads"][n] or 0 for layer in range(3)] for n in range(500)])
    depth = (heads > 0).sum(1)
    means = (heads.sum(1) / depth - 4) / 4
    table = other.to_table(there)
    level = {8: 0, 16: 1, 20: 2}
    levels = [
        [level[table[f"blocks.{k}.heads"][n]] for k in range(6 if depth[n] == 2 else 9)] for n in range(500)
    ]
    assert np.abs(means - [np.mean(each) for each in levels]).max() <= 0.5 / 2 + 1e-9, (
        "at most half a step in all"
    )
    with pytest.raises(InvalidParameter, match="differ in attributes") as caught:
        SMALL.translate(CONDITIONAL.sample(2, 0))
    assert_one_sentence(caught.value)


def test_very_many_combinations_are_several_nodes() -> None:
    attributes = {f"a{k}": list(range(6)) for k in range(4)}
    space = StageSpace("wide", stages={"body": {"layers": 3, "attributes": attributes}})
    assert space.max_nodes > 5
    assert len(space.operations) <= 250
    check_space(space)


def test_auto_takes_the_choices() -> None:
    chosen = recommend(SMALL, 100)
    assert chosen["encoder_params"] == {"parts": {"choices": {}}}
    assert [companion["encoder"] for companion in chosen["companions"]] == ["gates"]
    encoder = archenc.create_encoder("choices", SMALL)
    encodings = encoder.encode(SMALL.parse(WRITTEN))[0]
    named = dict(zip(encoder.feature_names, encodings.tolist(), strict=True))
    assert named["embed_dim"] == 1
    assert named["mean(ratio)"] == 0.5
    assert named["share(heads=4)"] == 0.5
    assert named["blocks.2.heads"] == 0
    assert sum(encoder.groups) == len(encodings)
    onehot = archenc.create_encoder("choices", SMALL, kind="onehot").encode(SMALL.sample(9, 0))
    assert set(np.unique(onehot)) == {0, 1}


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (WRITTEN | {"embed_dim": 100}, "embed_dim is 100; choose one of 192, 384"),
        (WRITTEN | {"blocks": {"heads": [4, 5], "ratio": [2, 4]}}, "layer 1 of blocks: heads is 5"),
        (WRITTEN | {"blocks": {"heads": [4], "ratio": [2]}}, "blocks has 1 layers; give 2 or 3"),
        (WRITTEN | {"blocks": {"heads": [4] * 4, "ratio": [2] * 4}}, "blocks has 4 layers; give 2 or 3"),
        (
            WRITTEN | {"blocks": {"layers": 3, "heads": [4] * 3, "ratio": [2] * 2}},
            "ratio of blocks has 2 values",
        ),
        (WRITTEN | {"blocks": {"heads": [4, 8]}}, "blocks.0.ratio is missing; choose one of 2, 4"),
        (WRITTEN | {"blocks": [{"heads": 4, "ratio": 2}] * 9}, "blocks has 9 layers"),
        (WRITTEN | {"blocks": {"heads": 4, "ratio": [2]}}, "heads of blocks is 4; give a list"),
        (WRITTEN | {"blocks": {"head": [4, 8], "ratio": [2, 2]}}, "did you mean 'heads'"),
        (WRITTEN | {"embed": 3}, "did you mean 'embed_dim'"),
        ({"embed_dim": 384, "bias": True}, "blocks is missing"),
        ({"bias": True, "blocks": WRITTEN["blocks"]}, "embed_dim is missing; choose one of 192, 384"),
        ({"embed_dim": 384, "blocks.9.heads": 4}, "there is no column 'blocks.9.heads'"),
        (WRITTEN | {"bias": 0}, "bias is 0; choose one of false, true"),
        ("{", "not the JSON text"),
        ([1, 2], "no architecture of small"),
    ],
)
def test_bad_architectures_are_one_sentence(architecture: Any, sentence: str) -> None:
    with pytest.raises(InvalidArchitecture) as caught:
        SMALL.parse([WRITTEN, architecture])
    assert_one_sentence(caught.value)
    assert sentence in str(caught.value)
    assert "architecture 1" in str(caught.value)
    assert caught.value.position == 1


def test_broken_constraints_are_one_sentence() -> None:
    body = {"op": ["mb"], "kernel": [5], "expand": [6]}
    for written, sentence in (
        (
            {"resolution": 160, "body": body},
            "resolution = 160 and body.kernel = 5 and body.op = mb is forbidden",
        ),
        (
            {"resolution": 128, "stem": "a", "body": {"op": ["mb"] * 3, "expand": [6] * 3}},
            "total of body.expand",
        ),
    ):
        with pytest.raises(InvalidArchitecture, match=sentence) as caught:
            CONDITIONAL.parse(written | {"tail": {"se": True}})
        assert_one_sentence(caught.value)


def test_arrays_that_are_no_architecture_are_refused() -> None:
    ops = SMALL.to_ops(SMALL.parse(WRITTEN))
    absent, first = SMALL.operations.index("no layer"), ops.shape[1] - 3
    for place, operation in ((first, absent), (first + 1, absent), (0, absent), (first, 1)):
        changed = ops.copy()
        changed[0, place] = operation
        with pytest.raises(InvalidArchitecture) as caught:
            SMALL.from_ops(changed)
        assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"stages": {}}, "number of choices of an architecture is 0"),
        ({"globals": {"a": []}}, "the choices of 'a'"),
        ({"globals": {"a": [1, "x"]}}, "the choices of 'a'"),
        ({"globals": {"a": [1, 1.0]}}, "the choices of 'a'"),
        ({"globals": {"a.b": [1]}}, "cannot be a name"),
        ({"globals": [1]}, "globals = [1]"),
        ({"stages": {"s": {"depth": 3}}}, "give a dict of its 'layers' and 'attributes'"),
        ({"stages": {"s": {"layers": [0]}}}, "layers of s"),
        ({"stages": {"s": {"layers": [2, 2]}}}, "different"),
        ({"globals": {"s": [1]}, "stages": {"s": {}}}, "a name of its own"),
        ({"conditions": [{"attribute": "body.op", "when": {"body.expand": 1}}]}, "go round in a circle"),
        ({"conditions": [{"attribute": "body.op", "when": {"body.op": "mb"}}]}, "go round in a circle"),
        ({"conditions": [{"attribute": "body.op", "when": {"tail.se": True}}]}, "cannot depend on 'tail.se'"),
        ({"conditions": [{"attribute": "body.oq", "when": {"stem": "a"}}]}, "no attribute 'body.oq'"),
        ({"conditions": [{"attribute": "body.op", "when": {"stem": "c"}}]}, "no choices of 'stem'"),
        ({"conditions": [{"attribute": "body.op"}]}, "is no condition"),
        ({"constraints": [{"forbid": {}}]}, "names no choices"),
        ({"constraints": [{"forbid": {"body.op": "mb", "tail.se": True}}]}, "two stages"),
        ({"constraints": [{"total": "body.op", "at_most": 1}]}, "the total of numbers"),
        ({"constraints": [{"total": "body.expand"}]}, "is no constraint"),
        ({"stages": {"s": {"layers": 10**6, "attributes": {"a": [1]}}}}, "layers of s"),
        ({"globals": {f"g{k}": list(range(100)) for k in range(4)}}, "250 are possible"),
    ],
)
def test_bad_definitions_are_one_sentence(parameters: dict[str, Any], sentence: str) -> None:
    whole = parameters
    if "conditions" in parameters:
        whole = RICH | {"conditions": RICH["conditions"] + parameters["conditions"]}
    elif "constraints" in parameters:
        whole = RICH | parameters
    with pytest.raises(InvalidParameter) as caught:
        from_config({"name": "stages", "parameters": {"name": "bad", **whole}})
    assert_one_sentence(caught.value)
    assert sentence in str(caught.value)


def test_a_depth_by_itself_and_a_single_architecture() -> None:
    space = StageSpace("depths", stages={"body": {"layers": [1, 2, 5]}})
    assert space.format(space.enumerate()) == [f'{{"body":{{"layers":{depth}}}}}' for depth in (1, 2, 5)]
    assert torch.equal(space.parse(space.format(space.enumerate())).ops, space.enumerate().ops)
