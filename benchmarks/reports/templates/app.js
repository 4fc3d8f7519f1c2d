// Draws the view that the fragment names, now and when it changes.
const VIEWS = { overview, benchmark, method, search };
let waiting = [];
const later = (work) => waiting.push(work); // once the elements are in the page

function render() {
  const { view, values } = state(), main = document.getElementById("view");
  const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement : null;
  const again = focused && focused.closest("[role=group]") && [focused.closest("[role=group]").getAttribute("aria-label"), focused.dataset.value];
  forgetCharts();
  waiting = [];
  const draw = RESULTS.length ? VIEWS[view] || overview : search; // a folder may hold runs of searches alone
  main.replaceChildren(...draw(values).flat(Infinity).filter(Boolean));
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.getAttribute("href") === `#${view in VIEWS ? view : "overview"}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (again) for (const group of main.querySelectorAll("[role=group]")) {
    if (group.getAttribute("aria-label") === again[0]) for (const button of group.querySelectorAll("button")) if (button.dataset.value === again[1]) button.focus();
  }
  waiting.forEach((work) => work());
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  render();
}

document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setTheme(now !== "dark");
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
addEventListener("hashchange", () => { render(); scrollTo(0, 0); });
KNOWN.families.forEach((name, at) => document.documentElement.style.setProperty(`--f${at}`, COLOURS[at]));
render();
