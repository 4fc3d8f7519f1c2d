// The four views: over all benchmarks, one benchmark, one method, one search.
const interval = (low, high, digits = 3) => (Number.isFinite(low) && Number.isFinite(high) ? `${low.toFixed(digits)} to ${high.toFixed(digits)}` : "");
const methodLink = (method) => (KNOWN.methods[method] ? el("a", { href: address("method", { name: method }) }, method) : method);
const boardLink = (board) => el("a", { href: address("benchmark", { name: board }) }, board);
const swatch = (name) => el("span", { class: `swatch f${KNOWN.families.indexOf(name)}`, title: name, role: "img", "aria-label": name });
const same = (names) => names.map((name) => [name, name]);
const ORIGIN_HINTS = { ours: "computed by archenc", "re-run": "computed by archenc; a paper prints a number for this method",
  published: "printed in a paper", yours: "your own runs" };
const badge = (origin) => el("span", { class: `badge ${origin}`, title: ORIGIN_HINTS[origin] }, origin);

// -- overview

function overview(values) {
  const kind = values.get("kind") || "all", labels = values.get("labels") || "200", cap = values.get("cap") || "";
  const rows = OVERVIEW.filter((row) => row.kind === kind && row.labels === labels).map((row) => ({ ...row,
    tau: number(row.normalised_tau), low: number(row.normalised_tau_low), high: number(row.normalised_tau_high), rank: number(row.mean_rank),
    fit: number(row.fit_cpu_seconds), scoring: number(row.seconds_per_10000), wins: number(row.wins), count: number(row.benchmarks),
    common: 2 * number(row.benchmarks) >= number(row.of), family: family(row.method) }));
  const list = rows.filter((row) => !cap || row.fit + row.scoring <= Number(cap));
  const go = (changes) => { change(changes); render(); };
  const usable = KNOWN.budgets.filter((n) => OVERVIEW.some((row) => row.kind === kind && row.labels === String(n)));
  return [
    el("h1", {}, "Which method, with how many labels, on which space?"),
    chips("space", Object.entries(KNOWN.kinds), kind, (value) => go({ kind: value })),
    chips("labels", usable.map((n) => [String(n), `about ${n.toLocaleString("en")}`]), labels, (value) => go({ labels: value })),
    chips("CPU", [["", "any"], ["1", "1 s"], ["10", "10 s"], ["60", "1 minute"], ["600", "10 minutes"]], cap, (value) => go({ cap: value })),
    list.length ? answer(list) : el("p", { class: "answer" }, "No method of these was run there; choose another number of labels or more time."),
    list.length ? overviewTable(list, values) : null,
    list.length ? overviewCharts(list) : null,
    explanation(rows),
  ];
}

function answer(list) {
  const best = list.find((row) => row.common) || list[0];
  const next = list.filter((row) => row.common && row !== best)[0];
  const text = ` has the highest normalised tau, ${decimals(best.tau)} (${interval(best.low, best.high)}) on ${best.benchmarks} of ${best.of} benchmarks; `
    + `a fit takes ${seconds(best.fit)} s of CPU, 10,000 scores ${seconds(best.scoring)} s.`;
  return el("p", { class: "answer", id: "answer" }, methodLink(best.method), text, next ? " Next: " : "", next ? methodLink(next.method) : "",
    next ? ` (${decimals(next.tau)}, ${seconds(next.fit)} s).` : "");
}

function overviewTable(list, values) {
  const columns = [
    { name: "method", title: "method", value: (row) => row.method, cell: (row) => [swatch(row.family), methodLink(row.method)] },
    { name: "tau", title: "normalised tau", hint: "Kendall's tau by that of the best method of the benchmark, mean over benchmarks", down: true,
      value: (row) => row.tau, cell: (row) => decimals(row.tau) },
    { name: "interval", title: "95 % interval", hint: "bootstrap over benchmarks and training sets", cell: (row) => interval(row.low, row.high), class: "soft" },
    { name: "rank", title: "mean rank", hint: "among methods run on at least half of the benchmarks, on those that they share", value: (row) => row.rank,
      cell: (row) => decimals(row.rank, 2) },
    { name: "wins", title: "wins", hint: "benchmarks where it is the best", down: true, value: (row) => row.wins, cell: (row) => row.wins },
    { name: "count", title: "benchmarks", down: true, value: (row) => row.count,
      cell: (row) => el("span", { title: row.names }, `${row.benchmarks} of ${row.of}`) },
    { name: "fit", title: "fit, CPU s", value: (row) => row.fit, cell: (row) => seconds(row.fit) },
    { name: "scoring", title: "10,000 scores, s", value: (row) => row.scoring, cell: (row) => seconds(row.scoring) },
  ];
  const common = list.filter((row) => row.common).length, short = Math.max(common, 12);
  const shown = values.get("all") === "1" ? list : list.slice(0, short);
  const more = list.length > shown.length ? el("button", { type: "button", id: "all", onclick: () => { change({ all: "1" }); render(); } }, `Show all ${list.length} methods`) : null;
  return el("section", {}, sortable(columns, shown, { name: "methods over all benchmarks", sort: values.get("sort"), down: values.get("down") === "1",
    sorted: (sort, down) => change({ sort, down: down ? "1" : "" }), row: (row) => ({ class: row.common ? "" : "few" }) }),
    el("p", { class: "tools" }, more, el("button", { type: "button", id: "download", onclick: () => download("overview.csv", chosenCSV(originals(list))) }, "Download CSV"),
      " Grey: run on less than half of these benchmarks."));
}

const originals = (list) => OVERVIEW.filter((row) => list.some((one) => one.method === row.method && one.kind === row.kind && one.labels === row.labels));

function overviewCharts(list) {
  const left = el("div", { class: "plot", id: "pareto" }), right = el("div", { class: "plot", id: "ranks" });
  let best = -Infinity;
  const costs = list.map((row) => ({ method: row.method, family: row.family, tau: row.tau, cost: row.fit + row.scoring, common: row.common,
    interval: interval(row.low, row.high), benchmarks: `${row.benchmarks} of ${row.of}` })).sort((a, b) => a.cost - b.cost);
  for (const row of costs) { row.front = row.common && row.tau > best; if (row.front) best = row.tau; }
  later(() => chart(left, pareto(), costs));
  const ranked = list.filter((row) => Number.isFinite(row.rank));
  const difference = ranked.length ? number(ranked[0].critical_difference) : NaN;
  if (ranked.length) later(() => chart(right, ranks(difference, ranked.length), ranked.map((row) => ({ method: row.method, family: row.family, rank: row.rank,
    low: number(row.mean_rank_low), high: number(row.mean_rank_high), from: row.rank - difference / 2, to: row.rank + difference / 2,
    interval: interval(number(row.mean_rank_low), number(row.mean_rank_high), 2) }))));
  const text = !ranked.length ? "" : Number.isFinite(difference)
    ? `On the ${ranked[0].ranked_on} benchmarks that they share. Bars are one critical difference wide (${difference.toFixed(2)}; Nemenyi test, 5 %): `
      + "two methods differ where their bars do not meet. Lines: bootstrap intervals."
    : "One benchmark only: no test of a difference.";
  return el("div", { class: "pair" }, el("section", {}, el("h2", {}, "Quality against cost"), left,
    el("p", { class: "note" }, "The dashed line joins methods that nothing cheaper reaches; faint: run on less than half of the benchmarks.")),
    el("section", {}, el("h2", {}, "Ranks and their critical difference"), right, el("p", { class: "note" }, text)));
}

function explanation(rows) {
  const names = unique(rows.flatMap((row) => row.names.split(" "))).filter(Boolean);
  return el("details", {}, el("summary", {}, "What is compared"), el("p", {}, "A benchmark is a data set, a label and a split, at the training size nearest to the number of labels. "
    + "Normalised tau is Kendall's tau on the test set by that of the benchmark's best method. Seconds are geometric means, on one thread unless a run says otherwise."),
    el("ul", { class: "columns" }, names.map((name) => el("li", {}, boardLink(name.split("@")[0]), ` at ${name.split("@")[1]} labels`))));
}

// -- one benchmark

const FILTERS = { family: "family", encoder: "encoder", head: "head", loss: "loss", learning: "encoding", simplify: "simplified" };

function benchmark(values) {
  const board = BOARDS.includes(values.get("name")) ? values.get("name") : BOARDS[0];
  const known = KNOWN.boards[board], metric = known.metrics.includes(values.get("metric")) ? values.get("metric") : known.metrics[0];
  const rows = ofBoard(board), all = lines(rows), sizes = unique(rows.map((row) => row.size)).sort((a, b) => a - b);
  const view = { board, metric, sizes, all, off: new Set((values.get("off") || "").split("\n").filter(Boolean)) };
  const go = (changes) => { change(changes); render(); };
  const plot = el("div", { class: "plot", id: "curves" });
  const table = benchmarkTable(view, values);
  const update = () => {
    const chosen = filtered(view);
    table.show(chosen);
    document.getElementById("count").textContent = `${chosen.length} of ${all.length} rows`;
    if (plot.view) plot.view.data("rows", points(view, chosen)).runAsync();
  };
  view.toggle = (key, on) => { if (on) view.off.delete(key); else view.off.add(key); change({ off: [...view.off].join("\n") });
    if (plot.view) plot.view.data("rows", points(view, filtered(view))).runAsync(); };
  const levels = metric !== "kendall_tau" ? [] : [["floor", "nearest neighbour or better, without ideas, whole pool"], ["ceiling", "one repeat of the label against the others"]]
    .filter(([name]) => known[name] !== null).map(([name, title]) => ({ value: known[name], title }));
  const means = [...points({ ...view, off: new Set() }, all).map((point) => point.mean), ...levels.map((level) => level.value)];
  later(() => chart(plot, curves(metric, sizes, levels, [Math.min(...means), Math.max(...means)]), points(view, filtered(view))));
  later(update);
  return [
    el("h1", {}, board),
    selectBox("benchmark", same(BOARDS), board, (name) => { location.hash = address("benchmark", { name, metric }); }),
    chips("metric", known.metrics.map((name) => [name, metricName(name)]), metric, (value) => go({ metric: value })),
    filterBar(view, update), plot, legend(all), table,
    el("p", { class: "tools" }, el("button", { type: "button", id: "download", onclick: () => download(`${board}.csv`, chosenCSV(filtered(view).flatMap((line) => [...line.sizes.values()]))) }, "Download CSV"),
      el("button", { type: "button", onclick: (event) => copy(location.href, event.currentTarget) }, "Copy link"), el("span", { id: "count" })),
    footnotes(all), facts(known),
  ];
}

const legend = (all) => el("p", { class: "legends" }, KNOWN.families.filter((name) => all.some((line) => line.family === name))
  .map((name) => el("span", {}, swatch(name), name)), el("span", { class: "soft" }, "hollow: published"));

function filterBar(view, update) {
  const { values } = state();
  const search = el("input", { type: "search", id: "search", placeholder: "search methods", "aria-label": "search methods", value: values.get("q") || "",
    oninput: (event) => { change({ q: event.target.value }); update(); } });
  const boxes = Object.entries(FILTERS).map(([name, title]) => {
    const found = unique(view.all.map((line) => line[name])).filter(Boolean).sort();
    return found.length < 2 ? null : selectBox(title, [["", "all"], ...same(found)], values.get(name) || "",
      (value) => { change({ [name]: value }); update(); });
  });
  const origins = selectBox("from", [["", "all"], ["own", "computed"], ["published", "published"]], values.get("from") || "", (value) => { change({ from: value }); update(); });
  return el("div", { class: "filters" }, search, boxes, origins);
}

function filtered(view) {
  const { values } = state(), words = (values.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean), from = values.get("from") || "";
  return view.all.filter((line) => words.every((word) => `${line.method} ${line.paper || ""} ${line.family}`.toLowerCase().includes(word))
    && Object.keys(FILTERS).every((name) => !values.get(name) || line[name] === values.get(name))
    && (!from || (line.origin === "published") === (from === "published")));
}

function points(view, chosen) {
  return chosen.filter((line) => !view.off.has(line.key)).flatMap((line) => [...line.sizes.values()].map((row) => {
    const mean = valueOf(row, view.metric), low = number(row[`${view.metric}_low`]), high = number(row[`${view.metric}_high`]);
    return { key: line.key, method: line.method, family: line.family, origin: line.origin === "published" ? "published" : line.origin, size: row.size, mean,
      low: Number.isFinite(low) ? low : mean, high: Number.isFinite(high) ? high : mean, value: decimals(mean, 4), interval: interval(low, high),
      runs: row.runs || "", seconds: seconds(number(row.fit_cpu_seconds)), paper: row.paper || "" };
  })).filter((point) => Number.isFinite(point.mean));
}

function benchmarkTable(view, values) {
  const { metric, sizes } = view, largest = (line) => line.sizes.get(Math.max(...line.sizes.keys()));
  const best = Object.fromEntries(sizes.map((size) => [size, Math.max(...view.all.filter((line) => line.origin !== "published" && line.sizes.has(size))
    .map((line) => sign(metric) * valueOf(line.sizes.get(size), metric)).filter(Number.isFinite))]));
  const columns = [
    { name: "on", title: "", hint: "show the curve", cell: (line) => el("input", { type: "checkbox", "aria-label": `curve of ${line.method}`, checked: !view.off.has(line.key),
      onchange: (event) => view.toggle(line.key, event.target.checked) }) },
    { name: "method", title: "method", value: (line) => line.method, cell: (line) => [swatch(line.family), methodLink(line.method), line.paper ? el("small", {}, ` ${line.paper} `, notesOf(line)) : null] },
    { name: "from", title: "from", value: (line) => line.origin, cell: (line) => badge(line.origin) },
    ...sizes.map((size) => ({ name: String(size), title: `n = ${size}`, down: sign(metric) > 0, value: (line) => valueOf(line.sizes.get(size) || {}, metric),
      cell: (line) => valueCell(line, size, view, best[size]) })),
    { name: "seconds", title: "fit, CPU s", hint: "at the largest size", value: (line) => number(largest(line).fit_cpu_seconds), cell: (line) => seconds(number(largest(line).fit_cpu_seconds)) },
    { name: "do", title: "", cell: (line) => el("span", { class: "marks" }, line.origin === "published" ? null
      : copyButton("copy", "copy the commands of this row", () => [...line.sizes.values()].map((row) => row.command).join("\n")), copyButton("cite", "copy a citation of this row", () => citation(line, metric))) },
  ];
  return sortable(columns, view.all, { name: `results on ${view.board}`, sort: values.get("sort"), down: values.get("down") === "1",
    sorted: (sort, down) => change({ sort, down: down ? "1" : "" }), row: (line) => ({ class: line.origin === "published" ? "published" : "" }) });
}

function valueCell(line, size, view, best) {
  const row = line.sizes.get(size), value = row ? valueOf(row, view.metric) : NaN;
  if (!Number.isFinite(value)) return "";
  const std = number(row[`${view.metric}_std`]), found = [el("span", { class: sign(view.metric) * value === best ? "best" : null }, decimals(value))];
  if (Number.isFinite(std)) found.push(el("small", {}, ` ± ${decimals(std)}`));
  if (row.origin !== "published") {
    const range = interval(number(row[`${view.metric}_low`]), number(row[`${view.metric}_high`]));
    return el("span", { title: `${row.runs} runs, seeds ${row.seeds}${range ? `, 95 % interval ${range}` : ""}` }, found);
  }
  const ours = view.all.find((one) => one.origin !== "published" && one.method === line.sameAs), beside = ours && ours.sizes.get(size);
  const difference = beside ? valueOf(beside, view.metric) - value : NaN;
  if (Number.isFinite(difference)) found.push(el("small", { class: difference < -0.01 ? "below" : "reached", title: "ours minus the printed number" }, ` ${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(3)}`));
  return el("span", {}, found);
}

const remarksOf = (line) => unique([...line.sizes.values()].flatMap((row) => (row.notes || "").split("|"))).filter(Boolean);
let numbered = new Map();
const notesOf = (line) => el("span", {}, remarksOf(line).map((note) => {
  if (!numbered.has(note)) numbered.set(note, numbered.size + 1);
  return el("sup", { title: note }, `[${numbered.get(note)}]`);
}));

function footnotes(all) {
  numbered = new Map();
  for (const line of all) for (const note of remarksOf(line)) if (!numbered.has(note)) numbered.set(note, numbered.size + 1);
  return numbered.size ? el("section", {}, el("h2", {}, "Published numbers"), el("ol", { class: "note" }, [...numbered.keys()].map((note) => el("li", {}, note)))) : null;
}

function facts(known) {
  return el("section", {}, el("h2", {}, "What the numbers refer to"), el("dl", {}, known.facts.map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    known.notes.map(([heading, sentences]) => [el("h3", {}, heading), el("ul", {}, sentences.map((text) => el("li", {}, text)))]));
}

function citation(line, metric) {
  const cells = [...line.sizes.values()], one = cells[0];
  const values = cells.map((row) => `n = ${row.size}: ${decimals(valueOf(row, metric))}`).join(", ");
  return one.origin === "published" ? `${line.method}, ${line.paper}: ${metricName(metric)} ${values}. ${remarksOf(line)[0] || ""}`
    : `${line.method}, archenc ${one.archenc}, protocol ${one.protocol} version ${one.version} (${one.dataset}, ${one.label}, split ${one.split}): `
      + `${metricName(metric)} ${values}; ${cells.map((row) => row.command).join("; ")}`;
}

// -- one method

function method(values) {
  const name = METHODS.includes(values.get("name")) ? values.get("name") : METHODS.includes("auto") ? "auto" : METHODS[0];
  const card = KNOWN.methods[name], rows = RESULTS.filter((row) => row.method === name && row.origin !== "published").map(compared);
  const wins = rows.filter((row) => row.rank === 1 && row.of > 1), losses = [...rows].filter((row) => row.of > 1).sort((a, b) => a.behind - b.behind).slice(0, 5);
  const place = (row) => el("li", {}, boardLink(row.board), ` at ${row.size}: ${decimals(row.value)}, rank ${row.rank} of ${row.of}${row.rank > 1 ? `, ${decimals(Math.abs(row.behind))} behind ${row.best}` : ""}`);
  const columns = [
    { name: "board", title: "benchmark", value: (row) => row.board, cell: (row) => boardLink(row.board) },
    { name: "size", title: "labels", value: (row) => row.size, cell: (row) => row.size },
    { name: "value", title: "first metric", down: true, value: (row) => row.value, cell: (row) => el("span", { title: metricName(row.metric) }, decimals(row.value)) },
    { name: "interval", title: "95 % interval", class: "soft", cell: (row) => interval(number(row[`${row.metric}_low`]), number(row[`${row.metric}_high`])) },
    { name: "runs", title: "runs", value: (row) => number(row.runs), cell: (row) => row.runs },
    { name: "rank", title: "rank", value: (row) => row.rank, cell: (row) => `${row.rank} of ${row.of}` },
    { name: "behind", title: "behind the best", value: (row) => Math.abs(row.behind), cell: (row) => (row.rank === 1 ? "" : `${decimals(Math.abs(row.behind))} (${row.best})`) },
    { name: "fit", title: "fit, CPU s", value: (row) => number(row.fit_cpu_seconds), cell: (row) => seconds(number(row.fit_cpu_seconds)) },
    { name: "scoring", title: "10,000 scores, s", value: (row) => number(row.seconds_per_10000), cell: (row) => seconds(number(row.seconds_per_10000)) },
    { name: "do", title: "", cell: (row) => copyButton("copy", "copy the command of this row", () => row.command) },
  ];
  return [el("h1", {}, swatch(card.family), name),
    selectBox("method", same(METHODS), name, (one) => { location.hash = address("method", { name: one }); }),
    el("dl", { class: "card" }, card.parts.flatMap((one) => [el("dt", {}, `${one.kind}: ${one.name}`), el("dd", {}, one.says, one.paper ? el("div", { class: "soft" }, paper(one.paper)) : null)]),
      el("dt", {}, "encoding"), el("dd", {}, `${card.learning}${card.simplify ? ", on simplified graphs" : ""}; family: ${card.family}`),
      Object.entries(card.settings).flatMap(([setting, value]) => [el("dt", {}, setting), el("dd", {}, el("code", {}, value))]),
      el("dt", {}, "spaces"), el("dd", {}, card.spaces.join(", ") || "unknown")),
    el("div", { class: "pair" }, el("section", {}, el("h2", {}, "Where it wins"), wins.length ? el("ul", {}, wins.map(place)) : el("p", {}, "Nowhere among these benchmarks.")),
      el("section", {}, el("h2", {}, "Where it loses most"), el("ul", {}, losses.filter((row) => row.rank > 1).map(place)))),
    el("h2", {}, "All its results"), sortable(columns, rows, { name: `results of ${name}`, sort: values.get("sort"), down: values.get("down") === "1",
      sorted: (sort, down) => change({ sort, down: down ? "1" : "" }) }),
    el("p", { class: "tools" }, el("button", { type: "button", id: "download", onclick: () => download("method.csv", chosenCSV(RESULTS.filter((row) => row.method === name && row.origin !== "published"))) }, "Download CSV"))];
}

function compared(row) {
  const metric = KNOWN.boards[row.board].metrics[0], value = valueOf(row, metric);
  const others = RESULTS.filter((one) => one.board === row.board && one.size === row.size && one.origin !== "published" && Number.isFinite(valueOf(one, metric)))
    .sort((a, b) => sign(metric) * (valueOf(b, metric) - valueOf(a, metric)));
  return { ...row, metric, value, of: others.length, rank: 1 + others.filter((one) => sign(metric) * (valueOf(one, metric) - value) > 0).length,
    best: others.length ? others[0].method : "", behind: others.length ? sign(metric) * (value - valueOf(others[0], metric)) : 0 };
}

function paper(text) {
  const found = text.match(/arXiv:(\d{4}\.\d{4,5})|doi:(\S+)|(https?:\/\/\S+)/);
  if (!found) return text;
  const link = found[1] ? `https://arxiv.org/abs/${found[1]}` : found[2] ? `https://doi.org/${found[2]}` : found[3];
  return [text.slice(0, found.index), el("a", { href: link, rel: "noreferrer" }, found[0]), text.slice(found.index + found[0].length)];
}

// -- one search

const SHOWN_AT_FIRST = 8, FIRST_QUERY = 5; // before that, all are random

function search(values) {
  const all = Object.keys(KNOWN.search_tables);
  if (!all.length) return [el("h1", {}, "Searches"), el("p", { class: "answer" }, "There are no runs of searches here; archenc bench run search-nasbench201 makes some.")];
  const name = all.includes(values.get("name")) ? values.get("name") : all.find((one) => one === "search-nasbench201") || all[0], known = KNOWN.search_tables[name];
  const what = values.get("label") === "told" ? "label" : "reported", rows = SEARCHES.filter((row) => row.benchmark === name);
  const strategies = known.lines.map((line) => line[0]), go = (changes) => { change(changes); render(); };
  const on = new Set(values.has("on") ? values.get("on").split("\n").filter(Boolean) : strategies.slice(0, SHOWN_AT_FIRST));
  const plot = el("div", { class: "plot", id: "best" });
  const drawnRows = () => rows.filter((row) => on.has(row.strategy) && number(row.queries) >= FIRST_QUERY).map((row) => ({ method: row.strategy, query: number(row.queries), median: number(row[`${what}_median`]),
    low: number(row[`${what}_low`]), high: number(row[`${what}_high`]), quartiles: `${decimals(number(row[`${what}_low`]), 2)} to ${decimals(number(row[`${what}_high`]), 2)}`, seeds: row.seeds }));
  const toggle = (strategy, shown) => { if (shown) on.add(strategy); else on.delete(strategy); change({ on: [...on].join("\n") });
    if (plot.view) plot.view.data("rows", drawnRows()).runAsync(); };
  later(() => chart(plot, bestSoFar(strategies, what === "label" ? "best so far, as told" : "best so far, as reported"), drawnRows()));
  const columns = [{ name: "on", title: "", hint: "show the curve", cell: (line) => el("input", { type: "checkbox", "aria-label": `curve of ${line[0]}`, checked: on.has(line[0]),
    onchange: (event) => toggle(line[0], event.target.checked) }) },
  ...known.header.map((title, at) => ({ name: `c${at}`, title, value: (line) => sortValue(line[at]), cell: (line) => (at ? line[at]
    : [el("span", { class: "swatch", style: null, "data-colour": strategyColour(strategies, line[0]) }), line[0]]) }))];
  const table = sortable(columns, known.lines, { name: `searches of ${name}`, sort: values.get("sort"), down: values.get("down") === "1",
    sorted: (sort, down) => { change({ sort, down: down ? "1" : "" }); paint(); } });
  const paint = () => table.querySelectorAll("[data-colour]").forEach((mark) => { mark.style.background = mark.dataset.colour; });
  later(paint);
  const published = known.published.length ? [el("h2", {}, "Beside published numbers"), sortable(known.published_header.map((title, at) => ({ name: `p${at}`, title, cell: (line) => line[at] })),
    known.published, { name: "published searches" })] : [];
  return [el("h1", {}, "Which search finds good architectures, after how few trainings?"),
    selectBox("search", same(all), name, (chosen) => { location.hash = address("search", { name: chosen, label: values.get("label") }); }),
    chips("label", [["reported", "as reported"], ["told", "as told"]], what === "label" ? "told" : "reported", (value) => go({ label: value })),
    el("p", { class: "note" }, `${known.heading}. Lines: median over seeds; bands: quartiles.`), plot, table,
    el("p", { class: "tools" }, el("button", { type: "button", id: "download", onclick: () => download(`${name}.csv`, chosenCSV(rows)) }, "Download CSV"),
      copyButton("copy", "copy the command of these rows", () => known.command)), published];
}

const strategyColour = (strategies, name) => COLOURS[strategies.indexOf(name) % COLOURS.length];
const sortValue = (text) => { const found = text.match(/^(> )?-?[\d.]+/); return found ? Number(found[0].replace("> ", "")) + (found[1] ? 0.5 : 0) : text; };
