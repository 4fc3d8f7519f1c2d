"""JSON and YAML that others wrote: bounded plain values, and records of a described shape.

Each kind of file is a :class:`Record`, whose fields say what they hold; reading one is :func:`record`, which refuses what does not fit
with the field and what to do. Nothing behind it needs to look again.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Hashable, Iterator
from typing import Annotated, Any, TypeVar

import msgspec
import yaml
from msgspec import Meta

from archenc.errors import ArchencError, CorruptFile
from archenc.files import read_bytes

MAX_JSON_BYTES = 64 * 2**20
MAX_YAML_BYTES = 2**16
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1

Text = Annotated[str, Meta(max_length=10_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The described shape of a file, or of a part of one: a field that it does not name is refused."""


# -- plain values ----------------------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value in a UTF-8 JSON file; raises :class:`DataNotFound` or :class:`CorruptFile`."""
    return parse_json(read_bytes(path, max_bytes), f"the file {path}")


def parse_json(
    content: bytes | str, where: str, remedy: str = "write it again or restore it", error: type[ArchencError] = CorruptFile
) -> Any:
    """The value of a JSON text; raises an ``error`` for what is none, is too deep, or holds a number beyond 64 bits."""
    try:
        value = msgspec.json.decode(content)
        check_bounds(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise error(f"{where} is not valid JSON ({_reason(problem)}); {remedy}") from None
    return value


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The named values of a small UTF-8 YAML file; raises :class:`DataNotFound` or :class:`CorruptFile` with the line."""
    content = parse_yaml(read_bytes(path, MAX_YAML_BYTES), str(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise CorruptFile(f"{path} does not hold named values; write lines such as 'name: value'")
    return content


def parse_yaml(content: bytes | str, where: str) -> Any:
    """The value of a YAML text that uses no more of YAML than JSON has.

    Null, true, false, numbers, text, lists and mappings with text as keys. Aliases and tags, keys that stand twice and nesting beyond
    :data:`MAX_DEPTH` are refused.

    Raises:
        CorruptFile: the line, what is wrong, and what to do.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        _check_tokens(text)
        value = yaml.load(text, _PlainLoader)
        check_bounds(value)
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{where} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise CorruptFile(f"{where}{line}: this is not YAML that can be read here ({error.problem}); repair it") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CorruptFile(f"{where} is not YAML ({_reason(error)}); repair it") from None
    return value


class _PlainLoader(yaml.SafeLoader):
    """YAML's null, booleans, numbers, text, lists and mappings; a date, for example, is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key that is not text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value[:60]!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_KEPT = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag in _KEPT] for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_OPENING = (yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken, yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSING = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)


def _check_tokens(text: str) -> None:
    """Stop at the first token that leads to more than plain values, before anything is built."""
    depth = 0
    for token in yaml.scan(text, Loader=_PlainLoader):
        if isinstance(token, yaml.AliasToken):
            raise yaml.MarkedYAMLError(problem="an alias (*name); write the values out", problem_mark=token.start_mark)
        if isinstance(token, yaml.TagToken):
            raise yaml.MarkedYAMLError(problem="a tag (!name); leave it out", problem_mark=token.start_mark)
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=token.start_mark)


def check_bounds(value: Any) -> None:
    """Raise :class:`ValueError` for nesting beyond :data:`MAX_DEPTH`, integers beyond 64 bits, and numbers that are not finite."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        for item in level:
            if isinstance(item, int) and abs(item) > MAX_INTEGER:
                raise ValueError("a whole number beyond 64 bits")
            if isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number that is not finite")
        level = [child for item in level for child in _children(item)]
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _children(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item.values()
    elif isinstance(item, list):
        yield from item


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


# -- records ---------------------------------------------------------------------------------------------------------


def record(value: Any, kind: type[T], where: str, remedy: str, error: type[ArchencError] = CorruptFile) -> T:
    """A plain value as a ``kind``, a :class:`Record` for the most part.

    Raises:
        ArchencError: of the type ``error``: ``where``, which field, what it should be, and the ``remedy``.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        raise error(f"{where}: {_explain(str(problem), kind)}; {remedy}") from None
    except RecursionError:
        raise error(f"{where}: it is nested too deep; {remedy}") from None


_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<place>.*)`)?", flags=re.DOTALL)


def _explain(message: str, kind: Any) -> str:
    """A message of msgspec as half a sentence: place first, then what is wrong there."""
    match = _PROBLEM.fullmatch(message)
    assert match is not None
    what = match["what"].replace("`", "'")
    what = what[:1].lower() + what[1:]
    unknown = re.fullmatch(r"object contains unknown field '(.*)'", what)
    if unknown is not None:
        near = difflib.get_close_matches(unknown[1], _field_names(kind), n=1)
        what = f"unknown key {unknown[1][:60]!r}" + (f", did you mean {near[0]!r}?" if near else "")
    what = what.replace("object missing required field", "missing key")
    place = match["place"]
    return f"{place!r}: {what}" if place else what


def _field_names(kind: Any) -> list[str]:
    """Names of the fields of a record and of the records inside it."""
    names: dict[str, None] = {}
    seen: list[Any] = []
    waiting = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if info in seen:
            continue
        seen.append(info)
        for field in getattr(info, "fields", ()):
            names[field.encode_name] = None
            waiting.append(field.type)
        inner = [getattr(info, part, None) for part in ("item_type", "value_type")]
        waiting += [part for part in (*getattr(info, "types", ()), *inner) if part is not None]
    return list(names)
