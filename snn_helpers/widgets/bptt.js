// Two neurons over three steps, unrolled: a graph that is clicked backwards. Python computed every number in it.

const SVG = "http://www.w3.org/2000/svg";

function shape(name, parent, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

// Where an edge begins and ends, and the share of the way at which its factor is written. A weight stands beside each
// membrane that it feeds.
function way({ start, end }, nodes) {
  const to = nodes[end].at, from = nodes[start].at;
  if (!from) return [[to[0] + 120, to[1] + 46], to, 0.38];
  return [from, to, start[0] === "S" && from[0] !== to[0] ? 0.33 : 0.5];
}

// The stepper in `el`: `value(name)` gives `back` and `reset`, `go(back)` is told where a click leads.
function stepper(el, data, value, go) {
  const [width, height] = data.size, last = data.ways[0].stages.length - 1;
  const bar = tag("div", el, { style: "display:flex; flex-wrap:wrap; gap:6px; margin:4px 0" });
  const leads = [["◀ one step back", (k) => k + 1], ["undo ▶", (k) => k - 1], ["to the weights", () => last], ["to the loss", () => 0]];
  const move = (to) => go(Math.min(last, Math.max(0, to)));
  for (const [text, to] of leads) tag("button", bar, { type: "button", style: "padding:3px 10px" }, text).addEventListener("click", () => move(to(value("back"))));
  const line = tag("div", el, { "aria-live": "polite", style: "font-weight:bold; min-height:2.6em; line-height:1.3" });
  const picture = shape("svg", el, {
    viewBox: `0 0 ${width} ${height}`,
    role: "application",
    tabindex: "0",
    "aria-label": "The unrolled graph: left arrow one step back, right arrow undo, Home to the loss, End to the weights",
    "data-lm-suppress-shortcuts": "true",
    style: "display:block; width:100%; max-width:820px; font:11px system-ui, sans-serif; outline-offset:2px",
  });
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: value("back") + 1, ArrowRight: value("back") - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(to);
  });

  function drawEdge(edge, nodes, lit, colors) {
    const [[x, y], [toX, toY], share] = way(edge, nodes), cut = edge.symbol === "cut";
    const color = lit ? colors.threshold : colors.faint;
    shape("line", picture, { x1: x, y1: y, x2: toX, y2: toY, stroke: color, "stroke-width": lit ? 2.5 : 1, "stroke-dasharray": cut ? "2 4" : "none" });
    const text = cut || edge.symbol === "1" ? edge.symbol : `${edge.symbol} = ${edge.factor}`;
    shape("text", picture, {
      x: x + share * (toX - x),
      y: y + share * (toY - y) + 4,
      "text-anchor": "middle",
      fill: lit ? colors.threshold : colors.ink,
      stroke: colors.paper,
      "stroke-width": 5,
      "paint-order": "stroke",
      "font-weight": lit ? "bold" : "normal",
    }, text);
    if (!nodes[edge.start].at) shape("text", picture, { x, y: y + 4, fill: colors.ink, "font-weight": "bold" }, nodes[edge.start].name);
  }

  function drawNode(id, node, known, current, place, colors) {
    const [x, y] = node.at, group = shape("g", picture, { style: "cursor:pointer" });
    group.addEventListener("click", () => move(place));
    const stroke = current ? colors.threshold : known ? colors.membrane : colors.faint;
    shape("rect", group, { x: x - 42, y: y - 18, width: 84, height: 36, rx: 7, fill: colors.paper, stroke, "stroke-width": current ? 3 : 1.5 });
    const words = { x, "text-anchor": "middle", fill: colors.ink };
    shape("text", group, { ...words, y: known ? y - 3 : y + 4 }, `${node.name} = ${node.value}`);
    if (known) shape("text", group, { ...words, y: y + 12, fill: stroke, "font-weight": "bold" }, `∂L: ${node.gradient}`);
  }

  function update() {
    const { nodes, edges, stages } = data.ways[value("reset")], colors = palette(), back = value("back");
    const stage = stages[back], places = Object.fromEntries(stages.map(({ node }, place) => [node, place]));
    const walked = new Set(stage.edges.map(String));
    picture.replaceChildren();
    shape("rect", picture, { width, height, fill: colors.paper });
    const lit = (edge) => walked.has(`${edge.start},${edge.end}`);
    for (const edge of [...edges].sort((a, b) => lit(a) - lit(b))) drawEdge(edge, nodes, lit(edge), colors);
    for (const [id, node] of Object.entries(nodes))
      if (node.at) drawNode(id, node, places[id] <= back, id === stage.node, places[id], colors);
    const sums = ["v", "w"].filter((name) => places[name] <= back).map((name) => `∂L/∂${name} = ${nodes[name].gradient}`);
    shape("text", picture, { x: width - 8, y: height - 8, "text-anchor": "end", fill: colors.threshold, "font-weight": "bold" }, sums.join("   "));
    line.textContent = stage.line;
  }

  const themes = new MutationObserver(update);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme"] });
  update();
  return { update, remove: () => themes.disconnect() };
}

// With a kernel: the values are the model's traits, linked to the notebook's own slider and choice.
function render({ model, el }) {
  const go = (back) => {
    model.set("back", back);
    model.save_changes();
  };
  const view = stepper(el, model.get("data"), (name) => model.get(name), go);
  for (const name of ["back", "reset"]) model.on(`change:${name}`, view.update);
  return view.remove;
}

// Without one: `data` as Python's bptt_data() gives it.
export function mount(el, data) {
  const values = { back: 0, reset: data.resets[0] };
  const table = { reset: { label: "the reset is", options: data.resets } };
  const form = controls(el, table, values, () => view.update());
  const value = (name) => (name === "reset" ? data.resets.indexOf(values.reset) : values.back);
  const view = stepper(el, data, value, (back) => ((values.back = back), view.update()));
  return { ...view, form, values };
}

export default { render };
