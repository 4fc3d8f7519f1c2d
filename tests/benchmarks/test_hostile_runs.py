"""Run files that somebody crafted: what they say is text wherever it is shown, and no path."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archenc.benchmarks.protocol import load_protocol, parse_protocol
from archenc.benchmarks.reports import report
from archenc.benchmarks.reports.report import overview_markdown, write_report
from archenc.benchmarks.reports.terminal import comparison_text, leaderboard_text
from archenc.benchmarks.runs import Run, leaderboards, read_runs, run_id
from archenc.commands.app import main
from archenc.errors import ArchencError
from archenc.files.documents import plain_values, record
from tests.bad_input import assert_harmless_files, assert_harmless_output, everywhere, variants
from tests.benchmarks.made_up import forced

KEPT = frozenset({"metrics", "run"})  # numbers are looked up by these


@pytest.fixture
def run(make_run: Callable[..., Run], content: dict) -> dict:
    return plain_values(make_run(parse_protocol(content, "tiny.yaml"), "path+gp+mse", 8, 0, 0.5))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of drawing."""
    monkeypatch.setattr(report, "plot", lambda board: "<svg/>")


def unchecked(good: dict, content: dict) -> Run:
    """A run that no file could hold, with the same parts as a good one."""
    return forced(record(good, Run, "the run"), content)


def write_run(run: dict, folder: Path) -> None:
    """Write the file of a run under the name that belongs to it."""
    folder.mkdir(exist_ok=True)
    name = run_id(run["key"])
    (folder / f"{name}.json").write_text(json.dumps({**run, "run": name}))


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_whatever_runs_say_is_shown_as_text(run: dict, tmp_path: Path) -> None:
    hostile = unchecked(run, everywhere(run, but=KEPT))
    other = forced(hostile, {"key": {"size": 16}})
    write_report([hostile, other], tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert_harmless_files(tmp_path / "out")
    (board,) = leaderboards([hostile, other])
    assert_harmless_output(leaderboard_text(board))
    (tmp_path / "overview").mkdir()
    (tmp_path / "overview" / "overview.md").write_text(overview_markdown([board]))
    assert_harmless_files(tmp_path / "overview")


def test_any_single_text_of_a_run_file_is_harmless(run: dict, tmp_path: Path, no_plots: None) -> None:
    places = list(variants(run))
    assert len(places) > 15
    for number, (_, changed) in enumerate(places):
        runs, out = tmp_path / f"{number}", tmp_path / f"{number}-report"
        write_run(changed, runs)
        with contextlib.suppress(ArchencError):  # what has no such text is refused
            write_report(read_runs(runs), out)
        assert_harmless_files(out)


def test_commands_on_hostile_runs(
    run: dict, tmp_path: Path, no_plots: None, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = everywhere(run, but=KEPT)
    for changed in (hostile, {**hostile, "seconds": {}}):
        write_run(changed, tmp_path / "runs")
        for command in ("report", "show", "compare"):
            options = ["--out", str(tmp_path / "out")] if command == "report" else []
            assert main(["bench", command, str(tmp_path / "runs"), *options]) in (0, 2)
            captured = capsys.readouterr()
            assert_harmless_output(captured.out)
            assert_harmless_output(captured.err)
    assert_harmless_files(tmp_path / "out")


def test_names_beside_published_numbers_are_text(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = plain_values(make_run(load_protocol("nasbench101-ta7290"), "gates+mlp+hinge", 72, 0, 0.5))
    changed = everywhere(run, but=KEPT)
    changed["key"]["protocol"]["name"] = run["key"]["protocol"]["name"]
    hostile = unchecked(run, changed)
    (board,) = leaderboards([hostile])
    assert "published" in str(comparison_text(board))
    assert_harmless_output(str(comparison_text(board)))
    write_report([hostile], tmp_path)
    assert_harmless_files(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../../escaped",
        "/escaped",
        "..",
        "a/b",
        "c\\d",
        "nul\x00byte",
        "x" * 5_000,
        "",
        "\x1b[31m",
        "index.html",
        "名前",
    ],
)
@pytest.mark.parametrize("field", ["name", "archenc"])
def test_names_of_runs_are_no_paths(run: dict, name: str, field: str, tmp_path: Path, no_plots: None) -> None:
    name = name.replace("/escaped", f"{tmp_path}/escaped")
    hostile = unchecked(run, {"key": {"protocol": {"name": name}} if field == "name" else {"archenc": name}})
    paths = write_report([hostile], tmp_path / "deep" / "out")
    assert files(tmp_path) == {tmp_path / "deep", tmp_path / "deep" / "out", *paths}
    assert len(paths) == 6
    assert all(path.parent == tmp_path / "deep" / "out" for path in paths)


def test_leaderboards_that_share_a_name_have_a_plot_each(run: dict, tmp_path: Path, no_plots: None) -> None:
    one, other = (
        unchecked(run, {}),
        unchecked(run, {"key": {"protocol": {"selection": "mean_last_5_epochs"}}}),
    )
    paths = write_report([one, other], tmp_path)
    assert len([path for path in paths if path.suffix == ".svg"]) == 2
    assert sorted(path.name for path in paths) == sorted(
        path.name for path in write_report([other, one], tmp_path)
    )


def test_the_folder_of_runs_is_named_after_its_protocol_and_stays_here(
    content: dict, tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "p.yaml").write_text(json.dumps({**content, "name": "../../escaped"}))
    before = files(tmp_path)
    main(
        [
            "bench",
            "run",
            str(tmp_path / "p.yaml"),
            "--methods",
            "op-count+ridge+mse",
            "--sizes",
            "8",
            "--seeds",
            "0",
        ]
    )
    assert all(path.is_relative_to(tmp_path / "here") for path in files(tmp_path) - before)
    assert not (tmp_path.parent / "escaped").exists()


# -- what is no run file -------------------------------------------------------------------------------------


@pytest.fixture
def runs(run: dict, tmp_path: Path, no_plots: None) -> Path:
    write_run(run, tmp_path / "runs")
    return tmp_path / "runs"


def report_of(runs: Path) -> int:
    return main(["bench", "report", str(runs), "--out", str(runs.parent / "out")])


def test_links_out_of_the_folder_are_refused(
    run: dict, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run["key"]["seed"] = 1
    write_run(run, runs.parent / "elsewhere")
    (target,) = (runs.parent / "elsewhere").iterdir()
    (runs / target.name).symlink_to(target)
    assert report_of(runs) == 2
    assert "leads out of the folder" in capsys.readouterr().err
    assert not (runs.parent / "out").exists()


def test_links_to_folders_are_not_followed_and_loops_end(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "up").symlink_to(runs.parent, target_is_directory=True)
    (runs / "0123456789abcdef.json").mkdir()
    assert report_of(runs) == 0
    (runs / "1123456789abcdef.json").symlink_to(runs / "1123456789abcdef.json")
    assert report_of(runs) == 2
    assert "1123456789abcdef.json" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_run_file(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(runs / "0123456789abcdef.json")
    assert report_of(runs) == 2
    assert "not a regular file" in capsys.readouterr().err


# -- whole or not at all -------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_after", [0, 1, 4])
def test_a_report_on_a_full_disk_does_not_appear(
    runs: Path, full_after: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = runs.parent / "out"
    out.mkdir()
    (out / "leaderboard.csv").write_text("old")
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        if len(synced) == full_after:
            raise OSError(28, "No space left on device")
        synced.append(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert report_of(runs) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"archenc: error: {out}/")
    assert said.endswith("cannot be written (No space left on device); make room or choose another place\n")
    assert [path.name for path in out.iterdir()] == ["leaderboard.csv"]
    assert (out / "leaderboard.csv").read_text() == "old"


def test_a_folder_in_the_place_of_a_file_is_seen_before_any_is_written(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = runs.parent / "out"
    (out / "leaderboard.csv").mkdir(parents=True)
    assert report_of(runs) == 2
    assert f"{out}/leaderboard.csv cannot be written" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["leaderboard.csv"]
