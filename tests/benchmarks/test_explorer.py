"""The page of all results in a browser without a network."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from archenc.benchmarks.reports.report import write_report
from archenc.benchmarks.runs import COMMITTED, read_runs, run_id
from archenc.benchmarks.searches import read_searches
from archenc.commands.app import main
from archenc.files.documents import plain_values
from archenc.files.trusted import write_json
from tests.bad_input import MARKER
from tests.benchmarks.made_up import forced

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
MOST_BYTES = 4 * 10**6
BENCHMARK = "benchmark?name=nasbench201-p2"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here; install Debian's package chromium to test the page"
)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(read_runs(COMMITTED), folder, searches=read_searches(COMMITTED))
    return folder


@pytest.fixture
def visit(browser, report):
    """Opens the page at a fragment; nothing it asks of a network, and no complaint, is let pass."""
    contexts, complaints = [], []

    def visit(fragment="", width=1300, scheme="light", folder=report):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url) if not request.url.startswith(("file:", "blob:")) else None
            ),
        )
        page.goto(f"file://{folder}/index.html#{fragment}")
        while not page.evaluate("[...document.querySelectorAll('.plot')].every((plot) => plot.view)"):
            page.wait_for_timeout(20)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def rows(page):
    return page.locator("main table").first.locator("tbody tr")


def names(page):
    return [name.strip() for name in rows(page).locator("td a").all_inner_texts()]


def curves(page):
    return set(page.evaluate("document.getElementById('curves').view.data('rows').map((row) => row.method)"))


def column(page, at):
    """The numbers of a column, from its top; what is empty is passed over."""
    texts = rows(page).locator(f"td:nth-child({at})").all_inner_texts()
    return [float(text.split()[0]) for text in texts if text.strip()]


def test_the_page_is_one_small_file(report):
    assert (report / "index.html").stat().st_size < MOST_BYTES


def test_a_newcomers_question_is_answered_in_two_clicks(visit, report):
    page = visit()
    page.get_by_role("button", name="two cells or more (DARTS)").click()
    page.get_by_role("button", name="about 200").click()
    answer = page.locator("#answer").inner_text()
    with (report / "overview.csv").open() as stream:
        best = next(
            line for line in csv.DictReader(stream) if (line["kind"], line["labels"]) == ("cells", "200")
        )
    assert answer.startswith(best["method"])
    assert f"{float(best['normalised_tau']):.3f}" in answer
    assert "s of CPU" in answer
    page.get_by_role("button", name="1 s", exact=True).click()
    assert "No method" in page.locator(".answer").inner_text()
    page.get_by_role("button", name="10 s", exact=True).click()
    assert 0 < max(column(page, 7)) < 10


def test_searches_are_compared(visit, report):
    page = visit("search")
    best = "document.getElementById('best').view.data('rows')"
    shown = set(page.evaluate(f"{best}.map((row) => row.method)"))
    assert {"bayesian", "local-search"} <= shown
    page.get_by_label("curve of bayesian", exact=True).uncheck()
    assert "bayesian" not in page.evaluate(f"{best}.map((row) => row.method)")
    with (report / "searches.csv").open() as stream:
        lines = [
            line for line in csv.DictReader(stream) if line["benchmark"] == "search-nasbench201-cifar100"
        ]
    page.get_by_label("search", exact=True).select_option("search-nasbench201-cifar100")
    page.wait_for_function("document.querySelector('.plot').view")
    page.get_by_role("button", name="as told").click()
    page.wait_for_function("document.querySelector('.plot').view")
    found = page.evaluate(f"{best}.filter((row) => row.method === 'random').map((row) => row.median)")
    assert found == [
        float(line["label_median"])
        for line in lines
        if line["strategy"] == "random" and int(line["queries"]) >= 5
    ]
    assert found == sorted(found)
    page.get_by_role("button", name="queries to a top-10 cell").click()
    first = rows(page).locator("td:nth-child(2)").first.inner_text().strip()
    assert first in {line["strategy"] for line in lines}
    assert "random" not in first


def test_a_folder_of_searches_alone_has_a_page(data_root, visit, tmp_path):
    runs, out = tmp_path / "runs", tmp_path / "out"
    arguments = ["--methods", "random", "--seeds", "0", "--runs", str(runs)]
    assert main(["bench", "run", "search-transnas101-jigsaw", *arguments]) == 0
    assert main(["bench", "report", str(runs), "--out", str(out)]) == 0
    page = visit("overview", folder=out)
    assert rows(page).count() == 1
    assert "4,096 architectures" in page.locator("main").inner_text()


def test_methods_are_searched_filtered_and_sorted(visit):
    page = visit(BENCHMARK)
    everything = rows(page).count()
    assert everything > 30
    page.locator("#search").fill("gates")
    assert 3 <= rows(page).count() < everything
    assert all("gates" in text.lower() for text in rows(page).all_inner_texts())
    assert page.locator("#count").inner_text() == f"{rows(page).count()} of {everything} rows"
    assert "gates+mlp+hinge" in curves(page)
    assert not curves(page) & {"auto", "lstm+mlp+hinge"}
    page.locator("#search").fill("")
    page.get_by_label("head", exact=True).select_option("xgboost")
    assert 0 < rows(page).count() < everything
    assert all("xgboost" in name for name in names(page))
    page.get_by_label("head", exact=True).select_option("")
    page.get_by_label("from", exact=True).select_option("own")
    page.get_by_role("button", name=re.compile("^n = 78( |$)")).click()
    values = [
        float(text.split()[0]) for text in rows(page).locator("td:nth-child(6)").all_inner_texts() if text
    ]
    assert values == sorted(values, reverse=True)
    assert len(values) > 10
    page.get_by_role("button", name=re.compile("^n = 78( |$)")).click()
    values = [
        float(text.split()[0]) for text in rows(page).locator("td:nth-child(6)").all_inner_texts() if text
    ]
    assert values == sorted(values)


def test_curves_are_switched_from_the_table(visit):
    page = visit(BENCHMARK)
    assert "auto" in curves(page)
    page.get_by_label("curve of auto").uncheck()
    assert "auto" not in curves(page)
    assert "off=auto" in page.url
    page.get_by_label("curve of auto").check()
    assert "auto" in curves(page)


def test_a_link_gives_the_same_state(visit):
    page = visit(BENCHMARK)
    page.locator("#search").fill("mlp")
    page.get_by_role("button", name="Spearman's rho").click()
    page.get_by_label("curve of lstm+mlp+hinge").uncheck()
    page.get_by_role("button", name="n = 390", exact=True).click()
    again = visit(page.url.split("#")[1])
    assert again.locator("#search").input_value() == "mlp"
    assert names(again) == names(page)
    assert curves(again) == curves(page)
    assert "lstm+mlp+hinge" not in curves(again)
    assert again.get_by_role("button", name="Spearman's rho").get_attribute("aria-pressed") == "true"
    assert again.locator("th[aria-sort=descending]").inner_text() == "n = 390"


def test_values_are_shown_under_the_pointer(visit):
    page = visit(BENCHMARK)
    page.locator("#search").fill("auto")
    page.wait_for_timeout(200)
    page.locator("#curves path[aria-roledescription=point]").first.hover(force=True)
    text = page.locator("#tip").inner_text()
    for word in ("method", "auto", "labels", "Kendall's tau", "95 % interval", "runs", "fit, CPU s"):
        assert word in text
    page.mouse.move(5, 5)
    assert page.locator("#tip").is_hidden()


def test_what_is_downloaded_is_what_lies_beside_the_page(visit, report):
    page = visit(BENCHMARK)
    page.locator("#search").fill("xgboost")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    got = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    with (report / "leaderboard.csv").open() as stream:
        lines = [
            line
            for line in csv.DictReader(stream)
            if line["board"] == "nasbench201-p2" and "xgboost" in line["method"].lower()
        ]
    assert waiting.value.suggested_filename == "nasbench201-p2.csv"
    assert sorted((line["method"], line["size"], line["kendall_tau_mean"]) for line in got) == sorted(
        (line["method"], line["size"], line["kendall_tau_mean"]) for line in lines
    )


def test_the_table_shows_the_numbers_of_the_file(visit, report):
    page = visit("benchmark?name=nasbench101-ta7290")
    with (report / "leaderboard.csv").open() as stream:
        known = {
            (line["method"], line["size"]): f"{float(line['kendall_tau_mean']):.3f}"
            for line in csv.DictReader(stream)
            if line["board"] == "nasbench101-ta7290" and line["origin"] != "published"
        }
    heads = page.locator("main th").all_inner_texts()
    seen = 0
    for row in rows(page).all():
        cells = row.locator("td").all_inner_texts()
        for size, cell in (
            (head.removeprefix("n = "), cell) for head, cell in zip(heads, cells, strict=True)
        ):
            if (cells[1].strip(), size) in known:
                assert cell.split()[0] == known[cells[1].strip(), size]
                seen += 1
    assert seen == len(known)


def test_published_numbers_stand_below_ours_with_difference_and_footnote(visit):
    page = visit(BENCHMARK)
    lines = [text.split("\t") for text in rows(page).all_inner_texts()]
    at = next(i for i, line in enumerate(lines) if "gates-300x5" in line[1] and "ta-" not in line[1])
    below = rows(page).nth(at + 1)
    assert "published" in below.inner_text()
    assert below.locator(".reached, .below").count() > 0
    assert "AAAI 2023" in below.locator("sup").first.get_attribute("title")


def test_commands_and_citations_are_copied(visit):
    page = visit("benchmark?name=nasbench201-analog")
    row = rows(page).filter(has_text="lstm+mlp+hinge")
    row.get_by_role("button", name="copy the commands of this row").click()
    expect(page.locator("#said")).to_have_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert len(copied) == 3
    assert copied[0] == (
        "archenc bench run nasbench201-analog --methods lstm+mlp+hinge --sizes 39 --seeds 0,1,2"
    )
    row.get_by_role("button", name="copy a citation of this row").click()
    page.wait_for_timeout(100)
    assert "protocol nasbench201-analog version 1" in page.evaluate("navigator.clipboard.readText()")


def test_a_method_has_a_card_and_all_its_results(visit, report):
    page = visit()
    page.get_by_role("link", name="Methods").click()
    page.get_by_label("method", exact=True).select_option("gates+mlp+hinge")
    expect(page.locator("h1")).to_have_text("gates+mlp+hinge")
    card = page.locator("dl.card").inner_text()
    assert "ECCV 2020" in card
    assert "darts" in card
    assert page.locator("dl.card a").first.get_attribute("href") == "https://arxiv.org/abs/2004.01899"
    with (report / "leaderboard.csv").open() as stream:
        lines = [line for line in csv.DictReader(stream) if line["method"] == "gates+mlp+hinge"]
    assert rows(page).count() == len(lines)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["overview", BENCHMARK, "method?name=auto"])
def test_a_phone_scrolls_no_page_sideways_in_light_and_dark(visit, scheme, view):
    page = visit(view, width=420, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 420
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert (red < 100) == (scheme == "dark")


def test_the_theme_is_switched(visit):
    page = visit()
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_the_keyboard_is_enough(visit):
    page = visit("overview?kind=edge-cell&labels=50")
    page.get_by_role("button", name="about 200").focus()
    page.keyboard.press("Enter")
    assert "labels=200" in page.url
    assert page.evaluate("document.activeElement.dataset.value") == "200", "the focus stays"
    page.get_by_role("button", name="fit, CPU s").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("columnheader", name="fit, CPU s").get_attribute("aria-sort") == "ascending"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
    assert {"BUTTON", "A"} <= seen


def test_names_from_run_files_are_text(visit, report, tmp_path):
    first = read_runs(COMMITTED / "nasbench201-analog.jsonl")[:3]
    script = '<script>document.title = "stolen"</script><img src=x onerror="document.title=1">'
    hostile = [
        forced(run, {"key": {"method": {"name": name}}, "command": name})
        for run in first
        for name in (script, MARKER)
    ]
    write_report([*hostile, *read_runs(COMMITTED / "nasbench201-analog.jsonl")], tmp_path)
    page = visit("benchmark?name=nasbench201-analog", folder=tmp_path)
    assert script in page.locator("main table").inner_text()
    assert page.locator("main script, main img").count() == 0
    assert "stolen" not in page.title()
    page.get_by_role("link", name="<script>").first.click()
    assert script in page.locator("h1").inner_text()
    page = visit("overview", folder=tmp_path)
    assert page.locator("main script, main img").count() == 0


def test_own_runs_stand_in_the_same_page(visit, tmp_path):
    run = read_runs(COMMITTED / "nasbench201-analog.jsonl")[0]
    changed = plain_values(run)
    changed["key"]["seed"] = 77
    changed["run"] = run_id(changed["key"])
    write_json(tmp_path / "mine" / f"{changed['run']}.json", changed)
    out = tmp_path / "out"
    command = ["bench", "report", str(COMMITTED / "nasbench201-analog.jsonl")]
    assert main([*command, "--with", str(tmp_path / "mine"), "--out", str(out)]) == 0
    page = visit("benchmark?name=nasbench201-analog", folder=out)
    (mine,) = [text for text in rows(page).all_inner_texts() if "yours" in text]
    assert run.key.method.name in mine
