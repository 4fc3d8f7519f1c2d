"""Files of others that a benchmark reads: what is wrong is refused with a typed error, and what is accepted
never fails later.

The names of run files are computed anew after a change, as anyone can do that, so that their content is what
is tested.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from archenc.benchmarks.methods import find_method, parse_method
from archenc.benchmarks.protocol import FOLDER, load_protocol
from archenc.benchmarks.reports import statements
from archenc.benchmarks.reports.pretraining import (
    card_of,
    masked_markdown,
    quality_markdown,
    read_pretrainings,
    regression_markdown,
)
from archenc.benchmarks.reports.report import (
    facts,
    leaderboard_markdown,
    runs_csv,
)
from archenc.benchmarks.reports.rows import results_csv
from archenc.benchmarks.reports.statements import notes
from archenc.benchmarks.reports.terminal import comparison_text, leaderboard_text
from archenc.benchmarks.runs import leaderboards, read_run, read_runs, run_id, run_key
from archenc.commands.app import main
from archenc.errors import ArchencError, CorruptFile, UnknownName
from archenc.files.documents import plain_values, read_json, read_yaml
from tests.bad_input import assert_one_sentence
from tests.mutants import mutate_bytes, mutate_json, mutate_text

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
GOOD_RUN = next(iter(read_runs(RESULTS / "nasbench101-ta7290.jsonl")))
GOOD = plain_values(GOOD_RUN)
FEW, MANY = 30, pytest.param(300, marks=pytest.mark.slow)


def write_run(folder: Path, content: Any) -> Path:
    """A run file under the name of its key, as far as it has one."""
    with contextlib.suppress(KeyError, TypeError, ValueError, RecursionError):
        content["run"] = run_id(content["key"])
    name = content.get("run") if isinstance(content, dict) else None
    path = (
        folder / f"{name if isinstance(name, str) and name.isalnum() and len(name) < 50 else '0' * 16}.json"
    )
    path.write_text(json.dumps(content))
    return path


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """A good run with values at places such as ``"key.protocol.name"``; ``...`` takes one out."""
    content: dict[str, Any] = deepcopy(GOOD)
    for place, value in changes.items():
        *outer, last = place.split(".")
        part = content
        for name in outer:
            part = part[name]
        if value is ...:
            del part[last]
        else:
            part[last] = value
    return content


def test_a_run_without_changes_is_read(tmp_path: Path) -> None:
    path = write_run(tmp_path, changed({}))
    assert path.stem == GOOD["run"]
    assert plain_values(read_run(path)) == GOOD


METRICS = GOOD["metrics"]
WRONG: list[tuple[dict[str, Any], str]] = [
    *(({name: ...}, f"the key '{name}' is missing") for name in GOOD if name not in ("run", "key")),
    *(({f"key.{name}": ...}, f"in?.*'key': the key '{name}' is missing") for name in GOOD["key"]),
    *(
        ({name: value}, f"'{name}' is ")
        for name in ("metrics", "dataset", "split", "seconds", "machine")
        for value in (None, [], "x", 3)
    ),
    *(
        ({"metrics": METRICS | {"kendall_tau": value}}, "'kendall_tau' in 'metrics' is")
        for value in ("high", True, [0.5], {})
    ),
    ({"metrics": METRICS | {"kendall_tau": 10**400}}, "valid JSON"),
    ({"metrics": METRICS | {"kendall_tau": 1e300}}, "is 1e[+]300, not a finite number"),
    ({"metrics": {"kendall_tau": 0.5}}, "'metrics' are not those of the protocol"),
    ({"metrics": METRICS | {"rmse": 0.5}}, "'metrics' are not those of the protocol"),
    *(
        ({"key.protocol.name": name}, "'name' in 'key.protocol'")
        for name in ("../../x", "/tmp/x", "a/b", "..", "a\x1b[31m", "a\nb", "", "x" * 200)
    ),
    ({"key.protocol.dataset": "../x"}, "'dataset' in 'key.protocol'"),
    ({"key.protocol.version": "<script>"}, "'version' in 'key.protocol' is '<script>', not a whole number"),
    ({"key.protocol.version": -1}, "'version'"),
    ({"key.protocol.metrics": []}, "'metrics' in 'key.protocol' is"),
    ({"key.protocol.metrics": ["kendall_tau", "kendall_tau"]}, "'metrics' should hold each value once"),
    ({"key.protocol.metrics": [f"m{at}" for at in range(2_000)]}, "'metrics' in 'key.protocol' is"),
    ({"key.protocol.split": {"kind": "halves"}}, "needs the key 'seed'"),
    ({"key.protocol.split.kind": 3}, "'kind' in 'key.protocol.split'"),
    ({"key.protocol.subsets": 0}, "'subsets' in 'key.protocol' is 0"),
    ({"key.protocol.selection": "best"}, "'selection' in 'key.protocol'"),
    ({"key.protocol.purpose": "x"}, "unknown key 'purpose'"),
    ({"key.method": "gates"}, "'method' in 'key' is 'gates', not named values"),
    ({"key.method.name": 3}, "'name' in 'key.method' is 3"),
    ({"key.method.simplify": "no"}, "'simplify' in 'key.method'"),
    ({"key.method.encoder_params": [1]}, "'encoder_params' in 'key.method'"),
    *(({"key.size": size}, "'size' in 'key' is") for size in (0, -8, 1.5, "8", 10**9, True, None)),
    *(({"key.seed": seed}, "'seed' in 'key' is") for seed in (-1, 2**32, 0.0, "0", None)),
    *(({"key.archenc": version}, "'archenc' in 'key' is") for version in (1, "", "../x", None)),
    ({"dataset.digest": 5}, "'digest' in 'dataset' is 5"),
    ({"dataset.digest": "x"}, "not a SHA-256 of 64 hexadecimal digits"),
    ({"dataset.test_digest": "x"}, "'test_digest' in 'dataset'"),
    ({"dataset.architectures": "many"}, "'architectures' in 'dataset' is 'many'"),
    ({"split.pool": 1.5}, "'pool' in 'split'"),
    ({"split.name": 3}, "'name' in 'split'"),
    ({"split.digest": "A" * 64}, "'digest' in 'split'"),
    *(({"seconds.fit": value}, "'fit' in 'seconds' is") for value in (-1, "1", None, 1e200)),
    ({"machine.cpu": 5}, "'cpu' in 'machine'"),
    ({"machine.threads": -1}, "'threads' in 'machine'"),
    ({"command": ["rm"]}, "'command' is"),
    ({"command": "x" * 20_000}, "'command' is"),
    ({"versions": {"numpy": 2}}, "'numpy' in 'versions' is 2"),
    ({"epochs_averaged": "5"}, "'epochs_averaged' is '5'"),
    ({"extra": 1}, "unknown key 'extra'"),
]


@pytest.mark.parametrize(("changes", "part"), WRONG)
def test_a_wrong_run_file_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    path = write_run(tmp_path, changed(changes))
    with pytest.raises(CorruptFile, match=part) as caught:
        read_run(path)
    assert path.name in str(caught.value)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "content", [None, [], 3, "run", {}, {"key": None}, {"key": []}, {"run": "x", "key": {}}]
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(CorruptFile, match="delete it and run the benchmark again") as caught:
        read_run(write_run(tmp_path, content))
    assert_one_sentence(caught.value)


def test_a_run_under_another_name_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path, changed({}))
    with pytest.raises(CorruptFile, match="its name is not that of its key"):
        read_run(path.rename(tmp_path / "0123456789abcdef.json"))


def test_null_in_a_run_is_as_if_it_were_left_out(tmp_path: Path) -> None:
    changes = {
        "key.protocol.subsets": None,
        "key.protocol.split.subset": None,
        "key.method.epochs": None,
        "dataset.test_digest": None,
    }
    run = read_run(write_run(tmp_path, changed(changes)))
    assert run.key.protocol.subsets is None
    assert run.key.method.epochs is None
    assert notes(leaderboards([run])[0])


def test_the_commands_refuse_wrong_run_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at, (changes, _) in enumerate(WRONG[::25]):
        folder = tmp_path / str(at)
        folder.mkdir()
        write_run(folder, changed(changes))
        for command in (["report", str(folder), "--out", str(tmp_path / "out")], ["compare", str(folder)]):
            assert main(["bench", *command]) == 2
            said = capsys.readouterr()
            assert (said.out, said.err.count("\n")) == ("", 1)
            assert said.err.startswith("archenc: error: the ")
    assert not (tmp_path / "out").exists()


# -- mutants -------------------------------------------------------------------------------------------------


def survives(use: Callable[[], object]) -> bool:
    """Whether ``use`` goes through; a typed error is one sentence, and any other fails the test."""
    try:
        use()
    except ArchencError as error:
        assert_one_sentence(error)
        return False
    return True


def show(runs: list[Any]) -> None:
    """Everything that is said of runs, but for plots and the page."""
    boards = leaderboards(runs)
    for board in boards:
        for text in (leaderboard_text(board), comparison_text(board), notes(board), facts(board)):
            str(text).encode()
    for whole in (results_csv(boards), leaderboard_markdown(boards), runs_csv(boards)):
        whole.encode()


@pytest.mark.parametrize("count", [FEW, MANY])
def test_mutants_of_run_files(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    accepted = 0
    for _ in range(count):
        path = write_run(tmp_path, mutate_json(dict(GOOD), rng))
        accepted += survives(lambda path=path: show([read_run(path), GOOD_RUN]))
    assert 0 < accepted < count


@pytest.mark.parametrize("count", [FEW, MANY])
def test_mutants_of_the_bytes_of_run_files(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    good = json.dumps(GOOD).encode()
    for _ in range(count):
        path = tmp_path / f"{GOOD['run']}.json"
        path.write_bytes(mutate_bytes(good, rng))
        survives(lambda path=path: show([read_run(path)]))


@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_mutants_of_run_files_by_command(
    tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(2)
    before = set(tmp_path.parent.iterdir())
    for at in range(count):
        folder = tmp_path / str(at)
        folder.mkdir()
        write_run(folder, mutate_json(dict(GOOD), rng))
        out = tmp_path / f"{at}-out"
        for command in (["report", str(folder), "--out", str(out)], ["compare", str(folder)]):
            code = main(["bench", *command])
            said = capsys.readouterr().err
            assert (code, said.count("\n")) in ((0, 0), (2, 1)), said
        assert out.exists() or not list(tmp_path.glob(f"*{at}-out*"))
    assert set(tmp_path.parent.iterdir()) == before


def use_protocol(path: Path) -> None:
    protocol = load_protocol(str(path))
    json.dumps(
        run_key(protocol, find_method("op-count+ridge+mse", {}), protocol.train_sizes[0], protocol.seeds[0])
    ).encode()
    assert len(protocol.digest) == 64
    assert all(isinstance(protocol.subset_seed(seed), int) for seed in protocol.seeds)


@pytest.mark.parametrize("count", [FEW, MANY])
def test_mutants_of_protocols(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(3)
    good = (FOLDER / "nasbench101-ta7290.yaml").read_text(encoding="utf-8")
    value = yaml.safe_load(good)
    path = tmp_path / "p.yaml"
    accepted = 0
    for at in range(count):
        if at % 3 == 0:
            path.write_text(json.dumps(mutate_json(value, rng)))
        elif at % 3 == 1:
            path.write_bytes(mutate_text(good, rng).encode("utf-8", "surrogatepass"))
        else:
            path.write_bytes(mutate_bytes(good.encode(), rng))
        accepted += survives(lambda: use_protocol(path))
    assert 0 < accepted < count


def use_methods(path: Path) -> None:
    known = {name: parse_method(name, content, path.name) for name, content in read_yaml(path).items()}
    for name in known:
        with contextlib.suppress(UnknownName):  # of an encoder, a head or a loss
            json.dumps(dict(find_method(name, known).parameters), allow_nan=False).encode()


METHODS = """
mine: {encoder: gates, head: mlp, loss: hinge, simplify: true,
  encoder_params: {form: node, layers: 3}, epochs: 5, lr: 0.001}
yours: {encoder: path, head: gp, loss: mse, encoder_params: {cutoff: 40},
  head_params: {hidden: [300, 300]}, label_transform: fraction}
"""


@pytest.mark.parametrize("count", [FEW, MANY])
def test_mutants_of_methods_files(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(4)
    value = yaml.safe_load(METHODS)
    path = tmp_path / "mine.yaml"
    accepted = 0
    for at in range(count):
        if at % 2:
            path.write_text(json.dumps(mutate_json(value, rng)))
        else:
            path.write_bytes(mutate_text(METHODS, rng).encode("utf-8", "surrogatepass"))
        accepted += survives(lambda: use_methods(path))
    assert 0 < accepted < count


@pytest.mark.parametrize("count", [10, MANY])
@pytest.mark.parametrize("name", ["audits.yaml", "remarks.yaml", "comparisons.yaml"])
def test_mutants_of_what_is_said_of_protocols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    rng = np.random.default_rng(5)
    (board,) = leaderboards([GOOD_RUN])
    files = {
        name: (statements.FOLDER / name).read_text(encoding="utf-8")
        for name in ("audits.yaml", "remarks.yaml", "comparisons.yaml")
    }
    for other, text in files.items():
        (tmp_path / other).write_text(text, encoding="utf-8")
    monkeypatch.setattr(statements, "FOLDER", tmp_path)
    value = yaml.safe_load(files[name])
    for _ in range(count):
        (tmp_path / name).write_text(json.dumps(mutate_json(value, rng)))
        survives(lambda: notes(board))


@pytest.mark.parametrize("count", [FEW, MANY])
def test_mutants_of_cards_and_reports(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(6)
    known = read_json(RESULTS / "pretraining.json")
    card, report = known["cards"]["cate-direct-nasbench201"], known["reports"]["cate-nasbench101"]
    path = tmp_path / "pretraining.json"
    for _ in range(count):
        changed_card = mutate_json(card, rng)
        path.write_text(json.dumps({"cards": {}, "reports": {"x": mutate_json(report, rng)}}))
        survives(
            lambda card=changed_card: [
                table([card_of(card, "the card")]) for table in (quality_markdown, masked_markdown)
            ]
        )
        survives(lambda: regression_markdown(read_pretrainings(path).reports))


@pytest.mark.parametrize(
    "part",
    [
        {"settings": None},
        {"settings": {"encoder": 3}},
        {"figures": {"masked_accuracy": "high"}},
        {"figures": {"masked_accuracy": 10**400}},
        {"history": 5},
        {"seconds": {"training": -1}},
        {"machine": {"threads": "2"}},
        {"architectures": 1.5},
    ],
)
def test_a_wrong_card_is_refused(part: dict[str, Any]) -> None:
    card = read_json(RESULTS / "pretraining.json")["cards"]["cate-direct-nasbench201"]
    with pytest.raises(CorruptFile, match=next(iter(part))) as caught:
        card_of(card | part, "the card x.json")
    assert_one_sentence(caught.value)


def test_the_packaged_sentences_are_read() -> None:
    assert read_yaml(statements.FOLDER / "audits.yaml")
    assert any(heading.startswith("What the split tests") for heading in notes(leaderboards([GOOD_RUN])[0]))
