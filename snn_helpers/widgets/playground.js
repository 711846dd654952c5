// The LIF playground: one neuron, simulated where it is drawn. `simulate` is snn_helpers.neurons.lif, in the same
// 32-bit steps and the same order, so that spikes are the same and membranes agree to the last bit.

const SPAN = 100; // ms; in the plain playground a step is 1 ms, and called a step
const POISSON_RATE = 0.3; // input spikes a ms
const INPUTS = ["constant", "pulse", "Poisson", "two spikes"];
const WIRINGS = ["current per step", "physical current"];
const RESETS = ["subtract", "zero", "none"];
const METHODS = ["exact", "euler"];

// What a reader may set, with range and step; the same table makes the controls of a page without a kernel.
export const CONTROLS = {
  wiring: { label: "wiring", options: WIRINGS, value: "current per step" },
  kind: { label: "input", options: INPUTS, value: "constant" },
  size: { label: "current I", min: 0, max: 3, step: 0.01, value: 0.2 },
  tau: { label: "tau [ms]", min: 1, max: 50, step: 0.5, value: 10 },
  threshold: { label: "threshold", min: 0.1, max: 3, step: 0.05, value: 1 },
  reset: { label: "reset", options: RESETS, value: "subtract" },
  dt: { label: "step dt [ms]", min: 0.1, max: 5, step: 0.1, value: 1 },
  method: { label: "decay", options: METHODS, value: "exact" },
  seed: { label: "seed (Poisson)", min: 0, max: 9, step: 1, value: 0 },
};

const isPhysical = (values) => values.wiring === "physical current";

export function betaFromTau(tau, dt, method) {
  return method === "exact" ? Math.exp(-dt / tau) : 1 - dt / tau;
}

// The neuron of these values. `gain` is what the input is multiplied by: 1 for a current per step, 1 - beta for the
// current that flows into the circuit.
export function neuronOf(values) {
  const beta = betaFromTau(values.tau, values.dt, values.method);
  return { beta, gain: isPhysical(values) ? 1 - beta : 1, threshold: values.threshold, reset: values.reset };
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

// The input of SPAN ms, one value a step: the same all the time, a pulse, random spikes, or two spikes 10 ms apart. A
// spike per step is one step of `size`, however long that is; a physical one is a current of `size` for 1 ms, whatever dt.
export function inputCurrent(values) {
  const { kind, size, seed, dt } = values, steps = Math.round(SPAN / dt);
  const current = new Float32Array(steps), draw = random(seed);
  const arrivals = { "two spikes": [20, 30], Poisson: [...Array(SPAN).keys()].filter(() => draw() < POISSON_RATE) }[kind];
  if (!arrivals) return current.map((_, t) => (kind === "constant" || (middle(t, dt) > 20 && middle(t, dt) < 60) ? size : 0));
  for (const at of arrivals) {
    const first = firstStep(at, dt);
    if (!isPhysical(values)) current[Math.min(first, steps - 1)] += size;
    else
      for (let t = first; t < steps && t * dt < at + 1; t++)
        current[t] += (size * Math.max(0, Math.min(at + 1, (t + 1) * dt) - Math.max(at, t * dt))) / dt;
  }
  return current;
}

const middle = (t, dt) => (t + 0.5) * dt;
const firstStep = (time, dt) => Math.floor(time / dt + 1e-9); // the step that holds this time

// U[t] = beta U[t-1] + I[t] - threshold S[t-1], or with reset "zero" beta U[t-1] (1 - S[t-1]) + I[t]; spikes above it.
// I[t] is the gain times the current.
export function simulate(current, { beta, gain = 1, threshold, reset }) {
  const membrane = new Float32Array(current.length), spikes = new Uint8Array(current.length);
  const round = Math.fround, leak = round(beta), theta = round(threshold), scale = round(gain);
  let u = 0, s = 0;
  for (let t = 0; t < current.length; t++) {
    u = round(leak * u);
    if (reset === "zero" && s) u = 0;
    u = round(u + round(scale * current[t]));
    if (reset === "subtract" && s) u = round(u - theta);
    s = u > theta ? 1 : 0;
    membrane[t] = u;
    spikes[t] = s;
  }
  return { membrane, spikes };
}

// Steps from one spike to the next under a constant current, from the closed form: [from, to]. From u the membrane
// climbs to the threshold in n = ln((I' - u) / (I' - threshold)) / -ln(beta) steps, where I' = I / (1 - beta) is where
// it heads; at beta = 1 in a straight line. A reset to zero starts at u = 0, and every interval is the next whole number
// above n. One by subtraction starts at u = threshold (1 - 1/beta) if the spike came exactly at the threshold; it came a
// little above, so the mean lies between n and that whole number. At beta = 0 only what the reset takes off is left.
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

// The mean interval between spikes.
const mean = (at, dt) => ((at.at(-1) - at[0]) / (at.length - 1)) * dt;

// One line with the key numbers: what was counted, and what the closed form says.
export function headline(values, spikes, plain = false) {
  const neuron = neuronOf(values), { beta, gain, threshold, reset } = neuron, { dt, size, kind } = values;
  if (beta < 0) return `Euler's step is longer than tau: beta = ${beta.toFixed(2)} is below 0, no membrane does that`;
  const unit = plain ? "steps" : "ms", at = times(spikes), need = (threshold * (1 - beta)) / gain;
  let text = `${at.length} spike${at.length === 1 ? "" : "s"} in ${SPAN} ${unit}`;
  if (at.length > 1) text += ` · mean interval ${mean(at, dt).toFixed(1)} ${unit}${plain ? "" : ` = ${(1000 / mean(at, dt)).toFixed(0)} Hz`}`;
  if (kind === "Poisson") {
    const flow = size * POISSON_RATE * (isPhysical(values) ? 1 : dt);
    return `${text} · mean input ${flow.toFixed(2)} against the ${need.toFixed(3)} that a constant input needs`;
  }
  if (kind === "two spikes") return `${text} · of the first input spike ${leftOfFirst(values, neuron).toFixed(3)} is left when the second comes`;
  if (reset === "none" && size > need) return `${text} · predicted: a spike at every step that ends above the threshold`;
  const [low, high] = interval(size * gain, neuron);
  if (low === Infinity) return `${text} · predicted: none, the current must exceed ${need.toFixed(3)}`;
  const say = (n) => (plain && Number.isInteger(n) ? n : (n * dt).toFixed(1));
  text += ` · predicted ${say(low)}${low === high ? "" : ` to ${say(high)}`} ${unit}`;
  return isPhysical(values) ? `${text}; in ever finer steps ${limitRate(values).toFixed(0)} Hz` : text;
}

// What the first of two input spikes has left in a membrane that cannot fire, at the step at which the second comes.
function leftOfFirst(values, neuron) {
  const current = inputCurrent(values), second = firstStep(30, values.dt);
  return simulate(current, { ...neuron, threshold: Infinity, reset: "none" }).membrane[second - 1] * neuron.beta;
}

// Spikes a second of the circuit itself, without steps, under a constant current: 1 / (tau ln(I / (I - threshold))).
export function limitRate({ size, tau, threshold }) {
  return size > threshold ? 1000 / (tau * Math.log(size / (size - threshold))) : 0;
}

// The f-I curve: spikes a step under constant currents, counted over 300 ms of the same neuron, or 300 steps.
function ratesOver(currents, neuron, dt) {
  const steps = Math.max(300, Math.round(300 / dt));
  return currents.map((size) => simulate(new Float32Array(steps).fill(size), neuron).spikes.reduce((a, b) => a + b) / steps);
}

// The picture in `parent`; `get()` gives the values; a plain one counts steps and has no f-I curve beside it. Returns
// {update, remove}.
export function playground(parent, get, plain = false) {
  const said = tag("div", parent, { "aria-live": "polite", style: "font-weight:600; margin:4px 0" });
  let state, step = null;
  const narrow = (width) => width < 620;
  const sheet = new Sheet(parent, {
    label: "The neuron step by step: arrow keys read the value at a step",
    height: (width) => (narrow(width) && !plain ? 540 : 360),
    draw: paint,
  });
  const read = tag("div", parent, { style: "min-height:1.4em; margin-top:6px; font-variant-numeric:tabular-nums" });
  const places = {};

  function paint(context, width, height, colors) {
    const { values, current } = state, small = narrow(width), { dt } = values;
    const column = small || plain ? width - 70 : width * 0.68 - 62;
    const top = { left: 52, top: 14, width: column, height: 70 };
    const main = { left: 52, top: 122, width: column, height: 200 };
    const side = small
      ? { left: 52, top: 390, width: column, height: 110 }
      : { left: width * 0.68 + 60, top: 22, width: width * 0.32 - 76, height: 300 };
    const span = [-1, SPAN], limit = Math.max(...current, 0.5) * 1.2, wide = Math.max(1, (column * dt) / SPAN - 1.5);
    let at = axes(context, top, colors, { x: span, y: [0, limit], ylabel: "current I", xticks: [] });
    current.forEach((size, t) => {
      if (size) line(context, [[at.x(t * dt), at.y(0)], [at.x(t * dt), at.y(size)]], { color: colors.input, width: wide });
    });
    at = drawMembrane(context, main, colors, span);
    if (!plain) drawRates(context, side, colors);
    Object.assign(places, { at, left: main.left, right: main.left + column });
    if (step === null) return;
    const x = at.x(step * dt);
    line(context, [[x, top.top], [x, main.top + main.height]], { color: colors.faint, width: 1 });
  }

  function drawMembrane(context, box, colors, span) {
    const { values, record, goal } = state, { dt, threshold: theta } = values;
    const ceiling = Math.max(1.25 * theta, ...record.membrane, goal <= 3 * theta ? goal : 0) * 1.12;
    const floor = Math.min(0, ...record.membrane), xlabel = plain ? "time step" : "time [ms]";
    const at = axes(context, box, colors, { x: span, y: [floor, ceiling], xlabel, ylabel: "membrane U" });
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
      const where = plain ? "" : isPhysical(values) ? ": I" : ": I / (1 - beta)";
      context.fillText(`where it is heading${where}`, box.left + box.width, at.y(goal) + (goal < theta ? 3 : -2));
      context.textAlign = "left";
    }
    // U before its reset, as plots.membrane draws it: it falls from the step of the spike to the next one
    line(context, Array.from(record.membrane, (u, t) => [at.x(t * dt), at.y(u)]), { color: colors.membrane });
    for (const t of times(record.spikes)) line(context, [[at.x(t * dt), box.top - 20], [at.x(t * dt), box.top - 6]], { color: colors.ink, width: 2 });
    return at;
  }

  // Per step: the share of steps with a spike. Physical: Hz, and in green the circuit without steps.
  function drawRates(context, box, colors) {
    const { values, rates: { currents, rates, own } } = state, hertz = 1000 / values.dt, physical = isPhysical(values);
    const limit = currents.map((size) => limitRate({ ...values, size }));
    const top = Math.max(20, ...rates.map((rate) => rate * hertz), limit.at(-1)) * 1.05;
    const at = axes(context, box, colors, {
      x: [0, currents.at(-1)], y: [0, physical ? top : 1.05], xlabel: "constant current I",
      title: physical ? "rate [Hz]; green: finest steps" : "spikes a step", yticks: physical ? undefined : [0, 0.5, 1],
    });
    const place = (size, rate) => [at.x(size), at.y(physical ? rate * hertz : rate)];
    if (physical) line(context, currents.map((size, i) => [at.x(size), at.y(limit[i])]), { color: colors.target, dash: [8, 3, 2, 3], width: 1.2 });
    line(context, currents.map((size, i) => place(size, rates[i])), { color: colors.membrane });
    context.fillStyle = colors.input;
    context.strokeStyle = colors.ink;
    context.beginPath();
    context.arc(...place(values.size, own), 5, 0, 7);
    context.fill();
    context.stroke();
  }

  function tell() {
    const { values, current, record } = state, t = step ?? 0;
    const when = plain ? `step ${t}` : `step ${t}, ${(t * values.dt).toFixed(1)} ms`;
    const text = `${when}: current ${current[t].toFixed(2)}, membrane ${record.membrane[t].toFixed(3)}, ${record.spikes[t] ? "a spike" : "no spike"}`;
    const range = { valuemin: 0, valuemax: current.length - 1, valuenow: t, valuetext: text };
    for (const [name, value] of Object.entries(range)) sheet.canvas.setAttribute(`aria-${name}`, value);
    read.textContent = step === null ? "Point at a step, or use the arrow keys, to read its values." : text;
  }

  function update() {
    const values = get(), neuron = neuronOf(values), current = inputCurrent(values);
    const record = simulate(current, neuron);
    if (step !== null) step = Math.min(step, current.length - 1);
    state = { values, current, record, goal: (values.size * neuron.gain) / (1 - neuron.beta) };
    if (!plain) {
      const currents = Array.from({ length: 81 }, (_, i) => (CONTROLS.size.max * i) / 80);
      state.rates = { currents, rates: ratesOver(currents, neuron, values.dt), own: ratesOver([values.size], neuron, values.dt)[0] };
    }
    said.textContent = headline(values, record.spikes, plain);
    tell();
    sheet.paint();
  }

  cursor(sheet, {
    count: () => state.current.length,
    toPlace: (x) => {
      if (!places.at || x < places.left || x > places.right) return null;
      const time = ((x - places.left) / (places.right - places.left)) * (SPAN + 1) - 1;
      return Math.round(time / state.values.dt);
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
  const view = playground(el, () => Object.fromEntries(Object.keys(CONTROLS).map((name) => [name, value(name)])), model.get("plain"));
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
