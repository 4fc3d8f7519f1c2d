// Elements, and tables that are sorted by a button in each header.
function el(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function say(text) { document.getElementById("said").textContent = text; }

async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); } catch (error) {
    const area = el("textarea", { "aria-hidden": "true" }); area.value = text; document.body.append(area); area.select();
    document.execCommand("copy"); area.remove();
  }
  say("copied");
  const before = button.textContent;
  button.textContent = "✓"; setTimeout(() => { button.textContent = before; }, 900);
}

function download(name, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const copyButton = (mark, title, text) => el("button", { type: "button", class: "mark", title, "aria-label": title,
  onclick: (event) => copy(text(), event.currentTarget) }, mark);

// choices: pairs of a value and what it is called
function chips(name, choices, chosen, choose) {
  return el("div", { class: "chips", role: "group", "aria-label": name }, el("span", { class: "legend" }, name),
    choices.map(([value, text]) => el("button", { type: "button", "data-value": value,
      "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text)));
}

function selectBox(name, choices, chosen, choose) {
  const options = choices.map(([value, text]) => el("option", { value, selected: value === chosen }, text));
  return el("label", { class: "box" }, el("span", {}, name),
    el("select", { "aria-label": name, onchange: (event) => choose(event.target.value) }, options));
}

// columns: {name, title, value: line -> what to sort by, cell: line -> what to show, down: first click sorts downwards}
function sortable(columns, list, options) {
  const body = el("tbody");
  const at = Math.max(0, columns.findIndex((column) => column.name === options.sort));
  const sorting = { at: options.sort ? at : -1, down: options.down };
  const heads = columns.map((column, index) => {
    if (!column.value) return el("th", { scope: "col", title: column.hint }, column.title);
    const press = () => {
      sorting.down = sorting.at === index ? !sorting.down : Boolean(column.down);
      sorting.at = index;
      fill(); options.sorted(column.name, sorting.down);
    };
    return el("th", { scope: "col", title: column.hint }, el("button", { type: "button", onclick: press }, column.title));
  });
  function order(a, b) {
    const column = columns[sorting.at], x = column.value(a), y = column.value(b);
    const empty = (value) => value === "" || Number.isNaN(value);
    if (empty(x) || empty(y)) return empty(x) - empty(y);
    const found = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return sorting.down ? -found : found;
  }
  function fill() {
    const sorted = sorting.at < 0 ? list : [...list].sort(order);
    heads.forEach((head, index) => {
      if (index === sorting.at) head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...sorted.map((line) => el("tr", options.row ? options.row(line) : {},
      columns.map((column) => el("td", { class: column.class || null }, column.cell(line))))));
  }
  fill();
  const table = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": options.name },
    el("table", {}, el("thead", {}, el("tr", {}, heads)), body));
  table.show = (lines) => { list = lines; fill(); };
  return table;
}
