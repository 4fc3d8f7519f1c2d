"""Notes of leaderboards, against sums written out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.protocol import list_protocols, load_protocol, read_yaml
from archenc.benchmarks.reports.estimates import estimate, paired
from archenc.benchmarks.reports.published import PublishedResult
from archenc.benchmarks.reports.report import write_report
from archenc.benchmarks.reports.statements import (
    FOLDER,
    comparisons,
    notes,
    notes_markdown,
    reached,
    remarks,
    split_notes,
    strongest,
)
from archenc.benchmarks.runs import Leaderboard, Run, leaderboards
from tests.benchmarks.made_up import forced, shown_on_page

NINE_RUNS, OWN_SETS = "nasbench101-ta7290", "nasbench201-cifar10"
GATES, TA_GATES, GP = "gates+mlp+hinge", "ta-gates+mlp+hinge", "graf-plus+gp+mse"
T = {2: 12.706204736, 3: 4.302652730, 9: 2.306004135}
"""The 97.5 percent points of Student's t with n - 1 degrees of freedom, from a printed table."""

TAUS = {
    GATES: [0.61, 0.72, 0.65, 0.64, 0.70, 0.66, 0.60, 0.71, 0.68],
    TA_GATES: [0.65, 0.73, 0.64, 0.66, 0.75, 0.67, 0.61, 0.70, 0.69],
}
Make = Callable[..., Run]


@pytest.fixture
def make_board(make_run: Make) -> Callable[..., Leaderboard]:
    def make(taus: dict[str, dict[int, list[float | None]]], protocol: str = NINE_RUNS) -> Leaderboard:
        """A leaderboard of the values by method and size, of seeds 0, 1, ...; None leaves a run out."""
        rule = load_protocol(protocol)
        return leaderboards(
            make_run(rule, method, size, seed, tau)
            for method, sizes in taus.items()
            for size, values in sizes.items()
            for seed, tau in enumerate(values)
            if tau is not None
        )[0]

    return make


def by_hand(values: list[float]) -> tuple[float, float, float]:
    """Mean and ends of the 95 percent t interval."""
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    margin = T[n] * deviation / math.sqrt(n)
    return mean, mean - margin, mean + margin


def thirds(values: list[float]) -> list[float]:
    """Means of seeds 0, 3, 6 and 1, 4, 7 and 2, 5, 8: the training sets of nine runs."""
    return [(values[k] + values[k + 3] + values[k + 6]) / 3 for k in range(3)]


# -- estimates -----------------------------------------------------------------------------------------------


def test_a_row_is_estimated_over_its_training_sets(make_board: Callable[..., Leaderboard]) -> None:
    row = make_board({GATES: {72: TAUS[GATES]}}).rows[0]
    found = estimate(row)
    assert found.count == 3
    assert (found.mean, found.low, found.high) == pytest.approx(by_hand(thirds(TAUS[GATES])))
    assert found.margin > by_hand(TAUS[GATES])[2] - by_hand(TAUS[GATES])[0], (
        "three sets say less than nine independent runs would"
    )


def test_seeds_with_training_sets_of_their_own_are_the_unit(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({GATES: {78: [0.70, 0.75, 0.74]}}, OWN_SETS)
    found = estimate(board.rows[0])
    assert (found.mean, found.low, found.high) == pytest.approx(by_hand([0.70, 0.75, 0.74]))


def test_a_paired_difference(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({name: {72: values} for name, values in TAUS.items()})
    pair = paired(board, TA_GATES, GATES, 72)
    assert pair is not None
    differences = [a - b for a, b in zip(TAUS[TA_GATES], TAUS[GATES], strict=True)]
    over_sets, over_runs = pair.over_sets, pair.over_runs
    assert (over_sets.mean, over_sets.low, over_sets.high) == pytest.approx(by_hand(thirds(differences)))
    assert (over_runs.mean, over_runs.low, over_runs.high) == pytest.approx(by_hand(differences))
    assert (over_sets.count, over_runs.count) == (3, 9)


def test_only_equal_seeds_and_sizes_are_paired(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board(
        {GATES: {72: [0.1, 0.2, 0.4, None, 0.5], 364: [0.9]}, TA_GATES: {72: [None, 0.3, 0.7, 0.9, 0.8]}}
    )
    pair = paired(board, TA_GATES, GATES, 72)
    assert pair is not None
    assert pair.over_runs.count == 3
    assert (pair.over_sets.mean, pair.over_sets.low, pair.over_sets.high) == pytest.approx(
        by_hand([(0.1 + 0.3) / 2, 0.3])
    )
    assert paired(board, TA_GATES, GATES, 364) is None
    assert paired(board, GP, GATES, 72) is None
    apart = make_board({GATES: {72: [0.1, 0.2]}, TA_GATES: {72: [None, None, 0.7, 0.1]}})
    assert paired(apart, TA_GATES, GATES, 72) is None
    assert "shares no seed" in strongest(apart)[0]


def test_one_training_set_has_no_interval(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({GATES: {72: [0.6, None, None, 0.8]}, TA_GATES: {72: [0.5, None, None, 0.5]}})
    found = estimate(board.rows[0])
    assert (found.mean, found.count) == (pytest.approx(0.7), 1)
    assert math.isnan(found.margin)
    assert strongest(board) == [
        f"n = 72: {GATES}, 0.700, 1 training set, 2 runs; against the next, {TA_GATES}, on the same runs "
        "+0.200, on a single training set."
    ]


# -- sentences -----------------------------------------------------------------------------------------------


def test_the_strongest_row_of_each_size(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board(
        {
            **{name: {72: values} for name, values in TAUS.items()},
            GP: {72: [0.5] * 9, 364: [0.80, 0.81, 0.82] * 3},
            "lstm+mlp+hinge": {72: [0.99], 364: [0.70, 0.71, 0.72]},
        }
    )
    low, high = by_hand(thirds(TAUS[TA_GATES]))[1:]
    mean, at_least, at_most = by_hand(
        thirds([a - b for a, b in zip(TAUS[TA_GATES], TAUS[GATES], strict=True)])
    )
    assert at_least < 0 < at_most
    assert strongest(board) == [
        f"n = 72: {TA_GATES}, 0.678 ({low:.3f} to {high:.3f}), 3 training sets, 9 runs; against the next, "
        f"{GATES}, on the same runs "
        f"{mean:+.3f} ({at_least:+.3f} to {at_most:+.3f}), which may be noise.",
        f"n = 364: {GP}, 0.810 (0.785 to 0.835), 3 training sets, 9 runs; against the next, lstm+mlp+hinge, "
        "on the same runs "
        "+0.100 (+0.100 to +0.100), more than noise.",
    ]


def test_a_single_row_and_an_undefined_one(make_board: Callable[..., Leaderboard]) -> None:
    assert strongest(make_board({GATES: {72: [0.6]}, TA_GATES: {72: [math.nan]}})) == [
        f"n = 72: {GATES}, 0.600, 1 training set."
    ]


def test_less_is_better_where_the_metric_says_so(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({name: {72: values} for name, values in TAUS.items()})
    (board,) = leaderboards(
        forced(run, {"key": {"protocol": {"metrics": ("regret@10",)}}, "metrics": {"regret@10": value}})
        for row in board.rows
        for run, value in zip(row.runs, TAUS[row.method.name], strict=True)
    )
    assert strongest(board)[0].startswith(f"n = 72: {GATES}, 0.663 (")


def test_comparisons_state_the_pairs_that_were_run(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board(
        {
            GATES: {72: TAUS[GATES], 364: [0.7, 0.7, 0.7]},
            TA_GATES: {72: TAUS[TA_GATES], 364: [0.75, 0.77, 0.79]},
            GP: {729: [0.8]},
        }
    )
    differences = [a - b for a, b in zip(TAUS[TA_GATES], TAUS[GATES], strict=True)]
    sets, runs = by_hand(thirds(differences)), by_hand(differences)
    later = by_hand([0.05, 0.07, 0.09])
    assert comparisons(board, {GATES: [TA_GATES, GP, "bananas"], GP: [TA_GATES]}) == [
        f"{TA_GATES} against {GATES}: n = 72: {sets[0]:+.3f} ({sets[1]:+.3f} to {sets[2]:+.3f}), "
        f"over runs {runs[1]:+.3f} to {runs[2]:+.3f}, 9 pairs; n = 364: +0.070 ({later[1]:+.3f} to "
        f"{later[2]:+.3f}), 3 pairs."
    ]
    assert comparisons(board)[0].startswith(f"{TA_GATES} against {GATES}: n = 72")


def printed(size: int, tau: float, **change: Any) -> PublishedResult:
    fields = {
        "protocol": NINE_RUNS,
        "method": GATES,
        "label": "GATES",
        "std": None,
        "paper": "P",
        "table": "t",
        "source": "slides",
    }
    return PublishedResult(**{**fields, "size": size, "tau": tau, "note": "", **change})


def test_published_numbers_that_are_reached(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({GATES: {36: [0.609], 72: [0.60, 0.62], 364: [0.7]}})
    known = [
        printed(36, 0.6195),  # .0105 above ours
        printed(72, 0.6195),
        printed(364, 0.6),
        printed(729, 0.6),  # not run
        printed(72, 0.7, label="X"),
        printed(72, 0.1, protocol="nasbench101-uniform"),
        printed(72, 0.1, method="", label="Y"),
    ]
    assert reached(board, known) == [
        f"GATES, P: {GATES} reaches 2 of 3 printed numbers, not at n = 36.",
        f"X, P: {GATES} reaches 0 of 1 printed numbers, not at n = 72.",
    ]


def test_what_a_split_tests_is_said_of_that_split_only(make_board: Callable[..., Leaderboard]) -> None:
    board = make_board({GATES: {72: [0.6]}})
    assert split_notes(board) == [], "the made-up run saw another split"
    digest = read_yaml(FOLDER / "audits.yaml")[NINE_RUNS]["split"]
    (board,) = leaderboards([forced(board.rows[0].runs[0], {"split": {"digest": digest}})])
    (sentence,) = split_notes(board)
    assert sentence.startswith("Extrapolation: no wiring of the test set occurs in the pool")
    assert sentence.endswith(".")


def test_reports_show_the_notes(make_board: Callable[..., Leaderboard], tmp_path: Path) -> None:
    board = make_board({name: {72: values} for name, values in TAUS.items()})
    found = notes(board)
    assert len(found) == 4
    assert any("(t = 4.30)" in heading for heading in found)
    write_report([run for row in board.rows for run in row.runs], tmp_path)
    page, markdown = shown_on_page(tmp_path / "index.html"), (tmp_path / "leaderboard.md").read_text()
    assert notes_markdown(board) in markdown
    for heading, sentences in found.items():
        assert [heading, sentences] in page["boards"][board.setting.name]["notes"]
        for sentence in sentences:
            assert f"- {sentence}\n" in markdown
    own = notes(make_board({GATES: {78: [0.7, 0.8]}}, OWN_SETS))
    assert not any("4.30" in heading or "over runs" in heading for heading in own)


# -- the packaged files --------------------------------------------------------------------------------------


def test_packaged_comparisons_name_methods_that_exist() -> None:
    methods = load_methods()
    pairs = [
        (baseline, method)
        for baseline, against in read_yaml(FOLDER / "comparisons.yaml").items()
        for method in against
    ]
    assert len(set(pairs)) == len(pairs)
    for pair in pairs:
        assert len(set(pair)) == 2
        for name in pair:
            assert find_method(name, methods).name == name


def test_packaged_remarks_are_sentences_on_protocols_that_exist(
    make_board: Callable[..., Leaderboard],
) -> None:
    known = read_yaml(FOLDER / "remarks.yaml")
    assert known.keys() <= set(list_protocols())
    for sentences in known.values():
        assert sentences
        assert all(isinstance(one, str) and one.endswith(".") for one in sentences)
    assert remarks(make_board({GATES: {72: [0.6]}})) == known[NINE_RUNS]
