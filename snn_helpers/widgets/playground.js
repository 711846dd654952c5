// The LIF playground: one neuron, simulated where it is drawn. `simulate` is snn_helpers.neurons.lif, in the same
// 32-bit steps and the same order, so that spikes are the same and membranes agree to the last bit.

const STEPS = 100;
const POISSON_RATE = 0.3; // input spikes a step
const INPUTS = ["constant", "pulse", "Poisson", "two spikes"];
const RESETS = ["subtract", "zero", "none"];
const METHODS = ["exact", "euler"];

// What a reader may set, with range and step; the same table makes the controls of a page without a kernel.
export const CONTROLS = {
  kind: { label: "input", options: INPUTS, value: "constant" },
  size: { label: "current I", min: 0, max: 2, step: 0.01, value: 0.2 },
  tau: { label: "tau [ms]", min: 1, max: 50, step: 0.5, value: 10 },
  threshold: { label: "threshold", min: 0.1, max: 3, step: 0.05, value: 1 },
  reset: { label: "reset", options: RESETS, value: "subtract" },
  dt: { label: "step dt [ms]", min: 0.1, max: 5, step: 0.1, value: 1 },
  method: { label: "decay", options: METHODS, value: "exact" },
  seed: { label: "seed (Poisson)", min: 0, max: 9, step: 1, value: 0 },
};

export function betaFromTau(tau, dt, method) {
  return method === "exact" ? Math.exp(-dt / tau) : 1 - dt / tau;
}

// Random numbers in [0, 1) that a seed decides: Marsaglia's xorshift with 32 bits (doi 10.18637/jss.v008.i14).
function random(seed) {
  let x = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 4294967296;
  };
}

// The input current [STEPS]: the same at every step, a pulse, random spikes, or two spikes ten steps apart.
export function inputCurrent(kind, size, seed) {
  const current = new Float32Array(STEPS), draw = random(seed);
  for (let t = 0; t < STEPS; t++) {
    const on = { constant: true, pulse: t >= 20 && t < 60, Poisson: draw() < POISSON_RATE, "two spikes": t === 20 || t === 30 };
    current[t] = on[kind] ? size : 0;
  }
  return current;
}

// U[t] = beta U[t-1] + I[t] - threshold S[t-1], or with reset "zero" beta U[t-1] (1 - S[t-1]) + I[t]; spikes above it.
export function simulate(current, { beta, threshold, reset }) {
  const membrane = new Float32Array(current.length), spikes = new Uint8Array(current.length);
  const round = Math.fround, leak = round(beta), theta = round(threshold);
  let u = 0, s = 0;
  for (let t = 0; t < current.length; t++) {
    u = round(leak * u);
    if (reset === "zero" && s) u = 0;
    u = round(u + current[t]);
    if (reset === "subtract" && s) u = round(u - theta);
    s = u > theta ? 1 : 0;
    membrane[t] = u;
    spikes[t] = s;
  }
  return { membrane, spikes };
}

// Steps from one spike to the next under a constant current, from the closed form: [from, to] (conventions.interval).
export function interval(current, { beta, threshold, reset }) {
  const above = current - threshold * (1 - beta);
  if (above <= 0) return [Infinity, Infinity];
  if (beta === 0) return reset === "subtract" && current <= 2 * threshold ? [2, 2] : [1, 1];
  const climb = reset === "zero" ? threshold : threshold / beta;
  const n = beta === 1 ? climb / above : Math.log1p((climb * (1 - beta)) / above) / -Math.log(beta);
  const whole = Math.floor(n) + 1;
  return reset === "zero" ? [whole, whole] : [Math.max(1, n), whole];
}

function times(spikes) {
  const found = [];
  spikes.forEach((s, t) => s && found.push(t));
  return found;
}

function neuronOf(values) {
  return { beta: betaFromTau(values.tau, values.dt, values.method), threshold: values.threshold, reset: values.reset };
}

// One line with the key numbers: what was counted, and what the closed form says.
export function headline(values, spikes) {
  const neuron = neuronOf(values), { beta, threshold, reset } = neuron;
  if (beta < 0) return `Euler's step is longer than tau: beta = ${beta.toFixed(2)} is below 0, no membrane does that`;
  const at = times(spikes), rheobase = threshold * (1 - beta);
  let text = `${at.length} spike${at.length === 1 ? "" : "s"} in ${STEPS} steps`;
  if (at.length > 1) text += ` · mean interval ${((at.at(-1) - at[0]) / (at.length - 1)).toFixed(1)} steps`;
  if (values.kind === "Poisson")
    return `${text} · mean input ${(values.size * POISSON_RATE).toFixed(2)} against the ${rheobase.toFixed(3)} that a constant input needs`;
  if (values.kind === "two spikes")
    return `${text} · of the first input spike ${(values.size * beta ** 10).toFixed(3)} is left when the second comes`;
  if (reset === "none" && values.size > rheobase) return `${text} · predicted: a spike at every step that ends above the threshold`;
  const [low, high] = interval(values.size, neuron);
  if (low === Infinity) return `${text} · predicted: none, the current must exceed ${rheobase.toFixed(3)}`;
  return `${text} · predicted interval ${low === high ? low : `${low.toFixed(1)} to ${high}`}`;
}

// The f-I curve: spikes a step under constant currents, counted over 300 steps of the same neuron.
function ratesOver(currents, neuron) {
  return currents.map((size) => simulate(new Float32Array(300).fill(size), neuron).spikes.reduce((a, b) => a + b) / 300);
}

// The picture in `parent`; `get()` gives the values. Returns {update, remove}.
export function playground(parent, get) {
  const said = tag("div", parent, { "aria-live": "polite", style: "font-weight:600; margin:4px 0" });
  let state, step = null;
  const narrow = (width) => width < 620;
  const sheet = new Sheet(parent, {
    label: "The neuron step by step: arrow keys read the value at a step",
    height: (width) => (narrow(width) ? 540 : 360),
    draw: paint,
  });
  const read = tag("div", parent, { style: "min-height:1.4em; margin-top:6px; font-variant-numeric:tabular-nums" });
  const places = {};

  function paint(context, width, height, colors) {
    const { values, current, record, rates } = state, small = narrow(width);
    const column = small ? width - 70 : width * 0.68 - 62;
    const top = { left: 52, top: 14, width: column, height: 70 };
    const main = { left: 52, top: 122, width: column, height: 200 };
    const side = small
      ? { left: 52, top: 390, width: column, height: 110 }
      : { left: width * 0.68 + 60, top: 22, width: width * 0.32 - 76, height: 300 };
    const span = [-1, STEPS], limit = Math.max(values.size, 0.5) * 1.2;
    let at = axes(context, top, colors, { x: span, y: [0, limit], ylabel: "current I", xticks: [] });
    for (let t = 0; t < STEPS; t++)
      if (current[t]) line(context, [[at.x(t), at.y(0)], [at.x(t), at.y(current[t])]], { color: colors.input, width: Math.max(1, column / STEPS - 1.5) });
    at = drawMembrane(context, main, colors, span);
    drawRates(context, side, colors, rates);
    Object.assign(places, { at, left: main.left, right: main.left + column });
    if (step !== null) line(context, [[at.x(step), top.top], [at.x(step), main.top + main.height]], { color: colors.faint, width: 1 });
  }

  function drawMembrane(context, box, colors, span) {
    const { values, record, goal } = state, theta = values.threshold;
    const ceiling = Math.max(1.25 * theta, ...record.membrane, goal <= 3 * theta ? goal : 0) * 1.12;
    const floor = Math.min(0, ...record.membrane);
    const at = axes(context, box, colors, { x: span, y: [floor, ceiling], xlabel: "time step", ylabel: "membrane U" });
    line(context, [[box.left, at.y(theta)], [box.left + box.width, at.y(theta)]], { color: colors.threshold, dash: [6, 4] });
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colors.threshold;
    context.textBaseline = "bottom";
    context.fillText("threshold", box.left + 4, at.y(theta) - 2);
    if (values.kind === "constant" && goal > 0 && goal <= 3 * theta) {
      line(context, [[box.left, at.y(goal)], [box.left + box.width, at.y(goal)]], { color: colors.target, dash: [8, 3, 2, 3], width: 1 });
      context.fillStyle = colors.target;
      context.textAlign = "right";
      context.textBaseline = goal < theta ? "top" : "bottom"; // away from the threshold's own label
      context.fillText("where it is heading: I / (1 - beta)", box.left + box.width, at.y(goal) + (goal < theta ? 3 : -2));
      context.textAlign = "left";
    }
    const points = [];
    record.membrane.forEach((u, t) => {
      points.push([at.x(t), at.y(u)]);
      if (record.spikes[t] && values.reset !== "none") points.push([at.x(t), at.y(values.reset === "zero" ? 0 : u - theta)]);
    });
    line(context, points, { color: colors.membrane });
    for (const t of times(record.spikes)) line(context, [[at.x(t), box.top - 20], [at.x(t), box.top - 6]], { color: colors.ink, width: 2 });
    return at;
  }

  function drawRates(context, box, colors, { currents, rates, own }) {
    const { values } = state;
    const at = axes(context, box, colors, {
      x: [0, currents.at(-1)], y: [0, 1.05], xlabel: "constant current I", title: "spikes a step", yticks: [0, 0.5, 1],
    });
    line(context, currents.map((size, i) => [at.x(size), at.y(rates[i])]), { color: colors.membrane });
    context.fillStyle = colors.input;
    context.strokeStyle = colors.ink;
    context.beginPath();
    context.arc(at.x(values.size), at.y(own), 5, 0, 7);
    context.fill();
    context.stroke();
  }

  function tell() {
    const { current, record } = state, t = step ?? 0;
    const text = `step ${t}: current ${current[t].toFixed(2)}, membrane ${record.membrane[t].toFixed(3)}, ${record.spikes[t] ? "a spike" : "no spike"}`;
    for (const [name, value] of Object.entries({ valuemin: 0, valuemax: STEPS - 1, valuenow: t, valuetext: text })) sheet.canvas.setAttribute(`aria-${name}`, value);
    read.textContent = step === null ? "Point at a step, or use the arrow keys, to read its values." : text;
  }

  function update() {
    const values = get(), neuron = neuronOf(values), current = inputCurrent(values.kind, values.size, values.seed);
    const currents = Array.from({ length: 81 }, (_, i) => i / 40);
    const record = simulate(current, neuron);
    const rates = { currents, rates: ratesOver(currents, neuron), own: ratesOver([values.size], neuron)[0] };
    state = { values, current, record, rates, goal: values.size / (1 - neuron.beta) };
    said.textContent = headline(values, record.spikes);
    tell();
    sheet.paint();
  }

  cursor(sheet, {
    count: () => STEPS,
    toPlace: (x) => {
      if (!places.at || x < places.left || x > places.right) return null;
      return Math.round(((x - places.left) / (places.right - places.left)) * (STEPS + 1) - 1);
    },
    move: (to) => {
      step = to;
      tell();
      sheet.paint();
    },
  });
  update();
  return { update, remove: () => sheet.remove(), sheet };
}

// With a kernel: the values are the model's traits, which the notebook's own sliders are linked to in the browser.
function render({ model, el }) {
  const value = (name) => CONTROLS[name].options?.[model.get(name)] ?? model.get(name);
  const view = playground(el, () => Object.fromEntries(Object.keys(CONTROLS).map((name) => [name, value(name)])));
  for (const name of Object.keys(CONTROLS)) model.on(`change:${name}`, view.update);
  return view.remove;
}

// Without one: plain controls of the page, from the table above.
export function mount(el) {
  const values = Object.fromEntries(Object.entries(CONTROLS).map(([name, { value }]) => [name, value]));
  const form = controls(el, CONTROLS, values, () => view.update());
  const view = playground(el, () => values);
  return { ...view, form, values };
}

export default { render };
