// What the explorers that live in the browser share: a sheet to draw on, axes, and a step under the cursor.
// The package puts this file in front of each of them, so that every explorer is one module without imports.

const COLORS = { membrane: "#0072B2", input: "#E69F00", threshold: "#D55E00", target: "#009E73", other: "#CC79A7" };

// A light page or a dark one: JupyterLab says so, furo says so, otherwise the reader's system does.
function isDark() {
  const { jpThemeLight, theme } = document.body.dataset;
  if (jpThemeLight !== undefined) return jpThemeLight === "false";
  if (theme === "dark" || theme === "light") return theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function palette() {
  return isDark()
    ? { paper: "#111418", ink: "#e8e8e8", faint: "#8a8f98", ...COLORS, membrane: "#56B4E9" }
    : { paper: "#ffffff", ink: "#1a1a1a", faint: "#767676", ...COLORS };
}

function tag(name, parent, attributes = {}, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

// A canvas as wide as its place and `height(width)` pixels high, drawn anew on every change of size, theme or value.
// `draw(context, width, height, colors)` gets pixels of the page; the screen's finer ones are taken care of here.
class Sheet {
  constructor(parent, { label, height, draw }) {
    this.draw = draw;
    this.height = height;
    this.canvas = tag("canvas", parent, {
      role: "slider",
      tabindex: "0",
      "aria-label": label,
      "data-lm-suppress-shortcuts": "true", // JupyterLab would keep the arrow keys to itself
      style: "display:block; width:100%; touch-action:pan-y; outline-offset:2px",
    });
    this.watcher = new ResizeObserver(() => this.paint());
    this.watcher.observe(parent);
    this.themes = new MutationObserver(() => this.paint());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme"] });
    this.parent = parent;
  }

  paint() {
    const width = Math.round(this.parent.clientWidth);
    if (!width) return;
    const height = this.height(width), scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      Object.assign(this.canvas, { width: w, height: h });
      this.canvas.style.height = `${height}px`;
    }
    const context = this.canvas.getContext("2d"), colors = palette();
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = colors.paper;
    context.fillRect(0, 0, width, height);
    this.draw(context, width, height, colors);
  }

  remove() {
    this.watcher.disconnect();
    this.themes.disconnect();
  }
}

// Round numbers that divide [low, high] into about `count` parts.
function ticks([low, high], count = 4) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const marks = [];
  for (let mark = Math.ceil(low / step) * step; mark <= high + 1e-9; mark += step) marks.push(+mark.toPrecision(6));
  return marks;
}

// Axes in box = {left, top, width, height}; returns the maps from data to pixels, {x(value), y(value)}.
function axes(context, box, colors, { x, y, xlabel = "", ylabel = "", title = "", xticks, yticks }) {
  const at = {
    x: (value) => box.left + ((value - x[0]) / (x[1] - x[0])) * box.width,
    y: (value) => box.top + box.height - ((value - y[0]) / (y[1] - y[0])) * box.height,
  };
  context.save();
  context.font = "12px system-ui, sans-serif";
  context.strokeStyle = context.fillStyle = colors.faint;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(box.left, box.top);
  context.lineTo(box.left, box.top + box.height);
  context.lineTo(box.left + box.width, box.top + box.height);
  context.stroke();
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const mark of yticks ?? ticks(y, box.height / 45)) context.fillText(mark, box.left - 5, at.y(mark));
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const mark of xticks ?? ticks(x, box.width / 80)) context.fillText(mark, at.x(mark), box.top + box.height + 4);
  context.fillStyle = colors.ink;
  context.fillText(xlabel, box.left + box.width / 2, box.top + box.height + 19);
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillText(title, box.left, box.top - 4);
  context.translate(box.left - 42, box.top + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(ylabel, 0, 0);
  context.restore();
  return at;
}

function line(context, points, { color, width = 1.6, dash = [] }) {
  context.save();
  context.strokeStyle = color;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.lineJoin = "round";
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
  context.restore();
}

// A place that pointer and keyboard move: `count` places, left and right by arrows, ten at a time with Shift, Home and
// End; `toPlace(x, y)` says which place lies under a pixel (or null), `move(place)` is told.
function cursor(sheet, { count, toPlace, move }) {
  let place = 0;
  const go = (to) => {
    place = Math.min(count() - 1, Math.max(0, to));
    move(place);
  };
  sheet.canvas.addEventListener("pointermove", (event) => {
    const to = toPlace(event.offsetX, event.offsetY);
    if (to !== null) go(to);
  });
  sheet.canvas.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 10 : 1;
    const to = { ArrowRight: place + far, ArrowLeft: place - far, Home: 0, End: count() - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    go(to);
  });
}

// Plain controls for a page without a kernel: one a row of `table`, writing into `values`, then calling `changed`.
function controls(parent, table, values, changed) {
  const form = tag("div", parent, { style: "display:flex; flex-wrap:wrap; gap:4px 18px" });
  for (const [name, { label, options, min, max, step }] of Object.entries(table)) {
    const row = tag("label", form, { style: "display:flex; align-items:center; gap:6px; flex:1 1 260px; max-width:100%" });
    tag("span", row, { style: "flex:0 0 7.5em; text-align:right" }, label);
    if (options) {
      const select = tag("select", row, { name, style: "flex:1" });
      for (const option of options) tag("option", select, { value: option }, option);
      select.value = values[name];
      select.addEventListener("change", () => ((values[name] = select.value), changed()));
    } else {
      const range = tag("input", row, { type: "range", name, min, max, step, "data-lm-suppress-shortcuts": "true", style: "flex:1; min-width:6em" });
      const shown = tag("output", row, { style: "flex:0 0 3em; font-variant-numeric:tabular-nums" }, values[name]);
      range.value = values[name];
      range.addEventListener("input", () => ((shown.textContent = values[name] = +range.value), changed()));
    }
  }
  return form;
}

// The colour map cividis as 256 colours [r, g, b]: nine of its colours, and straight lines between them.
const CIVIDIS = (() => {
  const marks = [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120], [155, 148, 118], [188, 174, 108], [222, 201, 88], [254, 232, 56]];
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * 8, left = Math.min(7, Math.floor(at));
    return marks[left].map((value, c) => Math.round(value + (at - left) * (marks[left + 1][c] - value)));
  });
})();
