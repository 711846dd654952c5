// The membrane heatmap: one row a neuron, one column a step. It gets the membranes as bytes, neuron by neuron, and
// `meta` says what a byte means: level i is the membrane meta.values[i]. Levels up to `meta.level` are at or below the
// threshold, the others above it: so the bytes hold the spikes as well, exactly.

export const ORDERS = ["number", "peak", "first spike", "mean rate", "class"];

// What one may sort neurons by: highest level, first spike (or steps, if none), number of spikes, best class.
export function summary(levels, { steps, neurons, level, classes }) {
  const peak = new Uint8Array(neurons), first = new Uint16Array(neurons).fill(steps), count = new Uint16Array(neurons);
  for (let n = 0, i = 0; n < neurons; n++)
    for (let t = 0; t < steps; t++, i++) {
      if (levels[i] > peak[n]) peak[n] = levels[i];
      if (levels[i] <= level) continue;
      count[n]++;
      if (first[n] === steps) first[n] = t;
    }
  return { peak, first, count, classes };
}

// The neurons from the first row to the last.
export function sorted(order, { peak, first, count, classes }) {
  const rows = Array.from(peak, (_, n) => n);
  const keys = {
    peak: (n) => -peak[n],
    "first spike": (n) => first[n] * 65536 - count[n],
    "mean rate": (n) => -count[n],
    class: (n) => (classes ? classes[n] * 65536 - count[n] : n),
  };
  const key = keys[order];
  return key ? rows.sort((a, b) => key(a) - key(b) || a - b) : rows;
}

// Where neuron n of a convolutional layer sits, [map, row, column]; null in a layer without places.
export function placeOf(n, shape) {
  if (shape.length < 3) return null;
  const [, height, width] = shape, inside = n % (height * width);
  return [Math.floor(n / (height * width)), Math.floor(inside / width), inside % width];
}

// The picture in `parent`; `get()` gives {levels, meta, order}; `pick(neuron)` is told which one was clicked, or chosen
// by Enter. Returns {update, remove}.
export function heatmap(parent, get, pick = () => {}) {
  const said = tag("div", parent, { "aria-live": "polite", style: "font-weight:600; margin:4px 0" });
  const sheet = new Sheet(parent, {
    label: "Membranes: up and down choose a neuron, left and right a step, plus and minus zoom, Enter picks the neuron",
    height: (width) => (width < 620 ? 610 : 430),
    draw: paint,
  });
  const read = tag("div", parent, { style: "min-height:1.4em; margin-top:6px; font-variant-numeric:tabular-nums" });
  const picture = document.createElement("canvas");
  let data, rows, facts, box, view = { from: 0, count: 1 }, row = 0, step = 0, picked = null;

  function update() {
    const next = get();
    if (!data || next.levels !== data.levels) facts = summary(next.levels, next.meta);
    const kept = rows?.[row];
    const sameLayer = data && data.meta.neurons === next.meta.neurons;
    data = next;
    rows = sorted(data.order, facts);
    if (!sameLayer) [view, picked] = [{ from: 0, count: rows.length }, null];
    row = sameLayer ? Math.max(0, rows.indexOf(kept)) : 0;
    step = Math.min(step, data.meta.steps - 1);
    said.textContent = headline();
    show();
  }

  function headline() {
    const { neurons, steps, title } = data.meta;
    const spikes = facts.count.reduce((a, b) => a + b, 0), silent = facts.count.filter((c) => !c).length;
    const share = (part, all) => `${((100 * part) / all).toFixed(1)} %`;
    return `${title}: ${neurons.toLocaleString("en")} neurons, a spike at ${share(spikes, neurons * steps)} of all steps, ${share(silent, neurons)} never fire`;
  }

  function show() {
    const { meta, levels } = data, n = rows[row], level = levels[n * meta.steps + step];
    const place = placeOf(n, meta.shape);
    const where = place ? ` (map ${place[0]}, row ${place[1]}, column ${place[2]})` : "";
    const favourite = meta.classes ? `, most for a ${meta.classes[n]}` : "";
    const text =
      `neuron ${n}${where}, step ${step}: membrane ${meta.values[level].toFixed(2)}${level > meta.level ? ", a spike" : ""}; ` +
      `${facts.count[n]} spike${facts.count[n] === 1 ? "" : "s"} in all${favourite}`;
    const range = { valuemin: 0, valuemax: rows.length - 1, valuenow: row, valuetext: text };
    for (const [name, value] of Object.entries(range)) sheet.canvas.setAttribute(`aria-${name}`, value);
    read.textContent = text;
    sheet.paint();
  }

  function paint(context, width, height, colors) {
    if (!data) return;
    const small = width < 620, right = small ? 0 : 170, { meta } = data;
    box = { left: 58, top: 22, width: width - 74 - right, height: small ? 240 : 250 };
    drawRows(context, colors);
    const trace = { left: box.left, top: box.top + box.height + 50, width: box.width, height: 76 };
    drawTrace(context, trace, colors);
    drawPlace(context, small ? { left: box.left, top: trace.top + 120, side: 100 } : { left: width - 150, top: box.top, side: 130 }, colors);
    const x = box.left + ((step + 0.5) / meta.steps) * box.width;
    line(context, [[x, box.top], [x, trace.top + trace.height]], { color: colors.faint, width: 1 });
  }

  // One pixel a step and, while there are more neurons than lines, one line for several neurons: the highest shows.
  function drawRows(context, colors) {
    const { levels, meta } = data, { from, count } = view, [low, high] = meta.range;
    const shades = meta.values.map((u) => CIVIDIS[Math.round(255 * Math.min(1, Math.max(0, (u - low) / (high - low))))]);
    const lines = Math.min(count, Math.floor(box.height));
    const thick = box.height / lines, image = new ImageData(meta.steps, lines), above = new Uint8Array(meta.steps * lines);
    for (let i = 0, pixel = 0; i < lines; i++) {
      const start = from + Math.floor((i * count) / lines), end = from + Math.floor(((i + 1) * count) / lines);
      for (let t = 0; t < meta.steps; t++, pixel++) {
        let level = 0;
        for (let r = start; r < end; r++) level = Math.max(level, levels[rows[r] * meta.steps + t]);
        above[pixel] = level > meta.level;
        image.data.set(shades[level], 4 * pixel);
        image.data[4 * pixel + 3] = 255;
      }
    }
    Object.assign(picture, { width: meta.steps, height: lines });
    picture.getContext("2d").putImageData(image, 0, 0);
    const what = data.order === "number" ? "neuron" : "rank"; // a sorted row says who comes first, not who it is
    const label = count < rows.length ? `${what}s ${from} to ${from + count - 1} of ${rows.length}` : what;
    const title = box.width < 300 ? "membrane U" : "membrane U; outlined: above the threshold";
    axes(context, box, colors, { x: [0, meta.steps], y: [from + count, from], ylabel: label, title, xticks: [] });
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, box.left, box.top, box.width, box.height);
    outline(context, above, lines, thick, colors);
    context.strokeStyle = colors.ink;
    context.lineWidth = 2;
    if (row >= from && row < from + count) {
      const y = box.top + ((row - from) / count) * box.height, high = Math.max(2, box.height / count);
      context.strokeRect(box.left - 1, y - 1, box.width + 2, high + 2);
    }
    const at = rows.indexOf(picked);
    if (picked === null || at < from || at >= from + count) return;
    const y = box.top + ((at - from + 0.5) / count) * box.height, tip = box.left + box.width + 3;
    context.fillStyle = colors.input;
    context.beginPath();
    for (const [x, up] of [[tip, 0], [tip + 10, -6], [tip + 10, 6]]) context.lineTo(x, y + up);
    context.fill();
  }

  function outline(context, above, lines, thick, colors) {
    const { steps } = data.meta, across = box.width / steps;
    context.strokeStyle = colors.threshold;
    context.lineWidth = thick > 6 ? 1.5 : 0.8;
    context.beginPath();
    for (let i = 0, pixel = 0; i < lines; i++)
      for (let t = 0; t < steps; t++, pixel++) {
        const x = box.left + t * across, y = box.top + i * thick;
        if (t && above[pixel] !== above[pixel - 1]) context.rect(x, y, 0, thick);
        if (i && thick > 3 && above[pixel] !== above[pixel - steps]) context.rect(x, y, across, 0);
      }
    context.stroke();
  }

  function drawTrace(context, place, colors) {
    const { levels, meta } = data, n = rows[row];
    const x = [0, meta.steps], values = Array.from({ length: meta.steps }, (_, t) => levels[n * meta.steps + t]);
    const u = values.map((level) => meta.values[level]), y = [Math.min(0, ...u), Math.max(1.2 * meta.threshold, ...u)];
    const at = axes(context, place, colors, { x, y, xlabel: "time step", ylabel: "U", title: `neuron ${n}` });
    line(context, x.map((t) => [at.x(t), at.y(meta.threshold)]), { color: colors.threshold, dash: [6, 4] });
    line(context, u.map((value, t) => [at.x(t + 0.5), at.y(value)]), { color: colors.membrane });
    values.forEach((level, t) => level > meta.level && line(context, [[at.x(t + 0.5), place.top - 4], [at.x(t + 0.5), place.top + 8]], { color: colors.ink, width: 2 }));
  }

  // The digit and, for a neuron that has a place in it, the field around that place.
  function drawPlace(context, { left, top, side }, colors) {
    const { meta } = data, image = new ImageData(28, 28);
    if (!meta.image) return;
    meta.image.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
    Object.assign(picture, { width: 28, height: 28 });
    picture.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, left, top, side, side);
    context.fillStyle = colors.ink;
    context.textBaseline = "top";
    context.font = "12px system-ui, sans-serif";
    const place = placeOf(rows[row], meta.shape);
    context.fillText(place ? `map ${place[0]}, row ${place[1]}, column ${place[2]}` : "the digit", left, top + side + 6);
    drawScale(context, { left, top: top + side + 36, width: side }, colors);
    if (!place) return;
    const [, y, x] = place, scale = side / meta.shape[2];
    context.strokeStyle = colors.input;
    context.lineWidth = 3;
    context.strokeRect(left + x * scale, top + y * scale, scale, scale);
  }

  // What the colours mean: from the darkest membrane to the brightest, with the threshold marked.
  function drawScale(context, { left, top, width }, colors) {
    const [low, high] = data.meta.range, { threshold } = data.meta;
    for (let x = 0; x < width; x++) {
      context.fillStyle = `rgb(${CIVIDIS[Math.floor((255 * x) / width)]})`;
      context.fillRect(left + x, top, 1, 10);
    }
    const mark = left + ((threshold - low) / (high - low)) * width;
    line(context, [[mark, top - 3], [mark, top + 13]], { color: colors.threshold, width: 2 });
    context.fillStyle = colors.faint;
    context.fillText(`U ${low.toFixed(1)}`, left, top + 16);
    context.textAlign = "right";
    context.fillText(high.toFixed(1), left + width, top + 16);
    context.textAlign = "left";
  }

  function zoom(factor, around) {
    const count = Math.round(Math.min(rows.length, Math.max(Math.min(8, rows.length), view.count * factor)));
    const share = (around - view.from) / view.count;
    view = { count, from: Math.round(Math.min(rows.length - count, Math.max(0, around - share * count))) };
    show();
  }

  function choose(to) {
    row = Math.min(rows.length - 1, Math.max(0, to));
    if (row < view.from) view.from = row;
    if (row >= view.from + view.count) view.from = row - view.count + 1;
    show();
  }

  function take() {
    picked = rows[row];
    show();
    pick(picked);
  }

  function under(event) {
    const t = ((event.offsetX - box.left) / box.width) * data.meta.steps;
    const r = view.from + ((event.offsetY - box.top) / box.height) * view.count;
    const inside = t >= 0 && t < data.meta.steps && r >= view.from && r < view.from + view.count;
    return inside ? { t: Math.floor(t), r: Math.floor(r) } : null;
  }

  let held = null, pressed = null;
  sheet.canvas.addEventListener("pointerdown", (event) => {
    const at = under(event);
    pressed = at && [event.offsetX, event.offsetY];
    if (at && event.pointerType === "mouse") held = { y: event.offsetY, from: view.from };
  });
  sheet.canvas.addEventListener("pointerup", (event) => {
    const at = under(event), still = pressed && Math.hypot(event.offsetX - pressed[0], event.offsetY - pressed[1]) < 4;
    held = pressed = null;
    if (!at || !still) return; // it was dragged, or pushed the page
    choose(at.r);
    take();
  });
  sheet.canvas.addEventListener("pointerleave", () => (held = null));
  sheet.canvas.addEventListener("pointermove", (event) => {
    const at = under(event);
    if (!at) return;
    if (held) {
      const moved = Math.round(((held.y - event.offsetY) / box.height) * view.count);
      view.from = Math.min(rows.length - view.count, Math.max(0, held.from + moved));
    }
    step = at.t;
    choose(at.r);
  });
  sheet.canvas.addEventListener("dblclick", (event) => under(event) && zoom(0.5, under(event).r));
  sheet.canvas.addEventListener(
    "wheel",
    (event) => {
      const at = under(event);
      if (!at || !(event.ctrlKey || event.metaKey)) return; // without Ctrl the wheel scrolls the page
      event.preventDefault();
      zoom(event.deltaY < 0 ? 0.8 : 1.25, at.r);
    },
    { passive: false },
  );
  sheet.canvas.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 10 : 1, steps = data.meta.steps;
    const actions = {
      ArrowUp: () => choose(row - far),
      ArrowDown: () => choose(row + far),
      PageUp: () => choose(row - view.count),
      PageDown: () => choose(row + view.count),
      Home: () => choose(0),
      End: () => choose(rows.length - 1),
      ArrowLeft: () => ((step = Math.max(0, step - far)), show()),
      ArrowRight: () => ((step = Math.min(steps - 1, step + far)), show()),
      "+": () => zoom(0.5, row),
      "-": () => zoom(2, row),
      0: () => zoom(Infinity, row),
      Enter: take,
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
  update();
  return { update, remove: () => sheet.remove(), sheet };
}

// With a kernel: bytes and their meaning come from Python, the order from the notebook's own list.
function render({ model, el }) {
  let bytes = null, levels = null;
  const array = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const get = () => {
    const view = model.get("levels"), meta = model.get("meta");
    if (view !== bytes) [bytes, levels] = [view, array(view)]; // the same bytes, the same array: its counts are kept
    return { levels, meta: { ...meta, classes: array(meta.classes), image: array(meta.image) }, order: ORDERS[model.get("order")] };
  };
  const view = heatmap(el, get, (neuron) => {
    model.set("picked", neuron);
    model.save_changes();
  });
  for (const name of ["meta", "order"]) model.on(`change:${name}`, view.update);
  return view.remove;
}

// Without one: a recorded example, {levels: base64, meta}, and a plain list.
export function mount(el, { levels, meta }, pick) {
  const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0)), values = { order: ORDERS[0] };
  controls(el, { order: { label: "sort by", options: meta.classes ? ORDERS : ORDERS.slice(0, 4) } }, values, () => view.update());
  const view = heatmap(el, () => ({ levels: bytes, meta, order: values.order }), pick);
  return view;
}

export default { render };
