"""JSON and YAML that others wrote."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from msgspec import Meta, field

from archenc.commands.options import parse_settings
from archenc.errors import CorruptFile, InvalidParameter, InvalidTable
from archenc.files import documents
from archenc.files.documents import (
    MAX_DEPTH,
    Digest,
    FileName,
    Name,
    Record,
    canonical_json,
    parse_json,
    parse_yaml,
    plain_values,
    read_json,
    read_yaml,
    record,
)
from archenc.registry.rules import Number, Seed
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_bytes, mutate_json, mutate_text

# -- YAML ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [1.5, true, null, ~, text]", {"a": 1, "b": [1.5, True, None, None, "text"]}),
        ("a: 2020-01-01", {"a": "2020-01-01"}),
        ("a: 2020-13-45", {"a": "2020-13-45"}),
        ("a: '1'\n'2': b", {"a": "1", "2": "b"}),
        ("a: =", {"a": "="}),
        ("# nothing", None),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("Größe: ∞", {"Größe": "∞"}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, eval("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_yaml_is_read_as_plain_values(text: str | bytes, value: Any) -> None:
    assert parse_yaml(text, "p.yaml") == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[" * 50_000, "line 1: .*nested more than 32 deep"),
        ("[a," * 20_000, "nested more than 32 deep"),
        ("{a: " * 20_000, "nested more than 32 deep"),
        ("- " * 20_000, "nested more than 32 deep"),
        ("\n".join(" " * at + "a:" for at in range(60)), "line 33: .*nested more than 32 deep"),
        ("b: 1\na: !!timestamp 'x'", "line 2: .*a tag such as !name"),
        ("a: !!bool 'x'", "a tag"),
        ("a: !!python/object/apply:os.system [ls]", "a tag"),
        ("a: !mine 1", "a tag"),
        ("a: ! 1", "a tag"),
        ("a: 1\nb: 2\na: 3", "line 3: .*the key 'a' stands twice"),
        ("a: {b: 1, b: 2}", "the key 'b' stands twice"),
        ("1: 2", "names that are text"),
        ("a: {yes: 1}", "names that are text"),
        ("null: 1", "names that are text"),
        ("? [a]\n: 1", "names that are text"),
        ("? {a: 1}\n: 1", "names that are text"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: *x", "anchors and aliases"),
        ("<<: *x", "anchors and aliases"),
        ("%YAML 1.1\n---\na: 1", "a directive"),
        ("%TAG ! !x\n---\na: 1", "a directive"),
        ("a: 1\n---\nb: 2", "line 2: .*another document"),
        ("a: \0", "control characters are not allowed"),
        ("a: " + "1" * 5_000, "a number that cannot be read"),
        ("a: 0x_", "a number that cannot be read"),
        ("a: " + "9" * 30, "a whole number beyond 64 bits"),
        ("a:\n  b: .inf", "line 2: .*a number that is not finite"),
        ("a: .nan", "a number that is not finite"),
        ("a: 1.0e+999", "a number that is not finite"),
        ('a: "\\ud800"', "p.yaml"),
        ("a: \ud800", "p.yaml"),
        ("a: [1, 2", "line 2: .*did not find expected"),
        (b"\xff\xfea", "not UTF-8 text"),
    ],
)
def test_yaml_that_is_more_than_plain_values_is_refused(text: str | bytes, part: str) -> None:
    with pytest.raises(CorruptFile, match=part) as caught:
        parse_yaml(text, "p.yaml")
    assert str(caught.value).startswith("p.yaml")
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("content", [b"", b"- 1", b"a", b"1"])
def test_a_yaml_file_holds_named_values(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match="named values") as caught:
        read_yaml(path)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        "!!bool x",
        "!!timestamp x",
        "&a [*a]",
        "{1: 2}",
        ".nan",
        "9" * 5_000,
        "{a: 1, a: 2}",
        "\ud800",
    ],
)
def test_options_are_read_like_files(text: str) -> None:
    with pytest.raises(InvalidParameter, match="cannot be read") as caught:
        parse_settings([f"a={text}"])
    assert str(caught.value).startswith("--set 'a=")


def test_options_are_plain_values() -> None:
    assert parse_settings(["a=1", "b=[1, 2]", "c=x", "d=2020-01-01", "e="]) == {
        "a": 1,
        "b": [1, 2],
        "c": "x",
        "d": "2020-01-01",
        "e": None,
    }


# -- JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b"\xff",
            b"NaN",
            b"[Infinity]",
            b"1e999",
            b'"\\ud800"',
            b"\xef\xbb\xbf1",
            b"1" + b"0" * 400,
            b"-" + b"9" * 19,
        ),
        *(b"[" * 50_000, b"[" * 40 + b"]" * 40, b'{"a":' * 50_000, b"[1," * 50_000),
    ],
)
def test_json_out_of_bounds_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"v\.json is not valid JSON") as caught:
        read_json(path)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("part", [b"[]", b"{}", b"1", b'{"":0}'])
def test_json_of_very_many_values_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(documents, "MAX_VALUES", 1_000)
    monkeypatch.setattr(documents.msgspec.json, "decode", pytest.fail)
    with pytest.raises(CorruptFile, match="more than 1,000 values") as caught:
        parse_json(b"[" + b",".join([part] * 1_001) + b"]", "v.json")
    assert_one_sentence(caught.value)


def test_json_is_read_as_it_is() -> None:
    value = {"a": [1, 2**63 - 1, 0.1, None, True, "ß\x00"], "b": {"c": {}}}
    assert parse_json(json.dumps(value), "here") == value


# -- records -------------------------------------------------------------------------------------------------


class Wheel(Record):
    size: Annotated[int, Meta(ge=1, le=30, description="a size in inches")]
    spare: bool = False


class Car(Record, kw_only=True, omit_defaults=True):
    name: FileName
    wheels: list[Wheel]
    speeds: dict[Name, Number | None] = field(default_factory=dict)
    doors: tuple[Seed, ...] = ()
    digest: Digest | None = None
    made_of: str = field(name="from", default="steel")

    def __post_init__(self) -> None:
        if len(self.doors) > len(self.wheels):
            raise ValueError("there are more doors than wheels")


CAR: dict[str, Any] = {
    "name": "beetle",
    "wheels": [{"size": 15}, {"size": 15, "spare": True}],
    "speeds": {"first": 20, "top": None},
}


def test_a_record_gives_back_what_it_was_made_of() -> None:
    assert plain_values(record(CAR, Car, "car.json")) == {
        **CAR,
        "wheels": [{"size": 15, "spare": False}, {"size": 15, "spare": True}],
    }
    assert record(CAR, Car, "car.json").speeds["top"] is None


def test_there_is_one_text_for_one_value() -> None:
    car = record(CAR, Car, "car.json")
    assert canonical_json({"b": [car], "a": 0.5}) == canonical_json({"a": 0.5, "b": [plain_values(car)]})
    assert (
        canonical_json({"b": ("ß", None), "a": {"d": 1, "c": True}})
        == '{"a":{"c":true,"d":1},"b":["ß",null]}'
    )
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([float("nan")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": 1}, ": unknown key 'nmae'; did you mean 'name'?"),
        ({"colour": 1}, ": unknown key 'colour'; it takes name, wheels, speeds, doors, digest, from"),
        (
            {"wheels": [{"size": 15, "spar": 1}]},
            ", an entry of 'wheels': unknown key 'spar'; did you mean 'spare'?",
        ),
        ({"wheels": [{"spare": True}]}, ", an entry of 'wheels': the key 'size' is missing; paint it"),
        (
            {"wheels": [{"size": 15}, {"size": 99}]},
            ": 'size' in 'wheels.1' is 99, not a size in inches; paint it",
        ),
        ({"wheels": {"size": 15}}, ": 'wheels' is {'size': 15}, not a list; paint it"),
        ({"wheels": [15]}, ": an entry of 'wheels' is 15, not named values; paint it"),
        (
            {"name": "../x"},
            ": 'name' is '../x', not a name on one line, of at most 100 characters, with no slash",
        ),
        ({"name": None}, ": 'name' is None, not a name on one line"),
        ({"speeds": {"first": "20"}}, ": 'first' in 'speeds' is '20', not a finite number; paint it"),
        (
            {"speeds": {"first": 10**400}},
            ": 'first' in 'speeds' is 100000000000000000...0000000000000000000, not a finite number",
        ),
        ({"speeds": {"first": 1e308}}, ": 'first' in 'speeds' is 1e+308, not a finite number"),
        ({"speeds": {"fi\x1brst": 1}}, ": 'fi\\x1brst' in 'speeds' is 'fi\\x1brst', not a name on one line"),
        ({"doors": [0, -1]}, ": an entry of 'doors' is -1, not a whole number from 0"),
        ({"doors": [True]}, ": an entry of 'doors' is True, not a whole number from 0"),
        (
            {"digest": "0" * 63},
            ": 'digest' is '000000000000...0000000000000', not a SHA-256 of 64 hexadecimal digits; paint it",
        ),
        ({"from": 3}, ": 'from' is 3, not text; paint it"),
        ({"doors": [1, 2, 3]}, ": there are more doors than wheels; paint it"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTable) as caught:
        record({**CAR, **changes}, Car, "car.json", "paint it", InvalidTable)
    assert str(caught.value).startswith(f"car.json{message}")
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("value", [None, [], "car", 3])
def test_a_record_is_named_values(value: Any) -> None:
    with pytest.raises(CorruptFile, match=r"car\.json is .*, not named values; correct it"):
        record(value, Car, "car.json")


# -- the mutation operators: they change something, leave the good value as it is, an ------------------------


GOOD = {
    "text": (mutate_text, '{"a": [1, 2.5, "x"]}'),
    "bytes": (mutate_bytes, b"0123456789abcdef"),
    "json": (mutate_json, {"a": [1, 2.5, "x"], "b": {"c": None, "d": True}}),
    "empty text": (mutate_text, ""),
    "no bytes": (mutate_bytes, b""),
    "a number": (mutate_json, 5),
}


@pytest.mark.parametrize("kind", GOOD)
def test_mutants(kind):
    mutate, good = GOOD[kind]
    before = copy.deepcopy(good)
    first, again = (
        [repr(mutate(good, rng)) for _ in range(500)]
        for rng in (np.random.default_rng(0), np.random.default_rng(0))
    )
    assert first == again, "the same seed gives other mutants"
    assert good == before, "the good value was changed"
    assert len(set(first) - {repr(good)}) > 40, "there are few different mutants"
