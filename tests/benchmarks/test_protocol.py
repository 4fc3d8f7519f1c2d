from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import archenc
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.protocol import SplitRule, list_protocols, load_protocol, parse_protocol
from archenc.dataset import ArchDataset
from archenc.dataset.splits import Split
from archenc.errors import CorruptFile, DataNotFound, InvalidParameter, InvalidTable, UnknownName
from archenc.metrics import metric
from tests.bad_input import assert_one_sentence


@pytest.mark.parametrize("name", list_protocols())
def test_packaged_protocols_name_things_that_exist(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    assert protocol.dataset in archenc.list_datasets()
    for measure in protocol.metrics:
        metric(measure)
    for method in protocol.methods:
        find_method(method, load_methods())


def test_the_expected_protocols_are_packaged() -> None:
    assert {"nasbench201-analog", "nasbench201-cifar10", "nasbench101-ta7290", "nasbench-graph-cora"} <= set(
        list_protocols()
    )
    assert load_protocol("nasbench201-analog").train_sizes == (39, 78, 390)
    assert len(load_protocol("nasbench201-analog").methods) >= 10


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"trian_sizes": [1]}, "unknown key 'trian_sizes'; did you mean 'train_sizes'?"),
        ({"colour": 1}, "unknown key 'colour'; it takes"),
        ({"train_sizes": [8, 8]}, "none twice"),
        ({"train_sizes": []}, "a list of 1 to 1,000 whole numbers"),
        ({"train_sizes": [1]}, "an entry of 'train_sizes' is 1, not a whole number from 2"),
        (
            {"train_sizes": [8, 10**9]},
            "an entry of 'train_sizes' is 1000000000, not a whole number from 2 to 100,000,000",
        ),
        ({"train_sizes": "8"}, "'train_sizes' is '8', not a list"),
        ({"seeds": [True]}, "an entry of 'seeds' is True, not a whole number"),
        ({"seeds": [0, -1]}, "an entry of 'seeds' is -1, not a whole number"),
        ({"seeds": [2**32]}, "to 2**32 - 1"),
        ({"seeds": [*range(10_001)]}, "a list of 1 to 10,000 whole numbers"),
        ({"version": "1"}, "'version' is '1', not a whole number"),
        ({"label": ""}, "'label' is ''"),
        ({"label": None}, "'label' is None"),
        ({"label": "a\nb"}, "a name on one line"),
        ({"label": "x" * 300}, "of at most 200 characters"),
        ({"selection": "best_epoch"}, "'last_epoch' or 'mean_last_5_epochs'"),
        ({"metrics": [1]}, "an entry of 'metrics' is 1, not a name"),
        ({"split": {"kind": "thirds"}}, "'kind' in 'split' is 'thirds', not 'halves' or 'published'"),
        ({"split": {"kind": "halves"}}, "'halves' needs the key 'seed'"),
        ({"split": {"kind": "halves", "seed": 0, "name": "x"}}, "'halves' has no key 'name'"),
        ({"split": {"kind": "published", "nam": "x"}}, "unknown key 'nam'; did you mean 'name'"),
        ({"split": "halves"}, "'split' is 'halves', not named values"),
        ({"split": {"kind": ["halves"]}}, "not 'halves' or 'published' or 'holdout' or 'all'"),
        ({"split": {"kind": "halves", "seed": -1}}, "'seed' in 'split' is -1, not a whole number from 0"),
        ({"split": {"kind": "halves", "seed": 0, "subset": 3}}, "'subset' in 'split' is 3, not a name"),
        ({"split": {"kind": "published", "name": "x", "subset": "y"}}, "'published' has no key 'subset'"),
        ({"split": {"kind": "holdout", "seed": 0}}, "'holdout' needs the key 'test'"),
        (
            {"split": {"kind": "holdout", "seed": 0, "test": 0}},
            "'test' in 'split' is 0, not a whole number of at least 1",
        ),
        ({"split": {"kind": "all", "seed": 0}}, "'all' has no key 'seed'"),
        ({"subsets": 0}, "'subsets' is 0, not a whole number of at least 1"),
        ({"subsets": True}, "'subsets' is True, not a whole number"),
        ({"test_label": ""}, "'test_label' is ''"),
        *(
            ({"name": name}, "'name' is")
            for name in ("../../x", "/x", "a/b", "..", ".x", "a\\b", "a\0b", "a\x1b[31mb", "", "x" * 101)
        ),
        ({"dataset": "../x"}, "'dataset' is '../x', not a name on one line"),
    ],
)
def test_invalid_protocols_are_refused_with_a_sentence(content: dict, change: dict, part: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_protocol(content | change, "p.yaml")
    assert part in str(caught.value)
    assert str(caught.value).startswith("p.yaml")
    assert_one_sentence(caught.value)


def test_a_missing_key_is_named(content: dict) -> None:
    del content["seeds"]
    with pytest.raises(InvalidParameter, match="the key 'seeds' is missing"):
        parse_protocol(content, "p.yaml")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"name: a\nversion: [1\n", "line 3"),
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"- 1\n", "named values"),
        (b"1: 2\n", "named values"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 1500, "not YAML"),
        (b"a: !!python/object/apply:os.system [ls]\n", "not YAML"),
        (b"a: !!timestamp 2020-13-45\n", "not YAML"),
        (b"a: 1\na: 2\n", "line 2.*'a' stands twice"),
        (b"a: .nan\n", "line 1.*not finite"),
        (b"a: " + b"x" * 70_000, "larger than"),
    ],
)
def test_files_that_are_no_protocols(tmp_path: Path, text: bytes, part: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text)
    with pytest.raises(CorruptFile, match=part):
        load_protocol(str(path))


def test_unknown_protocols() -> None:
    with pytest.raises(UnknownName, match="did you mean 'nasbench201-analog'"):
        load_protocol("nasbench201-analogue")
    with pytest.raises(UnknownName):
        load_protocol("../methods")
    with pytest.raises(DataNotFound):
        load_protocol("nowhere.yaml")


def test_the_digest_follows_what_decides_a_number(content: dict) -> None:
    digest = parse_protocol(content, "p").digest
    same = [{"purpose": "Other words."}, {"seeds": [0, 1, 2]}, {"train_sizes": [9]}, {"methods": ["x"]}]
    other = [
        {"label": "x"},
        {"dataset": "x"},
        {"version": 2},
        {"split": {"kind": "halves", "seed": 1}},
        {"selection": "mean_last_5_epochs"},
    ]
    assert {parse_protocol(content | change, "p").digest for change in same} == {digest}
    assert (
        len({parse_protocol(content | change, "p").digest for change in other} | {digest}) == len(other) + 1
    )


def test_what_is_left_out_does_not_change_a_protocol(content: dict) -> None:
    plain = parse_protocol(content, "p")
    assert not {"subsets", "test_label"} & plain.setting.keys()
    assert set(plain.setting["split"]) == {"kind", "seed"}
    for change in ({"subsets": 3}, {"test_label": "toy/other"}):
        protocol = parse_protocol(content | change, "p")
        assert protocol.setting == plain.setting | change
        assert protocol.digest != plain.digest


def test_seeds_share_training_sets(content: dict) -> None:
    assert [parse_protocol(content, "p").subset_seed(seed) for seed in range(5)] == [0, 1, 2, 3, 4]
    shared = parse_protocol(content | {"subsets": 3}, "p")
    assert [shared.subset_seed(seed) for seed in range(9)] == [0, 1, 2] * 3


@pytest.fixture
def parts() -> ArchDataset:
    """Ten cells, the last without label, the first without the other label."""
    labels = {"a": np.append(np.arange(9.0), np.nan), "b": np.append(np.nan, np.arange(9.0))}
    graphs = archenc.create_space("nasbench201").sample(10, seed=0)
    return ArchDataset(
        "parts",
        graphs,
        labels,
        "a",
        splits={"own": Split("own", [0, 1], [2])},
        subsets={"even": np.arange(0, 10, 2)},
    )


@pytest.mark.parametrize(
    ("rule", "name", "pool", "test"),
    [
        (SplitRule("halves", seed=0), "halves-0", 5, 4),
        (SplitRule("halves", seed=0, subset="even"), "even/halves-0", 3, 2),
        (SplitRule("holdout", seed=1, test=2), "holdout-2-1", 7, 2),
        (SplitRule("holdout", seed=1, test=2, subset="even"), "even/holdout-2-1", 3, 2),
        (SplitRule("published", name="own"), "own", 2, 1),
        (SplitRule("all"), "all", 9, 9),
        (SplitRule("all", subset="even"), "even/all", 5, 5),
    ],
)
def test_split_rules_cut_what_they_say(
    parts: ArchDataset, rule: SplitRule, name: str, pool: int, test: int
) -> None:
    split = rule.apply(parts)
    rows = np.concatenate([split.pool, split.test])
    assert (split.name, len(split.pool), len(split.test)) == (name, pool, test)
    assert 9 not in rows
    assert rule.subset is None or not (rows % 2).any()
    assert (np.intersect1d(split.pool, split.test).size > 0) == (rule.kind == "all")


def test_halves_keep_isomorphic_architectures_together() -> None:
    graphs = archenc.create_space("nasbench201").sample(30, seed=0)
    twins = np.repeat(np.arange(10), 3)
    dataset = ArchDataset("twins", graphs, {"a": np.arange(30.0)}, "a", groups=twins)
    split = load_protocol("predictability-nasbench-macro").split.apply(dataset)
    assert not np.intersect1d(twins[split.pool], twins[split.test]).size
    assert np.intersect1d(twins[SplitRule("halves", seed=0).apply(dataset).pool], twins[split.test]).size


def test_a_scored_label_must_be_there_too(parts: ArchDataset) -> None:
    assert SplitRule("all").apply(parts, "b").test.tolist() == list(range(1, 9))
    with pytest.raises(InvalidTable):
        SplitRule("published", name="own").apply(parts, "b")
    with pytest.raises(UnknownName):
        SplitRule("all").apply(parts, "c")


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (UnknownName, SplitRule("published", name="x")),
        (UnknownName, SplitRule("all", subset="odd")),
        (InvalidParameter, SplitRule("holdout", seed=0, test=9)),
    ],
)
def test_split_rules_that_do_not_fit(parts: ArchDataset, error: type[Exception], rule: SplitRule) -> None:
    with pytest.raises(error):
        rule.apply(parts)


@pytest.mark.parametrize(
    ("name", "pool", "test"),
    [
        ("nasbench101-ta7290", 7290, 7290),
        ("nasbench101-ta14580-iid", 7290, 7290),
        ("nasbench101-uniform", 20_001, 10_000),
        ("nasbench201-p2", 7813, 7812),
        ("nasbench201-tnasp", 15_625, 15_625),
        ("nasbench201-white", 15_425, 200),
    ],
)
def test_published_protocols_on_the_real_tables(data_root: Path, name: str, pool: int, test: int) -> None:
    protocol = load_protocol(name)
    split = protocol.split.apply(
        archenc.load_dataset(protocol.dataset, label=protocol.label), protocol.test_label
    )
    assert (len(split.pool), len(split.test)) == (pool, test)
    assert max(protocol.train_sizes) <= pool


def test_a_method_can_be_spelt_out() -> None:
    method = find_method("Op_Count+ridge+mse:simplify", {})
    assert (method.encoder, method.head, method.loss, method.simplify) == ("op-count", "ridge", "mse", True)
    assert find_method("op-count+ridge+mse", {}).simplify is False


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gates",
        "gates+mlp",
        "gates+mlp+hinge:simplified",
        "gatse+mlp+hinge",
        "gates+mlp+hinge+x",
        "gates+mpl+mse",
    ],
)
def test_unknown_methods(name: str) -> None:
    with pytest.raises(UnknownName):
        find_method(name, load_methods())


def test_named_methods_are_what_their_names_say() -> None:
    methods = load_methods()
    assert len(methods) >= 14
    for name, method in methods.items():
        assert name.endswith(":simplify") == method.simplify
        if "+" in name:  # a published method may have a name of its own
            assert name.removesuffix(":simplify").split("+")[1:] == [method.head, method.loss]
            assert name.startswith(method.encoder)


def test_a_methods_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "mine": {
                    "encoder": "path",
                    "head": "gp",
                    "loss": "mse",
                    "encoder_params": {"cutoff": 30},
                    "epochs": 5,
                }
            }
        )
    )
    method = find_method("mine", load_methods(path))
    predictor = method.predictor(seed=3)
    assert (predictor.encoder_params, predictor.epochs, predictor.random_state) == ({"cutoff": 30}, 5, 3)


def write_method(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({"mine": {"encoder": "path", "head": "gp", "loss": "mse", **changes}}))
    return path


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"encoder": 3}, "'encoder' is 3, not a name"),
        ({"encoder": "a\nb"}, "a name on one line"),
        ({"epochs": "5"}, "'epochs' is '5', not a whole number"),
        ({"epochs": True}, "'epochs' is True, not a whole number"),
        ({"epochs": 10**12}, "'epochs' is 1000000000000"),
        ({"enconder": "x"}, "unknown key 'enconder'; did you mean 'encoder'"),
        ({"loss_params": [1]}, "'loss_params' is [1], not named values"),
        ({"lr": "x"}, "'lr' is 'x', not a finite number"),
        ({"lr": 1e300}, "'lr' is 1e+300, not a finite number"),
        ({"simplify": 1}, "'simplify' is 1, not True or False"),
    ],
)
def test_invalid_methods_are_refused_with_a_sentence(tmp_path: Path, change: dict, part: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        load_methods(write_method(tmp_path / "mine.yaml", **change))
    assert str(caught.value).startswith("mine.yaml, method 'mine'")
    assert part in str(caught.value)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("value", [{1: 2}, {"b": float("nan")}, [float("inf")], 10**30])
def test_a_methods_file_holds_no_more_than_json(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CorruptFile, match=r"mine\.yaml, line \d+: ") as caught:
        load_methods(write_method(tmp_path / "mine.yaml", loss_params={"a": value}))
    assert_one_sentence(caught.value)


def test_methods_need_names_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('"mine\\e[31m": {encoder: path, head: gp, loss: mse}')
    with pytest.raises(InvalidParameter, match="give it another name") as caught:
        load_methods(path)
    assert_one_sentence(caught.value)


def test_what_a_methods_file_leaves_empty_is_left_out(tmp_path: Path) -> None:
    method = find_method("mine", load_methods(write_method(tmp_path / "mine.yaml", epochs=None, lr=1)))
    assert method.content == {
        "name": "mine",
        "encoder": "path",
        "head": "gp",
        "loss": "mse",
        "simplify": False,
        "lr": 1,
    }
