"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const data = JSON.parse(document.getElementById("data").textContent);

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
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent.trim();
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const closeDetails = (table) => {
    table.querySelectorAll("tr.detail").forEach((row) => row.remove());
    table.querySelectorAll("[aria-expanded]").forEach((button) => button.setAttribute("aria-expanded", "false"));
  };
  const sortBy = (table, column, head) => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0];
    closeDetails(table);
    const rows = Array.from(body.rows, (row) => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : rising ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(([, row]) => row));
  };
  document.querySelectorAll("table.data").forEach((table) => {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, column, head));
      head.append(button);
    });
  });

  // Filtering: every word must occur in the row.
  const filterRows = (table, words, chosen, said) => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    closeDetails(table);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      const fits = wanted.every((word) => text.includes(word)) && (!chosen || chosen.has(row.id));
      row.hidden = !fits;
      shown += fits;
    }
    said.textContent = wanted.length || chosen ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
  };
  document.querySelectorAll("#tables article").forEach((article) => {
    const input = article.querySelector(".filter");
    const said = article.querySelector(".matches");
    input.addEventListener("input", () => filterRows(article.querySelector("table"), input.value, null, said));
  });

  // Cells: a link such as #cells=0-15,32 shows those; a cell opens to all that is known of it.
  const cells = document.getElementById("cell-table");
  const filter = document.getElementById("cell-filter");
  const all = document.getElementById("all-cells");
  const said = document.getElementById("cell-matches");
  let chosen = null;
  const refilter = () => { filterRows(cells, filter.value, chosen, said); all.hidden = !chosen; };
  const follow = () => {
    const found = /^#cells=([\d,-]+)$/.exec(location.hash);
    if (!found) return;
    chosen = new Set();
    for (const span of found[1].split(",")) {
      const [first, last = first] = span.split("-").map(Number);
      for (let row = first; row <= last && row < data.rows.length; row += 1) chosen.add(`cell-${row}`);
    }
    filter.value = "";
    refilter();
    document.getElementById("cells").scrollIntoView();
    if (chosen.size === 1) {
      const button = document.querySelector(`#${[...chosen][0]} button`);
      open(button);
      button.focus();
    }
  };
  filter.addEventListener("input", refilter);
  all.addEventListener("click", () => { chosen = null; history.replaceState(null, "", "#cells"); refilter(); });
  addEventListener("hashchange", follow);

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const shell = (text) => (/^[\w.,=:@/+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const commandFor = (row) => {
    const at = (name) => row[data.columns.indexOf(name)];
    const only = data.only.filter((axis) => at(axis) !== null).map((axis) => `${axis}=${at(axis)}`);
    return `emtkit run ${data.study} --only ${shell(only.join(","))} --seeds ${at("seed")}`;
  };
  function open(button) {
    const line = button.closest("tr");
    if (line.nextElementSibling?.classList.contains("detail")) {
      line.nextElementSibling.remove();
      button.setAttribute("aria-expanded", "false");
      return;
    }
    const place = Number(line.id.slice(5));
    const row = data.rows[place];
    const reasons = data.reasons[place] || {};
    const list = element("dl", undefined, "numbers");
    data.columns.forEach((name, column) => {
      if (row[column] === null && !(name in reasons)) return;
      const pair = element("div");
      const value = row[column] === null ? `undefined: ${reasons[name]}` : String(row[column]);
      pair.append(element("dt", name), element("dd", value));
      list.append(pair);
    });
    const command = element("p", undefined, "command");
    command.append("This cell again: ", element("code", commandFor(row)));
    const detail = element("tr", undefined, "detail");
    const whole = element("td");
    whole.colSpan = line.cells.length;
    whole.append(list, command);
    detail.append(whole);
    line.after(detail);
    button.setAttribute("aria-expanded", "true");
  }
  for (const line of cells.tBodies[0].rows) {
    const button = element("button", line.cells[0].textContent);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    line.cells[0].replaceChildren(button);
  }
  cells.tBodies[0].addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (button) open(button);
  });
  follow();

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
})();
