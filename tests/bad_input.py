"""What every test of bad input asserts about the message."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from archenc.errors import ArchencError


def assert_one_sentence(error: BaseException) -> None:
    """The error is a typed one and says, in one sentence on one line, what is wrong and (after a semicolon)
    what to do.
    """
    assert isinstance(error, ArchencError), f"{type(error).__name__} is not a typed error"
    message = str(error)
    assert message.strip() == message, f"stray white space around {message!r}"
    assert message, "the message is empty"
    assert "\n" not in message, f"more than one line: {message!r}"
    assert len(message) < 500, f"{len(message)} characters are not a sentence: {message[:120]!r}..."
    assert not re.search(r"[a-z)\]'\"][.!?]\s+[A-Z]", message), f"more than one sentence: {message!r}"
    fault, _, remedy = message.rpartition("; ")
    assert fault, f"no remedy after a semicolon: {message!r}"
    assert remedy, f"no remedy after a semicolon: {message!r}"
    assert "Traceback" not in message


def refused(
    call: Callable[[], object], error: type[ArchencError] = ArchencError, says: str | None = None
) -> None:
    """The call ends in an error of that type, in one sentence that matches ``says``."""
    with pytest.raises(error, match=says) as caught:
        call()
    assert_one_sentence(caught.value)
