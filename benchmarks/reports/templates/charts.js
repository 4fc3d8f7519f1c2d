// Plots by Vega-Lite, in the page's colours; the data of one is exchanged without drawing its axes anew.
const COLOURS = ["#d1495b", "#2e86de", "#17a589", "#8e44ad", "#e67e22", "#5d8a1f", "#8d6e63", "#d63aa5", "#7f8c8d"];
const SYMBOLS = ["diamond", "circle", "square", "triangle-up", "triangle-down", "cross", "triangle-right", "stroke", "triangle-left"];
const byFamily = (range) => ({ field: "family", type: "nominal", scale: { domain: KNOWN.families, range } });

function theme() {
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
  const axis = { labelColor: colour("--soft"), titleColor: colour("--soft"), gridColor: colour("--line"), domainColor: colour("--line"),
    tickColor: colour("--line"), titleFontWeight: "normal" };
  return { background: "transparent", font: "system-ui, sans-serif", axis, view: { stroke: null },
    legend: { disable: true } };
}

function tip(handler, event, item, value) {
  const box = document.getElementById("tip");
  if (!value) { box.hidden = true; return; }
  box.replaceChildren(...Object.entries(value).map(([name, text]) => el("div", {}, el("b", {}, name), " ", String(text))));
  box.hidden = false;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8))}px`;
}

const drawn = new Set();
async function chart(place, spec, rows) {
  const full = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit-x", contains: "padding" },
    datasets: { rows }, config: theme(), ...spec };
  const result = await vegaEmbed(place, full, { actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: tip });
  drawn.add(result);
  place.view = result.view;
  return result.view;
}

function forgetCharts() {
  for (const result of drawn) result.finalize();
  drawn.clear();
  document.getElementById("tip").hidden = true;
}

const hovering = { params: [{ name: "over", select: { type: "point", fields: ["method"], on: "pointerover", clear: "pointerout" } }] };
const dimmed = (full, dim) => ({ condition: { param: "over", value: full }, value: dim });

// The metric of each method against the number of labels, with published numbers as hollow symbols.
function curves(metric, sizes, levels, domain) {
  const x = { field: "size", type: "quantitative", scale: { type: "log", nice: false }, title: "labels (training architectures)",
    axis: { values: sizes, labelOverlap: true, grid: false } };
  const y = (field) => ({ field, type: "quantitative", scale: { zero: false, domain, nice: true }, title: metricName(metric) });
  const detail = { field: "key", type: "nominal" };
  const tooltip = [["method", "method"], ["size", "labels"], ["value", metricName(metric)], ["interval", "95 % interval"], ["runs", "runs"],
    ["seconds", "fit, CPU s"], ["origin", "from"]].map(([field, title]) => ({ field, title }));
  const own = { filter: "datum.origin != 'published'" };
  return { height: 360, data: { name: "rows" }, layer: [
    { transform: [own], mark: { type: "area", opacity: 0.12, clip: true }, encoding: { x, y: y("low"), y2: { field: "high" }, detail,
      color: byFamily(COLOURS) } },
    { transform: [own], mark: { type: "line", strokeWidth: 1.8 }, encoding: { x, y: y("mean"), detail,
      color: byFamily(COLOURS), opacity: dimmed(1, 0.15) } },
    { ...hovering, mark: { type: "point", size: 55, strokeWidth: 1.5 }, encoding: { x, y: y("mean"), detail, tooltip,
      color: byFamily(COLOURS), shape: byFamily(SYMBOLS), opacity: dimmed(1, 0.15),
      fillOpacity: { condition: { test: "datum.origin != 'published'", value: 1 }, value: 0 },
      fill: byFamily(COLOURS) } },
    ...levels.map((level) => ({ data: { values: [level] }, mark: { type: "rule", strokeDash: [6, 4], color: "#8a94a3" },
      encoding: { y: { datum: level.value, type: "quantitative" }, tooltip: [{ field: "title", title: "line" }, { field: "value", title: "tau" }] } })),
    ...levels.map((level) => ({ data: { values: [level] }, mark: { type: "text", align: "left", baseline: "bottom", dy: -2, fontSize: 11, color: "#8a94a3" },
      encoding: { x: { value: 4 }, y: { datum: level.value, type: "quantitative" }, text: { value: level.title } } })),
  ] };
}

// What quality costs: methods that no other beats in both are joined.
function pareto() {
  const x = { field: "cost", type: "quantitative", scale: { type: "log" }, axis: { tickCount: 6, format: "~g", labelOverlap: true },
    title: "CPU seconds of one fit and of scoring 10,000 architectures" };
  const y = { field: "tau", type: "quantitative", scale: { zero: false }, title: "normalised tau" };
  const tooltip = [["method", "method"], ["tau", "normalised tau"], ["interval", "95 % interval"], ["benchmarks", "benchmarks"], ["cost", "seconds"]]
    .map(([field, title]) => ({ field, title }));
  return { height: 300, data: { name: "rows" }, layer: [
    { transform: [{ filter: "datum.front" }], mark: { type: "line", interpolate: "step-after", color: "#8a94a3", strokeDash: [4, 3] }, encoding: { x, y } },
    { mark: { type: "point", filled: true, size: 80 }, encoding: { x, y, tooltip, color: byFamily(COLOURS), shape: byFamily(SYMBOLS),
      opacity: { condition: { test: "datum.common", value: 1 }, value: 0.35 } } },
    { transform: [{ filter: "datum.front" }], mark: { type: "text", align: "left", dx: 8, dy: -6, fontSize: 11, color: getComputedStyle(document.documentElement).getPropertyValue("--ink").trim() },
      encoding: { x, y, text: { field: "method" } } },
  ] };
}

// Mean ranks with a bar of one critical difference: methods whose bars do not meet differ (Nemenyi, 5 percent).
function ranks(difference, count) {
  const y = { field: "method", type: "nominal", sort: { field: "rank" }, title: null, axis: { labelLimit: 260, grid: false } };
  const title = "mean rank (1 is best)";
  const bars = Number.isFinite(difference) ? [{ mark: { type: "rule", strokeWidth: 7, opacity: 0.3, strokeCap: "round" },
    encoding: { y, x: { field: "from", type: "quantitative", title, scale: { zero: false } }, x2: { field: "to" }, color: byFamily(COLOURS) } }] : [];
  return { height: 26 * count, data: { name: "rows" }, layer: [...bars,
    { mark: { type: "rule" }, encoding: { y, x: { field: "low", type: "quantitative", title }, x2: { field: "high" }, color: byFamily(COLOURS) } },
    { mark: { type: "point", filled: true, size: 80 }, encoding: { y, x: { field: "rank", type: "quantitative", title, scale: { zero: false } },
      color: byFamily(COLOURS), shape: byFamily(SYMBOLS),
      tooltip: [{ field: "method" }, { field: "rank", title: "mean rank" }, { field: "interval", title: "95 % interval" }] } }] };
}

// The best that each strategy has found so far: the median over seeds, and quartiles.
function bestSoFar(strategies, title) {
  const x = { field: "query", type: "quantitative", scale: { type: "log", nice: false }, title: "trainings", axis: { grid: false, tickCount: 6, format: "~g" } };
  const y = (field) => ({ field, type: "quantitative", scale: { zero: false }, title });
  const detail = { field: "method", type: "nominal" };
  const color = { ...detail, scale: { domain: strategies, range: strategies.map((name) => strategyColour(strategies, name)) } };
  const tooltip = [["method", "strategy"], ["query", "trainings"], ["median", "median"], ["quartiles", "quartiles"], ["seeds", "seeds"]]
    .map(([field, name]) => ({ field, title: name }));
  return { height: 360, data: { name: "rows" }, layer: [
    { mark: { type: "area", opacity: 0.12, clip: true, interpolate: "step-after" }, encoding: { x, y: y("low"), y2: { field: "high" }, detail, color } },
    { mark: { type: "line", strokeWidth: 1.8, clip: true, interpolate: "step-after" }, encoding: { x, y: y("median"), detail, color, opacity: dimmed(1, 0.15) } },
    { ...hovering, mark: { type: "point", size: 40, filled: true, opacity: 0, clip: true }, encoding: { x, y: y("median"), detail, tooltip, color } },
  ] };
}
