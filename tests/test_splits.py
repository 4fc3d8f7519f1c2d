from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archenc.dataset import ArchDataset, Provenance, loading
from archenc.dataset.loading import remind
from archenc.dataset.splits import Split, everything, halves, holdout, without_twins
from archenc.errors import InvalidParameter
from archenc.spaces.nasbench201 import NASBench201
from tests.bad_input import assert_one_sentence


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_halves_are_a_partition_with_the_larger_half_first(rows: int, seed: int) -> None:
    split = halves(rows, seed)
    assert sorted([*split.pool, *split.test]) == list(range(rows))
    assert len(split.pool) - len(split.test) in (0, 1)


def test_halves_take_the_given_rows_only() -> None:
    rows = np.array([3, 5, 8, 13])
    split = halves(rows, seed=1)
    assert sorted([*split.pool, *split.test]) == rows.tolist()


def test_halves_are_the_documented_permutation() -> None:
    order = np.random.RandomState(7).permutation(10)
    split = halves(10, seed=7)
    assert split.pool.tolist() == order[:5].tolist()
    assert split.test.tolist() == order[5:].tolist()
    assert split.digest != halves(10, seed=8).digest


groups_of_rows = st.lists(st.integers(0, 12), min_size=2, max_size=80).map(np.array)


@given(groups_of_rows, st.integers(0, 2**32 - 1))
def test_grouped_halves_keep_groups_together(groups: np.ndarray, seed: int) -> None:
    sizes = np.bincount(groups)
    room = (len(groups) + 1) // 2
    if sizes[sizes > 0].min() > room:
        with pytest.raises(InvalidParameter, match="more than half") as caught:
            halves(len(groups), seed, groups=groups)
        assert_one_sentence(caught.value)
        return
    split = halves(len(groups), seed, groups=groups)
    assert sorted([*split.pool, *split.test]) == list(range(len(groups)))
    assert not set(groups[split.pool]) & set(groups[split.test])
    assert len(split.pool) <= room
    left = [sizes[group] for group in set(groups[split.test])]
    assert not left or len(split.pool) + min(left) > room, (
        "a group of the test set would have fitted into the pool"
    )
    assert split.name == f"halves-{seed}-grouped"


@given(st.integers(2, 200), st.integers(0, 2**32 - 1))
def test_groups_of_one_are_the_halves_without_groups(rows: int, seed: int) -> None:
    assert halves(rows, seed, groups=np.arange(rows)[::-1]).digest == halves(rows, seed).digest


def test_groups_are_those_of_positions() -> None:
    rows = np.array([3, 5, 8, 13])
    groups = np.zeros(14, dtype=int)
    groups[[5, 13]] = 1
    split = halves(rows, groups=groups)
    assert {tuple(sorted(split.pool.tolist())), tuple(sorted(split.test.tolist()))} == {(3, 8), (5, 13)}
    with pytest.raises(InvalidParameter, match="position 13") as caught:
        halves(rows, groups=groups[:13])
    assert_one_sentence(caught.value)


def test_a_published_split_loses_the_twins_of_its_test_set() -> None:
    groups = np.array([0, 1, 2, 0, 1, 3])
    split = without_twins(Split("own", np.array([2, 0, 1]), np.array([3, 5])), groups)
    assert (split.name, split.pool.tolist(), split.test.tolist()) == ("own-grouped", [2, 1], [3, 5])
    with pytest.raises(InvalidParameter, match="'own'") as caught:
        without_twins(Split("own", np.array([0, 1]), np.array([3, 4])), groups)
    assert_one_sentence(caught.value)


def test_training_subsets_are_nested_and_documented() -> None:
    split = Split("own", np.arange(100, 150), np.arange(10))
    expected = np.random.RandomState(3).permutation(np.arange(100, 150))
    assert split.training_subset(20, seed=3).tolist() == expected[:20].tolist()
    assert split.training_subset(5, seed=3).tolist() == expected[:5].tolist()


@pytest.mark.parametrize("size", [0, -1, 51])
def test_a_training_set_must_fit_the_pool(size: int) -> None:
    with pytest.raises(InvalidParameter, match="1 to 50") as caught:
        Split("own", np.arange(50), np.arange(50, 60)).training_subset(size, seed=0)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(("pool", "test"), [([0, 1, 2], [2, 3]), ([0, 1, 1], [2, 3]), ([0, 1], [2, 2])])
def test_overlapping_splits_are_refused(pool: list[int], test: list[int]) -> None:
    with pytest.raises(InvalidParameter, match="'own'") as caught:
        Split("own", np.array(pool), np.array(test))
    assert_one_sentence(caught.value)


def test_the_digest_depends_on_values_and_order_not_on_the_integer_type() -> None:
    split = Split("own", np.array([4, 1], dtype=np.int32), np.array([2, 3], dtype=np.int32))
    assert split.pool.dtype == np.int64
    assert split.digest == Split("other name", np.array([4, 1]), np.array([2, 3])).digest
    assert split.digest != Split("own", np.array([1, 4]), np.array([2, 3])).digest
    assert split.digest != Split("own", np.array([4]), np.array([1, 2, 3])).digest


def test_a_holdout_is_the_end_of_the_documented_permutation() -> None:
    rows = np.array([3, 5, 8, 13, 21])
    order = np.random.RandomState(4).permutation(rows)
    split = holdout(rows, 2, seed=4)
    assert (split.pool.tolist(), split.test.tolist()) == (order[:3].tolist(), order[3:].tolist())
    assert split.name == "holdout-2-4"
    for size in (0, -1, 5):
        with pytest.raises(InvalidParameter, match="choose 1 to 4") as caught:
            holdout(rows, size, seed=4)
        assert_one_sentence(caught.value)


def test_everything_is_in_both_halves() -> None:
    assert everything(3).pool.tolist() == everything(3).test.tolist() == [0, 1, 2]
    assert everything(np.array([4, 2])).test.tolist() == [4, 2]
    with pytest.raises(InvalidParameter, match="twice"):
        everything(np.array([4, 4]))


@pytest.mark.parametrize("wrong", [-1, 2**32, 10.0, "x", None, True, [1]])
def test_sizes_and_seeds_that_are_none(wrong: object) -> None:
    split = halves(10)
    calls = [
        lambda: split.training_subset(3, wrong),
        lambda: halves(10, wrong),
        lambda: holdout(10, 2, wrong),
    ]  # type: ignore[arg-type]
    if wrong != 2**32:
        calls += [lambda: split.training_subset(wrong, 0), lambda: holdout(10, wrong)]  # type: ignore[arg-type]
    if not isinstance(wrong, list) and wrong not in (10.0, 2**32):
        calls += [lambda: halves(wrong), lambda: everything(wrong)]  # type: ignore[arg-type]
    for call in calls:
        with pytest.raises(InvalidParameter) as caught:
            call()
        assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "positions", [[0.5], [-1], ["a"], [[0, 1]], None, [float("nan")], np.array([True]) + 1j, 5]
)
def test_positions_that_are_none(positions: object) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Split("own", positions, np.array([7]))  # type: ignore[arg-type]
    assert_one_sentence(caught.value)


# -- what to cite is said once on a terminal, and nowhere else -----------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(
        loading, "sys", SimpleNamespace(stderr=stream)
    )  # as pytest puts its own in place of sys.stderr
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARCHENC_QUIET", raising=False)
    return stream


def dataset(name: str = "numbers", citation: str = "Someone: Numbers, 2020") -> ArchDataset:
    graphs = NASBench201().sample(2, np.random.default_rng(0))
    return ArchDataset(
        name=name, graphs=graphs, labels={}, label="", provenance=Provenance(citation=citation)
    )


def test_once_for_each_data_set(terminal: Terminal) -> None:
    for name in ("numbers", "numbers", "letters"):
        remind(dataset(name))
    assert terminal.getvalue().splitlines() == [
        "archenc: for numbers, cite Someone: Numbers, 2020",
        "archenc: for letters, cite Someone: Numbers, 2020",
    ]


def test_names_are_neither_paths_nor_orders_to_the_terminal(terminal: Terminal, tmp_path: Path) -> None:
    for name in ("../../escaped", f"{tmp_path}/escaped", "", "\x1b[31mred"):
        remind(dataset(name, f"{name}: Numbers"))
        remind(dataset(name, f"{name}: Numbers"))
    assert len(terminal.getvalue().splitlines()) == 4
    assert "\x1b" not in terminal.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]
    assert len(list((tmp_path / "cache" / "cited").iterdir())) == 4


def test_silence(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remind(dataset(citation=""))
    monkeypatch.setenv("ARCHENC_QUIET", "1")
    remind(dataset())
    monkeypatch.delenv("ARCHENC_QUIET")
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    remind(dataset())
    assert terminal.getvalue() == ""
    assert not (tmp_path / "cache").exists(), "what was not said is not remembered"


def test_a_cache_that_cannot_be_written_is_no_error(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    remind(dataset())
    assert "cite Someone" in terminal.getvalue()
