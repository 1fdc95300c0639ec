
// The drawings of single networks: plots of lines, points, bars and matrices from their data, as
// SVG in the page's own ink. Sizes are in points.
const DRAWING = { width: 420, font: 10, letter: 5.6, tick: 4 };

const SVG = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
const svgElement = (name, given = {}, ...children) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const svgText = (words, x, y, more = {}) => svgElement("text", { x, y, fill: "currentColor", "text-anchor": "middle", ...more }, words);

// Scales: the ends of an axis, a place on it, and its ticks.
const finiteOf = (values) => values.filter((value) => value !== null && Number.isFinite(value));
const extentOf = (mark) => {
  const [rows, columns] = mark.shape;
  return mark.extent || [-0.5, columns - 0.5, -0.5, rows - 0.5];
};
const reachOf = (plot, axis) => {
  const found = [];
  let exact = false;
  for (const mark of plot.marks) {
    if (mark.mark === "Matrix") {
      found.push(...extentOf(mark).slice(axis === "x" ? 0 : 2, axis === "x" ? 2 : 4));
      exact = true;
    } else if (mark.mark === "Rule") {
      if (Boolean(mark.upright) === (axis === "x")) found.push(mark.at);
    } else if (mark.mark === "Bars") {
      if (axis === "x") for (const side of [-0.5, 0.5]) found.push(...mark.x.map((place) => place + side * (mark.width ?? 0.8)));
      else mark.height.forEach((height, at) => found.push((mark.base || [])[at] || 0, ((mark.base || [])[at] || 0) + height));
    } else if (mark.mark !== "Label") found.push(...finiteOf(mark[axis]));
  }
  return { found, exact };
};
const endsOf = (plots, axis) => {
  const { [`${axis}_limits`]: limits, [`${axis}_log`]: log } = plots[0];
  if (limits) return { low: limits[0], high: limits[1], log };
  const all = plots.map((plot) => reachOf(plot, axis));
  const values = all.flatMap(({ found }) => found).filter((value) => !log || value > 0).map((value) => (log ? Math.log10(value) : value));
  let low = values.length ? Math.min(...values) : 0;
  let high = values.length ? Math.max(...values) : 1;
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const margin = all.some(({ exact }) => exact) ? 0 : 0.05 * (high - low);
  [low, high] = [low - margin, high + margin];
  return log ? { low: 10 ** low, high: 10 ** high, log } : { low, high };
};
const placeOn = ({ low, high, log }, start, end, flip) => (value) => {
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return start + (flip ? 1 - share : share) * (end - start);
};
const tickText = (value) => {
  const size = Math.abs(value);
  if (size && (size >= 1e5 || size < 1e-3)) return value.toExponential(0).replace("e+", "e").replace("-", "−");
  return String(Number(value.toPrecision(6))).replace("-", "−");
};
const logTicks = ({ low, high }, most) => {
  const found = [];
  const decades = Math.floor(Math.log10(high) + 1e-9) - Math.ceil(Math.log10(low) - 1e-9);
  const parts = decades >= 2 ? [1] : decades >= 1 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += Math.max(1, Math.ceil(decades / most))) {
    for (const part of parts) found.push(part * 10 ** power);
  }
  return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
};
const ticksOf = (scale, most) => {
  const { low, high, log } = scale;
  let found = log ? logTicks(scale, most) : [];
  if (found.length < 2) {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((part) => part * power >= rough * (1 - 1e-9)) * power;
    const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
    found = Array.from({ length: last - first + 1 }, (_, place) => (first + place) * step);
  }
  return found.map((value) => [value, tickText(value)]);
};

// Marks.
const DASHES = { dashed: "5 3", dotted: "1 3" };
const mixed = (stops, share) => {
  const place = share * (stops.length - 1);
  const first = Math.min(Math.floor(place), stops.length - 2);
  const parts = [0, 1].map((step) => stops[first + step].match(/\w\w/g).map((pair) => parseInt(pair, 16)));
  return parts[0].map((low, at) => Math.round(low + (parts[1][at] - low) * (place - first)));
};
const matrixImage = (mark, colours) => {
  const [rows, columns] = mark.shape;
  const levels = Uint8Array.from(atob(mark.levels), (letter) => letter.charCodeAt(0));
  const stops = colours[mark.signed ? "signed" : "shares"];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  levels.forEach((level, at) => {
    if (level === 255) return;
    const row = mark.top_first ? Math.floor(at / columns) : rows - 1 - Math.floor(at / columns);
    pixels.data.set([...mixed(stops, level / 254), 255], 4 * (row * columns + (at % columns)));
  });
  context.putImageData(pixels, 0, 0);
  return canvas.toDataURL();
};
const drawMark = {
  Line(mark, { x, y }) {
    const parts = [];
    let open = false;
    const places = mark.x.map((value, at) => [value, mark.y[at]]);
    for (const [across, up] of places) {
      const there = across !== null && up !== null && Number.isFinite(x(across)) && Number.isFinite(y(up));
      if (there) parts.push(`${open ? "L" : "M"}${x(across).toFixed(2)} ${y(up).toFixed(2)}`);
      open = there;
    }
    const [stroke, opacity] = [mark.colour || COLOUR, mark.opacity];
    const drawn = [svgElement("path", { d: parts.join(""), fill: "none", stroke, opacity, "stroke-width": mark.width ?? 1.5, "stroke-dasharray": DASHES[mark.style] })];
    if (mark.markers) drawn.push(...drawMark.Points({ ...mark, size: 3.5 }, { x, y }));
    if (mark.arrow) {
      const [[from, low], [to, high]] = places.slice(-2).map(([across, up]) => [x(across), y(up)]);
      const turn = (Math.atan2(high - low, to - from) * 180) / Math.PI;
      drawn.push(svgElement("path", { d: "M0 0L-9 -4L-9 4Z", fill: stroke, opacity, transform: `translate(${to} ${high}) rotate(${turn})` }));
    }
    return drawn;
  },
  Points(mark, { x, y }) {
    const colour = mark.colour || COLOUR;
    const ink = mark.hollow ? { fill: "none", stroke: colour } : { fill: colour };
    return mark.x.flatMap((across, at) => {
      const up = mark.y[at];
      if (across === null || up === null) return [];
      const size = Array.isArray(mark.size) ? mark.size[at] : mark.size ?? 4;
      return [svgElement("circle", { cx: x(across).toFixed(2), cy: y(up).toFixed(2), r: size / 2, opacity: mark.opacity, ...ink })];
    });
  },
  Bars(mark, { x, y }) {
    return mark.x.flatMap((across, at) => {
      const base = (mark.base || [])[at] || 0;
      if (mark.height[at] === null) return [];
      const [top, low] = [y(base), y(base + mark.height[at])].sort((a, b) => a - b);
      const fill = Array.isArray(mark.colour) ? mark.colour[at % mark.colour.length] : mark.colour || COLOUR;
      const [left, right] = [-0.5, 0.5].map((side) => x(across + side * (mark.width ?? 0.8)));
      return [svgElement("rect", { x: left, y: top, width: right - left, height: low - top, fill })];
    });
  },
  Matrix(mark, { x, y, colours }) {
    const [left, right, low, high] = extentOf(mark);
    const box = { x: x(left), y: Math.min(y(low), y(high)), width: x(right) - x(left), height: Math.abs(y(low) - y(high)) };
    const back = svgElement("rect", { ...box, fill: "var(--grid, #d8dadd)" });
    const style = "image-rendering: pixelated";
    return [back, svgElement("image", { ...box, href: matrixImage(mark, colours), preserveAspectRatio: "none", style })];
  },
  Rule(mark, { x, y, box }) {
    const ends = mark.upright ? { x1: x(mark.at), x2: x(mark.at), y1: box.top, y2: box.bottom } : { x1: box.left, x2: box.right, y1: y(mark.at), y2: y(mark.at) };
    return [svgElement("line", { ...ends, stroke: mark.colour || "#949494", "stroke-width": mark.width ?? 0.8, "stroke-dasharray": DASHES[mark.style] })];
  },
  Label(mark, { x, y }) {
    const [right, up] = mark.offset || [0, 0];
    const more = { "dominant-baseline": "central", opacity: mark.opacity, "font-style": mark.italic ? "italic" : undefined };
    return [svgText(mark.text, x(mark.x) + right, y(mark.y) - up, { ...more, fill: mark.colour || "currentColor" })];
  },
  Area(mark, { x, y }) {
    const points = mark.x.map((across, at) => `${x(across).toFixed(2)},${y(mark.y[at]).toFixed(2)}`).join(" ");
    return [svgElement("polygon", { points, fill: mark.colour || COLOUR, opacity: mark.opacity ?? 0.1 })];
  },
};
const COLOUR = "#0173b2";

// One plot in a box, with its axes; returns the box that it fills.
let ids = 0;
const nextId = () => `drawing-${(ids += 1)}`;
const drawPlot = (plot, scales, box, outer, colours) => {
  const down = plot.marks.some((mark) => mark.mark === "Matrix" && mark.top_first);
  if (plot.equal) {
    const units = (scales.y.high - scales.y.low) / (scales.x.high - scales.x.low);
    const [width, height] = [box.right - box.left, box.bottom - box.top];
    const [wide, tall] = [Math.min(width, height / units), Math.min(height, width * units)];
    box = { ...box, left: box.left + (width - wide) / 2, right: box.right - (width - wide) / 2 };
    box = { ...box, top: box.top + (height - tall) / 2, bottom: box.bottom - (height - tall) / 2 };
  }
  const [x, y] = [placeOn(scales.x, box.left, box.right), placeOn(scales.y, box.top, box.bottom, !down)];
  const group = svgElement("g");
  const ink = { stroke: "currentColor", "stroke-width": 0.8 };
  const grid = { stroke: "var(--grid, #d8dadd)", "stroke-width": 0.6 };
  const image = plot.marks.some((mark) => mark.mark === "Matrix");
  const xTicks = plot.x_ticks || ticksOf(scales.x, Math.max(2, Math.floor((box.right - box.left) / 45)));
  const yTicks = plot.y_ticks || ticksOf(scales.y, Math.max(2, Math.floor((box.bottom - box.top) / 30)));
  const inside = ([place], { low, high }) => place >= low - 1e-9 * Math.abs(low) && place <= high + 1e-9 * Math.abs(high);
  let after = -Infinity;
  for (const [place, words] of xTicks.filter((tick) => inside(tick, scales.x))) {
    const at = x(place);
    if (!image) group.append(svgElement("line", { x1: at, x2: at, y1: box.top, y2: box.bottom, ...grid }));
    group.append(svgElement("line", { x1: at, x2: at, y1: box.bottom, y2: box.bottom + 3, ...ink }));
    const half = (words.length * DRAWING.letter) / 2;
    if (!outer.x || at - half < after) continue;
    group.append(svgText(words, at, box.bottom + 13));
    after = at + half + 3;
  }
  let above = Infinity;
  for (const [place, words] of [...yTicks].filter((tick) => inside(tick, scales.y)).sort((a, b) => y(b[0]) - y(a[0]))) {
    const at = y(place);
    if (!image) group.append(svgElement("line", { x1: box.left, x2: box.right, y1: at, y2: at, ...grid }));
    group.append(svgElement("line", { x1: box.left - 3, x2: box.left, y1: at, y2: at, ...ink }));
    if (!outer.y || at > above) continue;
    group.append(svgText(words, box.left - 5, at, { "text-anchor": "end", "dominant-baseline": "central" }));
    above = at - 10;
  }
  const id = nextId();
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  group.append(svgElement("clipPath", { id }, svgElement("rect", { x: box.left - 3, y: box.top - 3, width: width + 6, height: height + 6 })));
  const marks = svgElement("g", { "clip-path": `url(#${id})` });
  for (const mark of plot.marks) marks.append(...drawMark[mark.mark](mark, { x, y, box, colours }));
  group.append(marks, svgElement("path", { d: `M${box.left} ${box.top}V${box.bottom}H${box.right}`, fill: "none", ...ink }));
  if (plot.title) group.append(svgText(plot.title, (box.left + box.right) / 2, box.top - 6));
  if (plot.x_label && outer.x) group.append(svgText(plot.x_label, (box.left + box.right) / 2, box.bottom + 27));
  if (plot.y_label && outer.y) {
    const at = box.left - 8 - DRAWING.letter * Math.max(0, ...yTicks.map(([, words]) => words.length));
    group.append(svgText(plot.y_label, 0, 0, { transform: `translate(${at - 4} ${(box.top + box.bottom) / 2}) rotate(-90)` }));
  }
  return { group, box };
};

// A scale of colours beside the plots, and the legend below them.
const colourScale = (mark, { right, top, bottom }, colours) => {
  const stops = colours[mark.signed ? "signed" : "shares"];
  const id = nextId();
  const steps = stops.map((colour, at) => svgElement("stop", { offset: at / (stops.length - 1), "stop-color": colour }));
  const fade = svgElement("linearGradient", { id, x1: 0, x2: 0, y1: 1, y2: 0 }, ...steps);
  const group = svgElement("g", {}, fade, svgElement("rect", { x: right + 6, y: top, width: 9, height: bottom - top, fill: `url(#${id})` }));
  const y = placeOn(mark, top, bottom, true);
  for (const [place, words] of ticksOf(mark, 4)) group.append(svgText(words, right + 18, y(place), { "text-anchor": "start", "dominant-baseline": "central" }));
  group.append(svgText(mark.key, 0, 0, { transform: `translate(${right + 52} ${(top + bottom) / 2}) rotate(-90)` }));
  return group;
};
const legendOf = (drawing, top) => {
  const entries = new Map();
  for (const { marks } of drawing.plots) for (const mark of marks) if (mark.label && !entries.has(mark.label)) entries.set(mark.label, mark);
  const group = svgElement("g");
  if (!entries.size) return { group, height: 0 };
  let [left, low] = [10, top + 8];
  const go = (words) => {
    const wide = 30 + DRAWING.letter * words.length;
    if (left + wide > DRAWING.width) [left, low] = [10, low + 14];
    left += wide;
    return left - wide;
  };
  if (drawing.legend_title) group.append(svgText(drawing.legend_title, go(drawing.legend_title), low, { "text-anchor": "start", "dominant-baseline": "central" }));
  for (const [words, mark] of entries) {
    const start = go(words);
    const across = { x: (value) => start + value, y: () => low };
    const sample = { ...mark, x: mark.mark === "Line" ? [0, 16] : [8], y: mark.mark === "Line" ? [0, 0] : [0] };
    if (mark.mark === "Bars") {
      const fill = Array.isArray(mark.colour) ? mark.colour[0] : mark.colour || COLOUR;
      group.append(svgElement("rect", { x: start + 2, y: low - 4, width: 12, height: 8, fill }));
    } else group.append(...drawMark[mark.mark]({ ...sample, size: Array.isArray(mark.size) ? 4 : mark.size }, across));
    group.append(svgText(words, start + 20, low, { "text-anchor": "start", "dominant-baseline": "central" }));
  }
  return { group, height: low - top + 10 };
};

// A whole drawing as an element.
const drawDrawing = (drawing, colours) => {
  const { plots } = drawing;
  const columns = drawing.columns || 1;
  const keyed = plots.flatMap(({ marks }) => marks).filter((mark) => mark.key);
  const alike = keyed.length === 0 || keyed.every((mark) => ["low", "high", "key"].every((name) => mark[name] === keyed[0][name]));
  const [forAll, forEach] = keyed.length === 0 ? [0, 0] : alike ? [58, 0] : [0, 58];
  const rows = Math.ceil(plots.length / columns);
  const wide = (DRAWING.width - forAll) / columns;
  const tall = rows === 1 ? Math.min(300, Math.max(170, wide * 0.8 + 30)) : Math.min(rows > 2 ? 150 : 200, Math.max(120, wide * 0.8));
  const scaleOf = (plot, axis) => endsOf(drawing[`share_${axis}`] ? plots : [plot], axis);
  const made = svgElement("svg", { "font-size": DRAWING.font, "font-family": "sans-serif" });
  plots.forEach((plot, place) => {
    const [row, column] = [Math.floor(place / columns), place % columns];
    const lowest = place + columns >= plots.length;
    const outer = { x: !drawing.share_x || lowest, y: !drawing.share_y || column === 0 };
    const scales = { x: scaleOf(plot, "x"), y: scaleOf(plot, "y") };
    const widest = Math.max(2, ...(plot.y_ticks || ticksOf(scales.y, 6)).map(([, words]) => words.length));
    const box = {
      left: column * wide + (outer.y ? 12 + widest * DRAWING.letter + (plot.y_label ? 14 : 0) : 10),
      right: (column + 1) * wide - 8 - forEach,
      top: row * tall + (plot.title ? 20 : 8),
      bottom: (row + 1) * tall - (outer.x ? (plot.x_label ? 34 : 20) : 10),
    };
    const { group, box: filled } = drawPlot(plot, scales, box, outer, colours);
    made.append(group);
    const mark = plot.marks.find((one) => one.key);
    if (mark && forEach) made.append(colourScale(mark, filled, colours));
  });
  if (forAll) made.append(colourScale(keyed[0], { right: DRAWING.width - forAll - 4, top: 20, bottom: rows * tall - 34 }, colours));
  const { group, height } = legendOf(drawing, rows * tall);
  made.append(group);
  made.setAttribute("viewBox", `0 0 ${DRAWING.width} ${Math.ceil(rows * tall + height)}`);
  return made;
};
