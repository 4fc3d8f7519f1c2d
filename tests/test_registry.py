"""Names that are no text, and entry points that are looked up once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import archenc
from archenc.errors import InvalidParameter, UnknownName
from archenc.pretraining import weights as pretrained
from archenc.registry import DATASETS, ENCODERS, HEADS, LOSSES, SPACES, Registry
from archenc.registry import names as registry
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
