import io
import time

import pytest

from archenc.files.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stderr", "show"), [(io.StringIO(), True), (Terminal(), False)])
def test_silent_without_a_terminal_or_when_told(
    stderr: io.StringIO, show: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stderr)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assert list(progress(range(3), "counting", show=show)) == [0, 1, 2]
    assert stderr.getvalue() == ""


def test_a_terminal_sees_only_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, shown in ((0.001, False), (5.0, True)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        now = [0.0]

        def clock(now: list[float] = now, seconds: float = seconds) -> float:
            now[0] += seconds
            return now[0]

        monkeypatch.setattr("tqdm.std.time", clock)
        assert list(progress(iter(range(3)), "counting", total=3)) == [0, 1, 2]
        assert ("counting" in terminal.getvalue()) is shown
