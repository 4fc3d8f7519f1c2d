"""The whole way on the real public files: from a web server to tables that equal the published ones.

The files lie in the folder ``$ARCHENC_TEST_MIRROR`` as their host has them, OWNER/REPO/COMMIT/PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from archenc.datasets.cli import app
from archenc.datasets.sources.manifest import manifest_names, read_manifest
from archenc.errors import ArchencError, InvalidParameter, InvalidTable, UnknownName
from archenc.files.trusted import content_digest
from tests.bad_input import assert_one_sentence

ALL = [name for name in manifest_names() if read_manifest(name).part_of_all]

OPEN = r"""
import re, sys
from archenc.files.trusted import open_npz
arrays = open_npz(sys.argv[1], None, 2**30)
peak = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())  # unlike getrusage, of itself
print(int(peak[1]) / 1024)
"""


class _Quiet(SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012

    def log_request(self, *_: Any) -> None:
        self.requests.append(self.path)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def fetched(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder into which ``archenc data fetch all`` brought everything, and the environment for further
    commands.
    """
    folder = tmp_path_factory.mktemp("fetched")
    _Quiet.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(mirror))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        places = {"ARCHENC_DATA": str(folder / "data"), "ARCHENC_CACHE": str(folder / "cache")}
        environment = {**os.environ, **places, "ARCHENC_MIRROR": f"http://127.0.0.1:{server.server_port}"}
        command(environment, "fetch", "all")
        yield folder, environment
        server.shutdown()


def command(environment: dict[str, str], *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "archenc.commands.app", "data", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_sources_on_the_mirror_are_those_of_the_manifests(mirror: Path) -> None:
    for name in ALL:
        for source in read_manifest(name).sources.values():
            assert source.matches(mirror / source.key), f"{name}: {source.key}"


@pytest.mark.slow
def test_everything_is_fetched_once(fetched: tuple[Path, dict[str, str]]) -> None:
    folder, _ = fetched
    tables = {path for name in ALL for path in read_manifest(name).tables}
    found = {str(path.relative_to(folder / "data")) for path in (folder / "data").rglob("*.npz")}
    assert found == tables
    sources = {source.key for name in ALL for source in read_manifest(name).sources.values()}
    assert sorted(_Quiet.requests) == sorted(f"/{key}" for key in sources), "each file is asked for once"


@pytest.mark.slow
def test_the_second_time_nothing_is_asked_for(fetched: tuple[Path, dict[str, str]]) -> None:
    _, environment = fetched
    requests = len(_Quiet.requests)
    output = command({**environment, "ARCHENC_MIRROR": "http://127.0.0.1:9"}, "fetch", "all")
    assert output.count("is there already") == len(ALL)
    assert len(_Quiet.requests) == requests


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_the_tables_equal_the_published_ones(
    fetched: tuple[Path, dict[str, str]], data_root: Path, name: str
) -> None:
    folder, _ = fetched
    for path, digest in read_manifest(name).tables.items():
        built = dict(np.load(folder / "data" / path, allow_pickle=False))
        assert content_digest(built) == digest
        if not (data_root / path).is_file():
            continue
        known = dict(np.load(data_root / path, allow_pickle=False))
        assert set(built) <= set(known), f"{path}: fields that the published table does not have"
        rows, keep = slice(None), len(known["hash"]) if "hash" in known else None
        if keep is not None and len(built["hash"]) < keep:  # a part of the published rows
            place = {row.tobytes(): at for at, row in enumerate(known["hash"])}
            rows = np.array([place[row.tobytes()] for row in built["hash"]])
        for field, values in built.items():
            whole = known[field]
            expected = whole[rows] if keep is not None and whole.shape[:1] == (keep,) else whole
            assert values.dtype == expected.dtype, f"{path}: {field}"
            np.testing.assert_array_equal(values, expected, err_msg=f"{path}: {field}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_table_opens_in_300_megabytes(fetched: tuple[Path, dict[str, str]], name: str) -> None:
    folder, environment = fetched
    for path in read_manifest(name).tables:
        measured = subprocess.run(
            [sys.executable, "-c", OPEN, str(folder / "data" / path)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert float(measured.stdout) < 300


@pytest.mark.slow
def test_everything_that_was_fetched_is_verified(fetched: tuple[Path, dict[str, str]]) -> None:
    _, environment = fetched
    output = command(environment, "verify", "all")
    for name in ALL:
        assert f"{name}: is not here" not in output


# -- more ----------------------------------------------------------------------------------------------------


GOOD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(f"arch,accuracy,ms\n{GOOD},90.5,\n{GOOD.replace('1x1', '3x3')},80,2\n")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_show_says_what_a_table_holds(own: Path) -> None:
    output = run("show", "--path", str(own), "--space", "nasbench201")
    for part in (
        "2 architectures of nasbench201",
        "accuracy: 80 to 90.5",
        "ms: 2 to 2",
        "1 missing",
        "own.csv",
        "SHA-256",
    ):
        assert part in output


def test_show_one_label(own: Path) -> None:
    output = run("show", "table", "--path", str(own), "--space", "nasbench201", "--label", "ms")
    assert "ms: 2 to 2" in output
    assert "accuracy" not in output


def test_verify_reads_everything(own: Path) -> None:
    assert "2 valid architectures" in run("verify", "--path", str(own), "--space", "nasbench201")


def test_show_a_benchmark(data_root: Path) -> None:
    output = run("show", "nasbench101")
    for part in (
        "51,497 architectures",
        "* cifar10/val_accuracy@108/mean",
        "ta7290: pool of 7,290",
        "uniform: 30,001",
        "ICML 2019",
        "notes",
    ):
        assert part in output


def test_verify_a_benchmark(data_root: Path) -> None:
    output = run("verify", "nasbench201")
    assert "61d40468bd0240229bbc4cb3e8b81613f9ad9d858f7b1f51f1f621e5c817eb27" in output
    assert "15625 valid architectures" in output


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (UnknownName, ["show", "nasbench-2001"]),
        (UnknownName, ["verify", "nasbench-2001"]),
        (InvalidParameter, ["show"]),
        (InvalidParameter, ["verify", "--space", "nasbench201"]),
        (InvalidParameter, ["show", "nasbench201", "--path", "OWN", "--space", "nasbench201"]),
        (UnknownName, ["show", "--path", "OWN", "--space", "nasbench-2001"]),
        (UnknownName, ["show", "--path", "OWN", "--space", "nasbench201", "--label", "acuracy"]),
        (InvalidTable, ["verify", "--path", "OWN", "--space", "nasbench101"]),
    ],
)
def test_bad_input_is_a_typed_error(own: Path, error: type[ArchencError], arguments: list[str]) -> None:
    with pytest.raises(error) as caught:
        run(*(str(own) if argument == "OWN" else argument for argument in arguments))
    assert_one_sentence(caught.value)


def test_importing_the_commands_is_cheap() -> None:
    code = (
        "import sys, archenc.datasets.cli; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', "
        "'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
