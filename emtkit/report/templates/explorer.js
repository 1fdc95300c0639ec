
// What is packed (base64, gzip, JSON) until it is asked for.
const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

// Networks: an address such as #cells=3,0-2&value=test.loss&best opens them in their order, the
// first at once. The dialog lists them beside all that is known of the one that is chosen.
const explore = (data) => {
  const AXES = /^(task|architecture|training)\./;
  const NAMES = new Set(["cell", "grid", "role", "status", "reason", "seed", "task", "architecture"]);
  const isAxis = (name) => NAMES.has(name) || AXES.test(name);
  const places = new Map(data.columns.map((name, place) => [name, place]));
  const at = (row, name) => data.rows[row][places.get(name)];
  const short = (name) => name.slice(name.indexOf(".") + 1);
  const numberText = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value === null ? "–" : String(value));
  const exactly = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value));
  const textIn = (row, name) => (at(row, name) === null ? "–" : String(at(row, name)));
  const networks = JSON.parse(document.getElementById("networks").textContent);

  const readAddress = () => {
    const [first, ...rest] = location.hash.split("&");
    const found = /^#cells=(\d[\d,-]*)$/.exec(first);
    if (!found) return null;
    const rows = [];
    for (const span of found[1].split(",")) {
      const [low, high = low] = span.split("-").map(Number);
      for (let row = low; row <= high && row < data.rows.length; row += 1) rows.push(row);
    }
    const named = rest.filter((one) => one.startsWith("value=")).map((one) => decodeURIComponent(one.slice(6)));
    return { rows, values: named.filter((name) => data.columns.includes(name)), best: rest.includes("best") };
  };

  // The dialog.
  const dialog = document.getElementById("explorer");
  const listed = document.getElementById("explorer-list");
  const shown = document.getElementById("explorer-network");
  let opened = null;

  const namesApart = (rows) => {
    const apart = data.axes.filter((axis) => rows.some((row) => at(row, axis) !== at(rows[0], axis)));
    return apart.length ? apart : ["seed"];
  };
  const entryText = (row, axes) => axes.map((axis) => `${short(axis)} ${textIn(row, axis)}`).join(", ");
  const openNetwork = (place) => {
    const { rows, values } = opened;
    listed.querySelectorAll("button").forEach((button, other) => {
      if (other === place) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    shown.replaceChildren(...networkParts(rows[place], values));
    shown.scrollTop = 0;
  };
  const openNetworks = (address) => {
    opened = address;
    const { rows, values, best } = address;
    const axes = namesApart(rows);
    const count = rows.length === 1 ? "1 network" : `${rows.length} networks${best ? ", the best first" : ""}`;
    document.getElementById("explorer-head").textContent = count;
    document.getElementById("explorer-values").textContent = values.join(", ranked by ");
    listed.replaceChildren(...rows.map((row, place) => {
      const button = element("button");
      button.type = "button";
      const numbers = values.map((name) => numberText(at(row, name))).join(" · ");
      button.append(element("span", entryText(row, axes)), element("span", numbers, "value"));
      button.addEventListener("click", () => openNetwork(place));
      const item = element("li");
      item.append(button);
      return item;
    }));
    dialog.classList.toggle("alone", rows.length === 1);
    openNetwork(0);
    if (!dialog.open) dialog.showModal();
    (rows.length === 1 ? shown : listed.querySelector("button")).focus();
  };
  listed.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = Array.from(listed.querySelectorAll("button"));
    const next = buttons[buttons.indexOf(event.target) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });
  document.getElementById("explorer-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    if (readAddress()) history.replaceState(null, "", location.href.split("#")[0]);
  });

  // What is known of one network.
  const shell = (text) => (/^[\w.,=:@/+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const partOf = (row) => {
    const only = data.only.filter((axis) => at(row, axis) !== null).map((axis) => `${axis}=${at(row, axis)}`);
    return `--only ${shell(only.join(","))} --seeds ${at(row, "seed")}`;
  };
  const commandLine = (said, command) => {
    const line = element("p", said, "command");
    line.append(element("code", command));
    return line;
  };
  const pairsOf = (row, names, values) => {
    const list = element("dl", undefined, "numbers");
    for (const name of names) {
      const value = at(row, name);
      if (value === null) continue;
      const pair = element("div", undefined, values.includes(name) ? "asked" : "");
      const term = element("dt", isAxis(name) ? name : short(name));
      if (data.meanings[name]) term.append(element("small", data.meanings[name]));
      const number = element("dd", exactly(value));
      number.title = String(value);
      pair.append(term, number);
      list.append(pair);
    }
    return list;
  };
  const undefinedOf = (row, names) => {
    const known = data.reasons[row] || {};
    const missing = names.filter((name) => at(row, name) === null && name in known);
    return Array.from(new Set(missing.map((name) => known[name])), (reason) => {
      const alike = missing.filter((name) => known[name] === reason).map(short).join(", ");
      return element("p", `${alike}: undefined, ${reason}`, "cause");
    });
  };
  function networkParts(row, values) {
    const status = textIn(row, "status").replace("_", " ");
    const head = element("h3", `${textIn(row, "architecture")} on ${textIn(row, "task")}, seed ${textIn(row, "seed")} `);
    head.append(element("span", status, `chip ${status.replace(" ", "-")}`));
    const named = data.axes.filter((axis) => AXES.test(axis) && at(row, axis) !== null);
    const key = element("p", named.length ? `${entryText(row, named)}; cell ` : "cell ", "command");
    key.append(element("code", textIn(row, "cell")));
    const parts = [head, key];
    if (values.length) parts.push(pairsOf(row, values, values), ...undefinedOf(row, values));
    if (at(row, "reason")) parts.push(element("p", at(row, "reason"), "cause"));
    parts.push(drawingsOf(row));
    const scalars = data.columns.filter((name) => !isAxis(name));
    for (const label of new Set(scalars.map((name) => name.split(".")[0]))) {
      const names = scalars.filter((name) => name.startsWith(`${label}.`));
      const [list, missing] = [pairsOf(row, names, []), undefinedOf(row, names)];
      if (list.childElementCount + missing.length) parts.push(element("h4", label), list, ...missing);
    }
    const settings = data.columns.filter((name) => AXES.test(name) || name === "grid" || name === "role");
    parts.push(element("h4", "Settings"), pairsOf(row, settings, []));
    parts.push(commandLine("This network again: ", `emtkit run ${data.study} ${partOf(row)}`));
    return parts;
  }

  // Its drawings.
  const packOf = new Map((networks.packs || []).flatMap((pack) => pack.rows.map((row, place) => [row, { pack, place }])));
  const drawingOf = ({ title, drawing, why }) => {
    if (why) return element("p", `${title}: ${why}`, "cause");
    const figure = element("figure");
    const drawn = drawDrawing(drawing, networks.colours);
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", title);
    figure.append(drawn, element("figcaption", title));
    return figure;
  };
  function drawingsOf(row) {
    const place = element("div", undefined, "drawings");
    const left = networks.left || [];
    const held = packOf.get(row);
    if (left.some(([low, high]) => low <= row && row <= high)) {
      const many = left.reduce((sum, [low, high]) => sum + high - low + 1, 0);
      const said = `Its drawings, as those of ${many} networks, are left out to keep this page small. `;
      place.append(commandLine(`${said}A page that has them: `, `emtkit report ${data.apart} ${partOf(row)}`));
    } else if (held) {
      unpack(held.pack.packed).then((found) => {
        const own = found[held.place];
        place.append(...[...own.filter((one) => one.drawing), ...own.filter((one) => one.why)].map(drawingOf));
      }).catch((error) => place.append(element("p", `Its drawings cannot be shown here (${error}).`, "cause")));
    }
    return place;
  }

  // The list of all networks: those of an address, in its order and with its columns; any other
  // column on demand, and a filter under every head.
  const cells = document.getElementById("cell-table");
  const filter = document.getElementById("cell-filter");
  const all = document.getElementById("all-cells");
  const said = document.getElementById("cell-matches");
  const adding = document.getElementById("cell-column");
  const rowOf = (line) => Number(line.id.slice(5));
  let chosen = null;
  const refilter = () => {
    filterRows(cells, filter.value, chosen, said);
    all.hidden = !chosen;
  };
  const addFilter = (head, place) => {
    const cell = element("td");
    const input = element("input");
    input.type = "search";
    input.placeholder = "filter";
    input.setAttribute("aria-label", `Filter ${head.textContent.trim()}: text, or a condition such as >0.9`);
    input.addEventListener("input", refilter);
    cell.append(input);
    cells.tHead.rows[1].insertBefore(cell, cells.tHead.rows[1].cells[place] ?? null);
  };
  const ADDED = 2; // beside cell and status, where it is seen without scrolling
  const addColumn = (name) => {
    const heads = Array.from(cells.tHead.rows[0].cells, (head) => head.textContent.trim());
    if (heads.includes(name)) return;
    const head = element("th", name, "added");
    head.scope = "col";
    if (data.meanings[name]) head.title = data.meanings[name];
    cells.tHead.rows[0].insertBefore(head, cells.tHead.rows[0].cells[ADDED]);
    makeSortable(cells, head);
    addFilter(head, ADDED);
    for (const line of Array.from(cells.tBodies[0].rows)) {
      const value = at(rowOf(line), name);
      const cell = element("td", numberText(value), "added");
      cell.dataset.key = value ?? "";
      line.insertBefore(cell, line.cells[ADDED]);
    }
  };
  const showRows = ({ rows, values }) => {
    chosen = new Set(rows.map((row) => `cell-${row}`));
    filter.value = "";
    cells.querySelectorAll(".filters input").forEach((input) => { input.value = ""; });
    [...values].reverse().forEach(addColumn);
    cells.tHead.querySelectorAll("[aria-sort]").forEach((head) => head.removeAttribute("aria-sort"));
    cells.tBodies[0].prepend(...rows.map((row) => document.getElementById(`cell-${row}`)));
    refilter();
    document.getElementById("cells").scrollIntoView();
  };
  document.getElementById("explorer-listed").addEventListener("click", () => {
    dialog.close();
    showRows(opened);
  });
  cells.tHead.append(element("tr", undefined, "filters"));
  for (const head of cells.tHead.rows[0].cells) addFilter(head, head.cellIndex);
  const added = [];
  for (let row = cells.tBodies[0].rows.length; row < data.rows.length; row += 1) {
    const line = element("tr");
    line.id = `cell-${row}`;
    const status = textIn(row, "status").replace("_", " ");
    const head = element("th", textIn(row, "cell").slice(0, 8));
    head.scope = "row";
    line.hidden = true;
    line.append(head, element("td", status, `status ${status.replace(" ", "-")}`), ...data.axes.map((axis) => element("td", textIn(row, axis))));
    added.push(line);
  }
  cells.tBodies[0].append(...added);
  for (const line of Array.from(cells.tBodies[0].rows)) {
    const button = element("button", line.cells[0].textContent);
    button.type = "button";
    button.addEventListener("click", () => { location.hash = `#cells=${rowOf(line)}`; });
    line.cells[0].replaceChildren(button);
  }
  adding.append(...data.columns.filter((name) => !isAxis(name)).map((name) => element("option", name)));
  adding.addEventListener("change", () => {
    if (adding.value) addColumn(adding.value);
    adding.value = "";
  });
  filter.addEventListener("input", refilter);
  if (added.length) refilter();
  all.addEventListener("click", () => {
    chosen = null;
    refilter();
  });
  for (const figure of document.querySelectorAll("g.spots")) {
    const { end = "", packed } = figure.dataset;
    Promise.resolve(packed ? unpack(packed) : figure.innerHTML).then((places) => {
      if (packed) figure.innerHTML = places;
      for (const place of figure.querySelectorAll("a")) place.setAttribute("href", place.getAttribute("href") + end);
    });
  }
  const follow = () => {
    const address = readAddress();
    if (address && address.rows.length) openNetworks(address);
    else if (dialog.open) dialog.close();
  };
  addEventListener("hashchange", follow);
  follow();
};

const held = JSON.parse(document.getElementById("data").textContent);
if (held.packed) {
  unpack(held.packed).then(({ values, kinds, of }) => {
    const reasons = Object.fromEntries(Object.entries(of).map(([row, kind]) => [row, kinds[kind]]));
    explore({ ...held, reasons, rows: values[0].map((_, row) => values.map((column) => column[row])) });
  });
} else explore(held);
