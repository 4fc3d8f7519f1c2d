import json
from pathlib import Path

import pytest

from archenc.errors import InvalidParameter
from archenc.training.tracking import create_tracker
from tests.bad_input import assert_one_sentence


def test_no_tracker_keeps_nothing(tmp_path: Path) -> None:
    tracker = create_tracker(None, tmp_path, {"a": 1})
    tracker.log({"tau": 0.5}, step=1)
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


def test_json_lines(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    tracker = create_tracker("jsonl", folder, {"size": 10})
    assert not folder.exists()  # nothing is written before there is a value
    tracker.log({"tau": 0.5}, step=1)
    tracker.log({"tau": float("nan")}, step=2)
    tracker.finish()
    lines = [
        json.loads(line, parse_constant=pytest.fail)
        for line in (folder / "tracking.jsonl").read_text().splitlines()
    ]
    assert lines == [{"config": {"size": 10}}, {"step": 1, "tau": 0.5}, {"step": 2, "tau": None}]


def test_wandb_is_offline_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple] = []

    class Wandb:
        @staticmethod
        def Settings(**settings):
            return settings

        @staticmethod
        def init(**options):
            calls.append(("init", options))
            return Wandb

        @staticmethod
        def log(values, step):
            calls.append(("log", values, step))

        @staticmethod
        def finish():
            calls.append(("finish",))

    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: Wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = create_tracker("wandb", tmp_path, {"size": 10})
    assert calls == []
    tracker.log({"tau": 0.5}, step=3)
    tracker.finish()
    (name, options), *others = calls
    assert (name, options["mode"], options["config"], options["dir"]) == (
        "init",
        "offline",
        {"size": 10},
        str(tmp_path),
    )
    assert others == [("log", {"tau": 0.5}, 3), ("finish",)]


@pytest.mark.parametrize(("tracker", "name"), [("jsonl", "tracking.jsonl"), ("wandb", "wandb")])
def test_links_in_the_folder_are_not_followed_out_of_it(tracker: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(tmp_path / "profile")
    with pytest.raises(InvalidParameter, match="leads out of the folder") as caught:
        create_tracker(tracker, tmp_path / "folder", {})
    assert_one_sentence(caught.value)
    assert not (tmp_path / "profile").exists()


def test_unknown_trackers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="jsonl or wandb"):
        create_tracker("mlflow", tmp_path, {})
