"""Published numbers, and the table that shows ours beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from archenc.benchmarks import proxies
from archenc.benchmarks.methods import find_method, load_methods
from archenc.benchmarks.protocol import list_protocols, load_protocol
from archenc.benchmarks.reports.published import (
    SOURCES,
    PublishedResult,
    comparison,
    comparison_markdown,
    published_results,
    read_published,
)
from archenc.benchmarks.reports.report import write_report
from archenc.benchmarks.reports.tables import fill_tables
from archenc.benchmarks.runs import Leaderboard, Run, leaderboards
from archenc.commands.app import main
from archenc.errors import CorruptFile, UnknownName
from archenc.files.documents import plain_values
from archenc.proxies import COMBINATION, ProxyScores

P2 = "nasbench101-ta7290"


@pytest.fixture
def runs(make_run: Callable[..., Run]) -> list[Run]:
    """Three GATES networks at 72 cells, one at 364, and a method that no paper has."""
    protocol = load_protocol(P2)
    gates = [
        make_run(protocol, "gates+mlp+hinge", 72, seed, tau) for seed, tau in enumerate([0.66, 0.68, 0.70])
    ]
    return [
        *gates,
        make_run(protocol, "gates+mlp+hinge", 364, 0, 0.74),
        make_run(protocol, "op-count+gp+mse", 72, 0, 0.3),
    ]


@pytest.fixture
def board(runs: list[Run]) -> Leaderboard:
    return leaderboards(runs)[0]


def result(**change: object) -> PublishedResult:
    fields: dict[str, object] = {
        "protocol": P2,
        "method": "gates+mlp+hinge",
        "label": "GATES",
        "size": 72,
        "tau": 0.6321,
        "std": 0.0251,
        "paper": "A (B 2022)",
        "table": "encoders",
        "source": "slides",
        "note": "other cells; here all|fewer runs",
    }
    return PublishedResult(**{**fields, **change})  # type: ignore[arg-type]


# -- the packaged numbers ------------------------------------------------------------------------------------


def test_every_number_says_what_and_whose_it_is() -> None:
    results = published_results()
    assert len(results) > 200
    methods, protocols = load_methods(), {name: load_protocol(name) for name in list_protocols()}
    for one in results:
        assert "kendall_tau" in protocols[one.protocol].metrics
        assert -1 <= one.tau <= 1
        assert one.std is None or 0 <= one.std < 0.3
        assert one.paper
        assert one.table
        assert one.source in SOURCES
        assert one.label == one.label.strip()
        if one.method:
            find_method(one.method, methods)
            assert one.method in protocols[one.protocol].methods, (
                f"{one.protocol} does not run what {one.label} is compared to"
            )
    cells = [(one.protocol, one.paper, one.table, one.label, one.size) for one in results]
    assert len(set(cells)) == len(cells), "a number stands twice"


def test_a_published_method_is_one_method_of_ours() -> None:
    ours: dict[tuple[str, str, str], set[str]] = {}
    for one in published_results():
        ours.setdefault((one.paper, one.table, one.label), set()).add(one.method)
    assert all(len(methods) == 1 for methods in ours.values())


@pytest.mark.parametrize(
    ("protocol", "paper", "label", "size", "tau", "std"),
    [
        ("nasbench101-uniform", "GATES (ECCV 2020)", "MLP", 190, 0.3971, None),
        ("nasbench101-uniform", "GATES (ECCV 2020)", "Pairwise (BCE)", 381_262, 0.9042, None),
        (P2, "TA-GATES (NeurIPS 2022)", "TA-GATES", 72, 0.6686, 0.0338),
        (P2, "TA-GATES (NeurIPS 2022)", "XGBoost", 7290, 0.6175, 0.0),
        (P2, "TA-GATES (NeurIPS 2022)", "TA-GATES", 36, 0.6108, 0.0345),
        ("nasbench201-p2", "TA-GATES (NeurIPS 2022)", "MLP", 7, 0.0162, 0.0859),
        ("nasbench201-p2", "TA-GATES (NeurIPS 2022)", "TA-GATES", 781, 0.8890, 0.0049),
        ("nasbench201-p2", "DELE (AAAI 2023)", "GATES + DELE", 78, 0.8244, 0.0081),
        ("nasbench201-tnasp", "PINAT", "TNASP", 1563, 0.724, None),
    ],
)
def test_numbers_of_the_papers(
    protocol: str, paper: str, label: str, size: int, tau: float, std: float | None
) -> None:
    found = [
        r
        for r in published_results()
        if (r.protocol, r.paper, r.label, r.size) == (protocol, paper, label, size)
    ]
    assert [(r.tau, r.std) for r in found] == [(tau, std)]


def test_gates_gets_better_with_more_architectures() -> None:
    rows: dict[tuple[str, str, str], list[PublishedResult]] = {}
    for one in published_results():
        if "GATES" in one.label:
            rows.setdefault((one.paper, one.table, one.label), []).append(one)
    for row in rows.values():
        assert all(one.size < more.size and one.tau < more.tau for one, more in pairwise(row)), row[0].label


@pytest.mark.parametrize(
    "change",
    [
        {"tau": "1.2"},
        {"tau": ""},
        {"size": "7.5"},
        {"size": "0"},
        {"std": "x"},
        {"source": "hearsay"},
        {"paper": ""},
        {"table": ""},
    ],
)
def test_a_line_that_is_no_number_is_named(tmp_path: Path, change: dict[str, str]) -> None:
    good = {name: "" if value is None else str(value) for name, value in vars(result()).items()}
    path = tmp_path / "numbers.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(good))
        writer.writeheader()
        writer.writerows([good, good | change])
    with pytest.raises(CorruptFile, match=r"numbers\.csv, line 3"):
        read_published(path)


# -- side by side --------------------------------------------------------------------------------------------


def test_the_differences_by_hand(board: Leaderboard) -> None:
    table = comparison(
        board,
        [
            result(),
            result(size=729, tau=0.769, std=None),
            result(label="MLP", method="mlp+mlp+hinge", note=""),
        ],
    )
    assert table is not None
    assert table.header == ["method", "from", "n = 72", "n = 364", "n = 729"]
    assert table.lines == [
        ["GATES [1][2][3]", "A (B 2022)", "0.632 ± 0.025", "", "0.769"],
        ["gates+mlp+hinge", f"archenc {board.version}", "0.680 ± 0.020 (3)", "0.740 (1)", ""],
        ["difference", "", "+0.048", "", ""],
        ["MLP [1]", "A (B 2022)", "0.632 ± 0.025", "", ""],
    ]
    assert table.footnotes == [
        f"A (B 2022), encoders; {SOURCES['slides']}",
        "other cells; here all",
        "fewer runs",
    ]


def test_other_protocols_are_left_out(board: Leaderboard) -> None:
    assert comparison(board, [result(protocol="nasbench201-p2")]) is None
    table = comparison(board)
    assert table is not None
    assert all("DELE" not in line[0] for line in table.lines)
    assert [line[0].partition(" [")[0] for line in table.lines if line[1].startswith("TA-GATES")] == [
        "MLP",
        "LSTM",
        "GCN (global node)",
        "NASBOWL",
        "SemiNAS",
        "XGBoost",
        "GATES",
        "TA-GATES",
        "TA-GATES",
    ]


@pytest.fixture
def folder(runs: list[Run], tmp_path: Path) -> Callable[[list[Run]], Path]:
    def write(some: list[Run]) -> Path:
        path = tmp_path / "runs"
        path.mkdir()
        for run in some:
            (path / f"{run.run}.json").write_text(json.dumps(plain_values(run)))
        return path

    return write


def test_the_command_prints_the_table(
    runs: list[Run], folder: Callable[[list[Run]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "compare", str(folder(runs))]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("gates+mlp+hinge"))
    assert lines[at - 1].startswith("GATES [")
    assert "0.632 ± 0.025" in lines[at - 1]
    assert "0.680 ± 0.020 (3)" in lines[at]
    assert "+0.048" in lines[at + 1]
    columns = {
        line.index(cell)
        for line, cell in zip(lines[at - 1 : at + 2], ("0.632", "0.680", "+0.048"), strict=True)
    }
    assert len(columns) == 1, "one column for one size"
    assert any(line.startswith("[1] TA-GATES (NeurIPS 2022)") for line in lines)


def test_runs_that_no_paper_has(
    tiny: None, protocol_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    assert (
        main(["bench", "run", str(protocol_file), "--runs", str(runs), "--sizes", "8", "--seeds", "0"]) == 0
    )
    capsys.readouterr()
    assert main(["bench", "compare", str(runs)]) == 2
    message = capsys.readouterr().err
    assert "tiny" in message
    assert P2 in message


def test_pages_show_the_table(runs: list[Run], board: Leaderboard, tmp_path: Path) -> None:
    write_report(runs, tmp_path)
    markdown = (tmp_path / "leaderboard.md").read_text()
    text = comparison_markdown(board)
    assert text is not None
    assert text in markdown
    assert "+0.048" in markdown
    assert "training sets of a size: 3" in markdown
    marked = f"<!-- published {P2} -->\nold\n<!-- end -->\n"
    filled = fill_tables(marked, [board])
    assert filled == f"<!-- published {P2} -->\n\n{text}\n\n<!-- end -->\n"
    assert fill_tables(filled, [board]) == filled


def test_a_marked_table_without_published_numbers_is_an_error(board: Leaderboard) -> None:
    with pytest.raises(UnknownName, match="no runs"):
        fill_tables("<!-- published nasbench201-p2 -->\n<!-- end -->", [board])


# -- zero-cost proxies ---------------------------------------------------------------------------------------

EDGES = [(0, 1), (1, 2), (0, 2)]
CELL = str((*(int((i, j) in EDGES) for i in range(7) for j in range(7)), 0, 4, 1, 3, 3, 3, 3))


def test_published_proxies_of_nasbench101_are_read(tmp_path: Path) -> None:
    path = tmp_path / "zc.json"
    path.write_text(json.dumps({"nasbench101": {"cifar10": {CELL: {"val_accuracy": 90.5, "snip": 3.0}}}}))
    cells, y, published = proxies.read_nasbench101(path)
    assert cells[0][1][:3] == ["input", "conv3x3-bn-relu", "output"]
    assert y.tolist() == [90.5]
    assert published["snip"].tolist() == [3.0]
    assert np.isnan(published["zen"]).all()
    for wrong in ({}, {"nasbench101": {"cifar10": {"(1, 2)": {}}}}, {"nasbench101": {"cifar10": {"a": 1}}}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(CorruptFile, match="zc_nasbench101"):
            proxies.read_nasbench101(path)


def test_a_proxy_beside_its_published_values() -> None:
    y = np.arange(6.0)
    table = np.stack([y, -y, np.full(6, np.nan)], axis=1)[None]
    scores = ProxyScores(("snip", "zen", "relus"), table, 6, 0)
    published = {"snip": np.array([0.0, 1.0, 2.0, 3.0, np.nan, np.nan])}
    rows = {row[1]: row for row in proxies.alone("made up", y, scores, published)}
    assert rows["snip"][2:] == ["1.000", "1.000 to 1.000", "0", "1.000", "1.000", "4"]
    assert rows["zen"][2] == "-1.000"
    assert rows["relus"][4:] == ["6", "", "", ""]
    everything = ProxyScores(COMBINATION, np.stack([y] * len(COMBINATION), axis=1)[None], 6, 0)
    (row,) = proxies.combined("made up", {"label": y}, everything)
    assert row[3] == "1.000"


def test_the_page_of_proxies(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHENC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(proxies, "RESAMPLES", 5)
    words = ["--parts", "alone", "--cells", "3", "--out", str(tmp_path / "page.md")]
    proxies.main(words)
    page = (tmp_path / "page.md").read_text()
    assert "| nasbench101, cifar10/val_accuracy@108/mean | naswot |" in page
    assert "CPU ms for all proxies" in page
