import pytest

from archenc.benchmarks.reports.auto_table import auto_markdown
from archenc.benchmarks.runs import leaderboards
from tests.benchmarks.made_up import made_up_run

SETTING = {
    "name": "p",
    "version": 1,
    "dataset": "d",
    "label": "l",
    "metrics": ["kendall_tau"],
    "split": {"kind": "halves", "seed": 0},
    "selection": "last_epoch",
}


def run(method, seed, tau, **more):
    content = {"name": method, "encoder": method, "simplify": False}
    key = {"protocol": SETTING, "method": content, "size": 50, "seed": seed, "archenc": "0"}
    seconds = {"fit": 1.0, "predict": 1.0} | ({"fit_cpu": 2.0 + seed} if more else {})
    return made_up_run(key, {"kendall_tau": tau}, seconds=seconds, **more)


OTHERS = [run("weak", 0, 0.1), run("weak", 1, 0.2), run("strong", 0, 0.5), run("strong", 1, 0.7)]


def cells(runs):
    lines = [line for line in auto_markdown(leaderboards(runs)).splitlines() if line.startswith("| p ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_best_other_method_and_the_difference_on_the_same_runs():
    ours = [run("auto", 0, 0.6, coverage=0.7), run("auto", 1, 0.9, coverage=0.9)]
    (line,) = cells([*ours, *OTHERS])
    assert line[1:4] == ["50", "0.750", "-1.156 to 2.656"]  # 12.706 standard errors of .15
    assert line[4:7] == ["2", "strong", "0.600"]
    assert line[7] == "+0.150 ± 0.635"
    assert line[8:] == ["0.80", "2.5"]


def test_without_common_runs_the_means_are_compared():
    (line,) = cells([run("auto", 5, 0.6), *OTHERS])
    assert line[3] == ""
    assert line[7:] == ["+0.000", "", ""]


@pytest.mark.parametrize("runs", [OTHERS, [run("auto", 0, 0.6)]])
def test_what_stands_alone_has_no_line(runs):
    assert cells(runs) == []
