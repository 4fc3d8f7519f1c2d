"""JSON and YAML that others wrote: bounded plain values, and records of a described shape.

Each kind of file is a :class:`Record`, whose fields say what they hold; reading one is :func:`record`, which
refuses what does not fit with the field and what to do. Nothing behind it needs to look again.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Hashable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, dataclass_transform, get_args, get_origin

import msgspec
import yaml
from msgspec import Meta

from archenc.errors import ArchencError, CorruptFile, hint
from archenc.files.trusted import read_bytes
from archenc.registry.rules import describe

MAX_JSON_BYTES = 64 * 2**20
MAX_YAML_BYTES = 2**16
MAX_VALUES = 2**20
"""Of one JSON text, as each takes far more memory than its characters do."""
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1

# with what turns the direction of text around
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"

Text = Annotated[str, Meta(max_length=10_000, description="a text of at most 10,000 characters")]
Name = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=rf"\A[^{_CONTROL}]+\Z",
        description="a name on one line, of at most 200 characters",
    ),
]
FileName = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=rf"\A(?!\.)[^/\\{_CONTROL}]+\Z",
        description="a name on one line, of at most 100 characters, with no slash and no dot before it",
    ),
]
"""Of what files may be called after."""
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="a SHA-256 of 64 hexadecimal digits")]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="a whole number from 0 up")]
Seconds = Annotated[float, Meta(ge=0, le=1e12, description="a number of seconds")]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The described shape of a file, or of a part of one: a field that it does not name is refused."""


# -- plain values --------------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value in a UTF-8 JSON file; raises :class:`DataNotFound` or :class:`CorruptFile`."""
    return parse_json(read_bytes(path, max_bytes), f"the file {path}")


def parse_json(
    content: bytes | str,
    where: str,
    remedy: str = "write it again or restore it",
    error: type[ArchencError] = CorruptFile,
) -> Any:
    """The value of a JSON text; raises an ``error`` for what is none, is too deep or too much, or holds a
    number beyond 64 bits.
    """
    try:
        if _count(content) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        value = msgspec.json.decode(content)
        check_bounds(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise error(f"{where} is not valid JSON ({_reason(problem)}); {remedy}") from None
    return value


def _count(content: bytes | str) -> int:
    """Values in a JSON text, or a few more, as text may hold commas and brackets too."""
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return sum(content.count(mark) for mark in (b",", b"[", b"{"))


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The named values of a small UTF-8 YAML file; raises :class:`DataNotFound` or :class:`CorruptFile` with
    the line.
    """
    content = parse_yaml(read_bytes(path, MAX_YAML_BYTES), str(path))
    if not isinstance(content, dict):
        raise CorruptFile(f"{path} does not hold named values; write lines such as 'name: value'")
    return content


def parse_yaml(content: bytes | str, where: str) -> Any:
    """The value of a YAML text that uses no more of YAML than JSON has.

    Null, true, false, numbers, text (a date is text), lists and mappings with text as keys. Anchors, tags and
    directives, keys that stand twice, nesting beyond :data:`MAX_DEPTH`, integers beyond 64 bits and numbers
    that are not finite are refused.

    Raises:
        CorruptFile: the line, what is wrong, and what to do.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        _check_events(text)
        return yaml.load(text, _PlainLoader)
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{where} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise CorruptFile(
            f"{where}{line}: this is not YAML that can be read here ({problem}); repair it"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise CorruptFile(f"{where} is not YAML ({_reason(error)}); repair it") from None


_Loader: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the same language, ten times as fast where PyYAML has it


class _PlainLoader(_Loader):
    """YAML's null, booleans, numbers, text, lists and mappings with text as keys."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except ValueError:
            raise _refused("a number that cannot be read", node) from None
        if problem := _unbounded(value):
            raise _refused(problem, node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or not isinstance(self.construct_object(key), str):
                raise _refused(
                    "named values have names that are text, in quotes if they look like something else", key
                )
            if key.value in seen:
                raise _refused(f"the key {key.value[:60]!r} stands twice", key)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


_KEPT = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag in _KEPT]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _check_events(text: str) -> None:
    """Stop at the first event that leads to more than plain values, before anything is built."""
    depth = 0
    for event in yaml.parse(text, _PlainLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refused(f"nested more than {MAX_DEPTH} deep", event)
        if getattr(event, "anchor", None) is not None:
            raise _refused("anchors and aliases such as &name and *name", event)
        if getattr(event, "tag", None) is not None:
            raise _refused("a tag such as !name", event)
        if getattr(event, "version", None) or getattr(event, "tags", None):
            raise _refused("a directive such as %YAML", event)


def _refused(problem: str, place: Any) -> yaml.MarkedYAMLError:
    """What stops reading at the ``place``, a node or an event."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def check_bounds(value: Any) -> None:
    """Raise :class:`ValueError` for nesting beyond :data:`MAX_DEPTH`, integers beyond 64 bits, and numbers
    that are not finite.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        if problem := next(filter(None, map(_unbounded, level)), None):
            raise ValueError(problem)
        level = [child for item in level for child in _children(item)]
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _unbounded(value: Any) -> str | None:
    """What is wrong with a single value, if something is."""
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a whole number beyond 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    if isinstance(value, str) and _SURROGATE.search(value):
        return "half a character"
    return None


def _children(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item.values()
    elif isinstance(item, list):
        yield from item


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


# -- records -------------------------------------------------------------------------------------------------


def record(
    value: Any, kind: type[T], where: str, remedy: str = "correct it", error: type[ArchencError] = CorruptFile
) -> T:
    """A plain value as a ``kind``, a :class:`Record` for the most part.

    Raises:
        ArchencError: of the type ``error``: ``where``, which part of the value, what it should be, and the
            ``remedy``.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError) as problem:
        raise error(f"{where}{_complaint(value, kind, str(problem), remedy)}") from None


def plain_values(content: Record) -> dict[str, Any]:
    """The JSON values of a record."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
    return values


def canonical_json(value: Any) -> str:
    """One text for one value, of which records may be parts: sorted keys, no spaces, no NaN."""
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _complaint(value: Any, kind: Any, problem: str, remedy: str) -> str:
    place, value, kind = _culprit(value, kind)
    if not (isinstance(value, dict) and _is_record(kind)):
        return (
            f"{f': {_at(place)}' if place else ''} is {reprlib.repr(value):.80}, not {_described(kind)}; "
            f"{remedy}"
        )
    where = f", {_at(place)}" if place else ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            remedy = hint(key, fields, f"it takes {', '.join(fields)}")
            return f"{where}: unknown key {str(key)[:60]!r}; {remedy}"
    for key, field in fields.items():
        if field.required and key not in value:
            return f"{where}: the key {key!r} is missing; {remedy}"
    # what the record itself says of fields that do not fit together
    return f"{where}: {problem.partition(' - at `')[0]}; {remedy}"


def _culprit(
    value: Any, kind: Any, place: tuple[str | int, ...] = ()
) -> tuple[tuple[str | int, ...], Any, Any]:
    """Where the innermost part is that does not fit, the part, and what it should be."""
    for key, part, inner in _parts(value, _bare(kind)):
        try:
            msgspec.convert(part, inner)
        except (msgspec.ValidationError, OverflowError):
            return _culprit(part, inner, (*place, key))
    return place, value, kind


def _parts(value: Any, kind: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """The key, the value and the kind of each part."""
    arguments = get_args(kind)
    if isinstance(value, dict) and _is_record(kind):
        yield from ((name, value[name], kind) for name, kind in _kinds(kind).items() if name in value)
    elif isinstance(value, dict) and get_origin(kind) is dict:
        yield from ((key, key, arguments[0]) for key in value)
        yield from ((key, part, arguments[1]) for key, part in value.items())
    elif isinstance(value, list) and get_origin(kind) in (list, tuple):
        yield from ((at, part, arguments[0]) for at, part in enumerate(value))


def _kinds(kind: Any) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _bare(kind: Any) -> Any:
    """``kind`` without its notes, and without None beside it."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    others = [member for member in get_args(kind) if member is not NoneType]
    return _bare(others[0]) if get_origin(kind) in (Union, UnionType) and len(others) == 1 else kind


def _is_record(kind: Any) -> bool:
    return isinstance(_bare(kind), type) and issubclass(_bare(kind), msgspec.Struct)


def _described(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_described(member) for member in get_args(kind) if member is not NoneType)
    words = describe(kind)
    return "named values" if _is_record(kind) or words == "a dict" else words


def _at(place: tuple[str | int, ...]) -> str:
    """``'seed' in 'key.protocol'``; a place in a list is said by the list's name."""
    *outer, last = place
    if isinstance(last, int):
        return f"an entry of {_at(tuple(outer))}" if outer else f"entry {last}"
    return f"{last!r:.80}" + (f" in {'.'.join(map(str, outer))!r:.80}" if outer else "")
