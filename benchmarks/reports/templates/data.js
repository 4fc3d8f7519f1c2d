"use strict";
// What the page knows: the CSV files, and what it shows beside their numbers.
const KNOWN = JSON.parse(document.getElementById("data").textContent);
const FORMULA = /^'(?=[=+\-@\t\r\n])/; // a spreadsheet's protection, not part of a name

// A cell is quoted, with quotes inside doubled, or holds no quote, comma or end of line.
function parseCSV(text) {
  const lines = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    const cell = quoted === undefined ? plain : quoted.replaceAll('""', '"');
    lines.at(-1).push(cell.replace(FORMULA, ""));
    if (end === "\n") lines.push([]);
    if (end === "") break;
  }
  const [names, ...cells] = lines.filter((line) => line.length > 1);
  return cells.map((line) => Object.fromEntries(names.map((name, at) => [name, line[at]])));
}

const RESULTS = parseCSV(KNOWN.results);
const OVERVIEW = parseCSV(KNOWN.overview);
const SEARCHES = parseCSV(KNOWN.searches);
const BOARDS = Object.keys(KNOWN.boards);
const METHODS = Object.keys(KNOWN.methods);
RESULTS.forEach((row, at) => { row.at = at; row.size = Number(row.size); });

const number = (text) => (text === "" || text === undefined ? NaN : Number(text));
const valueOf = (row, metric) => number(row[`${metric}_mean`]);
const decimals = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : "");
const seconds = (value) => (!Number.isFinite(value) ? "" : value < 0.1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : String(Math.round(value)));
const family = (method) => (KNOWN.methods[method] || {}).family || "other";
const metricName = (metric) => KNOWN.metrics[metric].name;
const sign = (metric) => (KNOWN.metrics[metric].smaller_is_better ? -1 : 1);
const unique = (values) => [...new Set(values)];
const ofBoard = (board) => RESULTS.filter((row) => row.board === board);

// "gates+mlp+hinge" of ours beside "GATES" of a paper: rows of one line of a table.
function lines(rows) {
  const found = new Map();
  for (const row of rows) {
    const key = row.origin === "published" ? `${row.paper}\n${row.method}` : row.method;
    if (!found.has(key)) {
      const head = row.origin === "published" && KNOWN.methods[row.same_as] ? { ...part(row.same_as) } : part(row.method);
      found.set(key, { key, method: row.method, origin: row.origin, paper: row.paper, sameAs: row.same_as, sizes: new Map(), ...head });
    }
    found.get(key).sizes.set(row.size, row);
  }
  const all = [...found.values()], printed = all.filter((line) => line.origin === "published");
  const own = all.filter((line) => line.origin !== "published");
  const beside = own.flatMap((line) => [line, ...printed.filter((one) => one.sameAs === line.method)]);
  return [...beside, ...printed.filter((line) => !beside.includes(line))];
}

function part(method) {
  const row = RESULTS.find((one) => one.method === method && one.origin !== "published") || {};
  return { family: family(method), encoder: row.encoder || "", head: row.head || "", loss: row.loss || "",
    learning: row.learning || "", simplify: row.simplify || "" };
}

// The state of the page is its fragment: #view?name=value&...
function state() {
  const [view, query] = location.hash.slice(1).split("?");
  return { view: view || "overview", values: new URLSearchParams(query || "") };
}

function address(view, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== "" && value !== null && value !== undefined) query.set(name, value);
  return `#${view}${[...query].length ? `?${query}` : ""}`;
}

function change(changes) {
  const { view, values } = state();
  history.replaceState(null, "", address(view, { ...Object.fromEntries(values), ...changes }));
}

// CSV of chosen lines of the file, as they stand in it.
function chosenCSV(rows) {
  const names = unique(rows.flatMap((row) => Object.keys(row))).filter((name) => !["at"].includes(name));
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const safe = (value) => (/^[=+@\t\r\n]|^-(?![\d.])/.test(value) ? `'${value}` : value);
  const line = (values) => values.map((value) => quoted(safe(String(value ?? "")))).join(",");
  return [line(names), ...rows.map((row) => line(names.map((name) => row[name])))].join("\n") + "\n";
}
