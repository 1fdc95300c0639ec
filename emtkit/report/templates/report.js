"use strict";
const root = document.documentElement;
root.classList.add("scripted");
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

// Theme: the system's until the reader says otherwise; the choice is kept where that is allowed.
const theme = document.getElementById("theme");
const remembered = () => { try { return localStorage.getItem("emtkit-theme"); } catch { return null; } };
const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const showTheme = () => { theme.setAttribute("aria-pressed", String(dark())); };
if (remembered()) root.dataset.theme = remembered();
showTheme();
theme.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try { localStorage.setItem("emtkit-theme", root.dataset.theme); } catch { /* not kept */ }
  showTheme();
});

// A figure as large as the window; Escape or the same button puts it back.
const setLarge = (figure, large) => {
  const button = figure.querySelector(".enlarge");
  figure.classList.toggle("large", large);
  button.setAttribute("aria-expanded", String(large));
  button.textContent = large ? "Put back" : "Enlarge";
};
document.querySelectorAll(".enlarge").forEach((button) => {
  const figure = button.closest("figure");
  button.addEventListener("click", () => setLarge(figure, !figure.classList.contains("large")));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll("figure.large").forEach((figure) => setLarge(figure, false));
});

// Sorting: numbers by size, texts by letters, empty cells last.
const keyOf = (row, column) => {
  const text = textOf(row.cells[column]);
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
};
const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
};
const sortBy = (table, column, head) => {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [keyOf(row, column), row]);
  rows.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : rising ? compare(a, b) : compare(b, a)));
  body.append(...rows.map(([, row]) => row));
};
const makeSortable = (table, head) => {
  const button = element("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sortBy(table, head.cellIndex, head));
  head.append(button);
};
document.querySelectorAll("table.data").forEach((table) => {
  for (const head of table.tHead.rows[0].cells) makeSortable(table, head);
});

// Filtering: every word must occur in the row, and every condition (`>0.9`, `elman`) in its column.
const textOf = (cell) => cell.dataset.key ?? cell.textContent.trim();
const holds = (cell, condition) => {
  const text = textOf(cell);
  const [, sign, bound] = /^(>=|<=|!=|>|<|=)?(.*)$/.exec(condition);
  if (!sign) return text.toLowerCase().includes(bound.toLowerCase());
  const numbers = text !== "" && bound !== "" && ![text, bound].some((one) => Number.isNaN(Number(one)));
  const [a, b] = numbers ? [Number(text), Number(bound)] : [text.toLowerCase(), bound.toLowerCase()];
  if (sign === "=") return a === b;
  if (sign === "!=") return a !== b;
  if (!numbers) return false;
  return sign === ">" ? a > b : sign === "<" ? a < b : sign === ">=" ? a >= b : a <= b;
};
const conditionsOf = (text) => text.replace(/([<>=!]=?)\s+/g, "$1").split(/\s+/).filter(Boolean);
const MOST_ROWS = 1000; // more take a browser seconds to lay out
const filterRows = (table, words, chosen, said) => {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const columns = Array.from(table.querySelectorAll(".filters input"), (input) => conditionsOf(input.value));
  let shown = 0;
  for (const row of Array.from(table.tBodies[0].rows)) {
    const text = row.textContent.toLowerCase();
    const fits = wanted.every((word) => text.includes(word)) && (!chosen || chosen.has(row.id))
      && columns.every((conditions, place) => conditions.every((one) => holds(row.cells[place], one)));
    shown += fits;
    row.hidden = !fits || shown > MOST_ROWS;
  }
  const all = table.tBodies[0].rows.length;
  const cut = shown > MOST_ROWS ? `, the first ${MOST_ROWS} shown` : "";
  said.textContent = cut || shown < all || wanted.length || chosen ? `${shown} of ${all} rows${cut}` : "";
};
document.querySelectorAll("#tables article").forEach((article) => {
  const input = article.querySelector(".filter");
  const said = article.querySelector(".matches");
  input.addEventListener("input", () => filterRows(article.querySelector("table"), input.value, null, said));
});

// Where a table is wider than the page, a line above it says that it goes on.
const watch = new ResizeObserver((seen) => seen.forEach(({ target }) => {
  target.previousElementSibling.hidden = target.scrollWidth <= target.clientWidth + 1;
}));
document.querySelectorAll(".scroll:has(> .data)").forEach((region) => {
  const hint = element("p", "The table goes on to the right: scroll it sideways →", "hint");
  hint.hidden = true;
  region.before(hint);
  watch.observe(region);
});

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
