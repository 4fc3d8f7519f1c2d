"""Names, entry points that are looked up once, and what each parameter may be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, Literal

import numpy as np
import pytest
import torch

import archenc
from archenc.errors import InvalidParameter, UnknownName
from archenc.heads.linear import RidgeHead
from archenc.losses import ComparatorLoss, HingeLoss
from archenc.pretraining import PretrainingSchedule
from archenc.pretraining import weights as pretrained
from archenc.registry import DATASETS, ENCODERS, HEADS, LOSSES, SPACES, Registry
from archenc.registry import names as registry
from archenc.registry.parameters import build, checked_by
from archenc.registry.rules import Layers, NotNegative, RandomState, Seed, Sizes, checked
from archenc.testing import example_spaces
from archenc.training import Schedule
from tests.bad_input import assert_one_sentence

NO_NAMES: list[Any] = [None, 5, 5.0, True, [], ["darts"], {}, b"darts", object, "", "x" * 100_000, "\0"]


@pytest.mark.parametrize("name", NO_NAMES, ids=lambda name: repr(name)[:12])
@pytest.mark.parametrize(
    "ask", [*(each.get for each in (DATASETS, ENCODERS, HEADS, LOSSES, SPACES)), archenc.create_space]
)
def test_what_is_no_name_is_an_unknown_one(ask: Callable[[Any], Any], name: Any) -> None:
    with pytest.raises(UnknownName, match="there is no ") as caught:
        ask(name)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("name", NO_NAMES[:6], ids=repr)
def test_data_sets_and_encoders_without_a_name(name: Any) -> None:
    space = archenc.create_space("nasbench201")
    for ask in (lambda: archenc.load_dataset(name), lambda: archenc.create_encoder(name, space)):
        with pytest.raises(UnknownName) as caught:
            ask()
        assert_one_sentence(caught.value)
    with pytest.raises(InvalidParameter) as refused:
        ENCODERS.register(name, object)
    assert_one_sentence(refused.value)


def test_entry_points_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def count(group: str) -> list[EntryPoint]:
        calls.append(group)
        return [EntryPoint("one", "archenc.errors:ArchencError", group)]

    monkeypatch.setattr(registry, "entry_points", count)
    registry.declared.cache_clear()
    try:
        things = Registry("thing", "archenc.things")
        for _ in range(5):
            assert things.get("one") is archenc.errors.ArchencError
            things.names()
        things.register("two", int)
        assert things.get("two") is int
        assert things.names() == ["one", "two"]
        things.unregister("two")
        assert things.names() == ["one"]
        assert calls == ["archenc.things"]
        with pytest.raises(UnknownName):
            things.get("two")
        assert calls == ["archenc.things"] * 2, (
            "a package may have been installed since, so it was looked for again"
        )
    finally:
        registry.declared.cache_clear()


def test_names_of_pretrained_weights_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda group: calls.append(group) or original(group=group))
    registry.declared.cache_clear()
    assert pretrained.pretrained_folders() == pretrained.pretrained_folders()
    assert calls == ["archenc.pretrained"]


SPACE = archenc.create_space("nasbench201")
GRAPHS = SPACE.sample(6, 0)
Z = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
Y = np.linspace(-1, 1, 12)
WRONG: list[Any] = [
    *(
        None,
        "x",
        float("nan"),
        float("inf"),
        -1,
        10**400,
        10**5000,
        [],
        {},
        object(),
        np.array([1, 2]),
        lambda: 0,
        True,
    ),
    *(
        -float("inf"),
        0,
        0.5,
        2.5,
        b"x",
        [float("nan")],
        ["x"],
        (0,),
        {"x": 1},
        torch.ones(2, 2),
        np.ma.masked,
        1j,
        [20_000] * 40,
    ),
]


def keywords(factory):
    return [name for name, p in inspect.signature(factory).parameters.items() if p.kind is p.KEYWORD_ONLY]


def refused_or_used(build, use):
    try:
        part = build()
    except InvalidParameter as error:
        assert_one_sentence(error)
        return
    use(part)


@pytest.mark.parametrize("name", archenc.list_encoders())
def test_encoders(name):
    for keyword in keywords(ENCODERS.get(name)):
        for value in WRONG:
            refused_or_used(
                lambda k=keyword, v=value: archenc.create_encoder(name, SPACE, **{k: v}),
                lambda encoder: encoder.encode(GRAPHS) if getattr(encoder, "score_dim", 0) == 0 else None,
            )


@pytest.mark.parametrize("name", archenc.list_heads())
def test_heads(name):
    factory = HEADS.get(name)
    neural = "dim" in inspect.signature(factory).parameters
    few = {"n_estimators": 3, "epochs": 1, "restarts": 0}

    def use(head):
        if neural:
            head.eval()
        else:
            assert np.isfinite(head.fit(Z, Y, LOSSES.get("mse")()).predict(Z)).all()

    for keyword in keywords(factory):
        quick = {key: value for key, value in few.items() if key in keywords(factory) and key != keyword}
        for value in WRONG:
            refused_or_used(
                lambda k=keyword, v=value, q=quick: build(
                    "head", name, factory, *([6] if neural else []), **q, **{k: v}
                ),
                use,
            )


@pytest.mark.parametrize("name", archenc.list_losses())
def test_losses(name):
    for keyword in keywords(LOSSES.get(name)):
        for value in WRONG:
            refused_or_used(
                lambda k=keyword, v=value: build("loss", name, LOSSES.get(name), **{k: v}),
                lambda loss: (
                    None if isinstance(loss, ComparatorLoss) else loss(torch.tensor(Y), torch.tensor(Y))
                ),
            )


@pytest.mark.parametrize("kind", [Schedule, PretrainingSchedule])
def test_schedules(kind):
    for keyword in inspect.signature(kind).parameters:
        for value in WRONG:
            refused_or_used(lambda k=keyword, v=value: kind(**{k: v}), lambda schedule: None)


@pytest.mark.parametrize("registry", [ENCODERS, HEADS, LOSSES], ids=lambda registry: registry.kind)
def test_every_keyword_of_a_built_in_part_has_a_rule(registry):
    for name in registry.names():
        factory = registry.get(name)
        for keyword in keywords(factory):
            with pytest.raises(InvalidParameter, match=keyword):
                checked_by(factory, {keyword: object()}, name)


@pytest.mark.parametrize(
    ("head", "parameters"),
    [
        *[("lightgbm", {"max_depth": depth}) for depth in (-1, 0, 40)],
        ("lightgbm", {"n_estimators": 0}),
        ("xgboost", {"n_estimators": -1}),
        ("ridge", {"alpha": -1}),
        ("mlp", {"hidden": 50}),
        ("mlp", {"hidden": (0,)}),
        ("mlp", {"hidden": [20_000] * 40}),
        ("mlp", {"dropout": 2}),
        ("mlp-ensemble", {"hidden": (0,)}),
        *[("ridge", {"random_state": state}) for state in (-1, 2**32, 0.0, np.random.default_rng(0), "x")],
    ],
)
def test_what_heads_do_not_take(head, parameters):
    factory = HEADS.get(head)
    with pytest.raises(InvalidParameter, match=next(iter(parameters))) as caught:
        build("head", head, factory, *([6] if head == "mlp" else []), **parameters)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("head", ["lightgbm", "xgboost", "dngo", "gp", "random-forest", "mlp-ensemble"])
@pytest.mark.parametrize("seed", [2**31, 2**32 - 1])
def test_every_seed_works_in_every_head(head, seed):
    few = {"n_estimators": 3, "epochs": 1, "restarts": 0}
    quick = {key: value for key, value in few.items() if key in keywords(HEADS.get(head))}
    assert np.isfinite(
        build("head", head, HEADS.get(head), random_state=seed, **quick)
        .fit(Z, Y, LOSSES.get("mse")())
        .predict(Z)
    ).all()


@pytest.mark.parametrize("head", ["lightgbm", "xgboost"])
def test_a_tree_sees_at_least_one_architecture(head):
    fitted = HEADS.get(head)(n_estimators=3, subsample=0.01, random_state=0).fit(Z, Y, LOSSES.get("mse")())
    assert np.isfinite(fitted.predict(Z)).all()


@pytest.mark.parametrize("value", [torch.ones(2, 2), object(), 1j])
def test_what_looks_like_no_dict_at_all_is_refused_for_one(value):
    with pytest.raises(InvalidParameter, match=r"the predictor got encoder_params = .*give a dict") as caught:
        archenc.Predictor("path", "ridge", "mse", encoder_params=value).fit(GRAPHS, np.arange(6.0))
    assert_one_sentence(caught.value)


def test_a_class_checks_its_own_constructor():
    for wrong in (
        lambda: RidgeHead(alpha=-1),
        lambda: HingeLoss(margin="0.1"),
        lambda: ENCODERS.get("gates")(SPACE, layers=0),
    ):
        with pytest.raises(InvalidParameter) as caught:
            wrong()
        assert_one_sentence(caught.value)


def test_values_become_plain():
    assert type(RidgeHead(alpha=np.float32(2)).alpha) is float
    assert type(build("head", "dngo", HEADS.get("dngo"), epochs=np.int64(3)).epochs) is int
    assert list(ENCODERS.get("gates")(SPACE, layers=np.array([8, 8])).flow) != []


def test_what_cannot_be_checked_is_taken_as_it_is():
    def part(*, plain, array: np.ndarray = None, unknown: NoSuchType = None, size: Seed = 0):  # noqa: F821
        return plain, array, size

    thing, array = object(), np.ones(2)
    assert build("head", "own", part, plain=thing, array=array, size=np.int8(3))[:2] == (thing, array)
    assert checked("x", "y", np.random.RandomState(0), RandomState) is not None
    for value in (True, -1, "x", 0.0):
        with pytest.raises(InvalidParameter, match="RandomState"):
            checked("x", "y", value, RandomState)


@pytest.mark.parametrize(
    ("kind", "value", "remedy"),
    [
        (NotNegative, -1, "give a number from 0 up"),
        (NotNegative | None, "x", "give a number from 0 up or None"),
        (Literal["a", "b"], "c", "choose 'a' or 'b'"),
        (Layers, (), "give at least one layer"),
        (Sizes, "x\n\x1b[31m", "give a list of at most 32 sizes"),
    ],
)
def test_remedies(kind, value, remedy):
    with pytest.raises(InvalidParameter, match=remedy) as caught:
        checked("the part", "name", value, kind)
    assert_one_sentence(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("registry", [ENCODERS, HEADS, LOSSES, SPACES])
@pytest.mark.parametrize("name", [None, 5, [], "x" * 1000 + "\x1b"])
def test_names_that_are_none(registry, name):
    with pytest.raises(UnknownName) as caught:
        registry.get(name)
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


def test_defaults_pass_their_own_rules():
    for parts, fixed in ((ENCODERS, [example_spaces()["free nodes"]]), (HEADS, []), (LOSSES, [])):
        for name in parts.names():
            factory = parts.get(name)
            defaults = {key: inspect.signature(factory).parameters[key].default for key in keywords(factory)}
            assert set(checked_by(factory, defaults, name)) == set(defaults), fixed
