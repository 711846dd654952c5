// A guess card: a question, a way to answer it, and a truth that is nowhere on the page until the reader commits.
// In JupyterLab the kernel keeps truth and guesses; on a page without one the truth is coded in the page, and the
// browser keeps the guesses. `host` is what the card needs of either: the guess kept from before (`host.kept`),
// `host.reveal(guess)` (a promise of the truth), `host.keep(record)`.

const LOOK = `
.snn-guess { border-left: 4px solid #CC79A7; border-radius: 4px; padding: 8px 14px; margin: 4px 0; max-width: 720px;
  background: color-mix(in srgb, currentColor 6%, transparent); font: 15px/1.5 system-ui, sans-serif; }
.snn-guess p { margin: 4px 0; }
.snn-guess label { display: block; }
.snn-guess button { margin: 6px 8px 2px 0; padding: 3px 14px; font: inherit; }
.snn-guess input[type=range] { width: min(26em, 70%); vertical-align: middle; }
.snn-guess input[type=number] { width: 7em; margin: 0 6px; font: inherit; }
.snn-guess svg { display: block; width: 100%; max-width: 520px; touch-action: pan-y; outline-offset: 2px; }
.snn-guess svg text { fill: currentColor; font-size: 12px; }
.snn-guess .frame { stroke: currentColor; opacity: 0.5; fill: none; }
.snn-guess .yours { stroke: #CC79A7; fill: #CC79A7; stroke-width: 2; }
.snn-guess .true { stroke: #009E73; fill: #009E73; stroke-width: 2; }
.snn-guess polyline { fill: none !important; }
.snn-guess polyline.yours { stroke-dasharray: 6 4; }
.snn-guess .here { stroke: currentColor; stroke-width: 2.5; }
.snn-guess img { max-width: 100%; background: #fff; padding: 6px; border-radius: 6px; margin-top: 6px; }
`;
const BOX = { left: 64, top: 14, width: 430, height: 190 };

function svg(name, parent, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

const short = (value) => String(+value.toPrecision(3));
const withUnit = (spec, value) => `${short(value)}${spec.unit ? ` ${spec.unit}` : ""}`;

// Where a value stands between the two ends of its scale, 0 to 1, and back.
function scale({ between: [low, high], log }) {
  const [f, g] = log ? [Math.log10, (v) => 10 ** v] : [(v) => v, (v) => v];
  return {
    place: (value) => (f(value) - f(low)) / (f(high) - f(low)),
    value: (place) => g(f(low) + Math.min(1, Math.max(0, place)) * (f(high) - f(low))),
  };
}

function marks(spec, count) {
  const [low, high] = spec.between;
  if (!spec.log) return ticks(spec.between, count);
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) found.push(10 ** power);
  return found.length > 1 ? found : [low, high];
}

// How far off: a sentence, and the share of the scale (0 right, 1 as wrong as can be).
export function verdict(spec, guess, truth) {
  if (spec.kind === "choice") {
    if (guess === truth) return { share: 0, text: `Right: ${truth}.` };
    return { share: 1, text: guess === null ? `It is: ${truth}.` : `You chose “${guess}”; it is “${truth}”.` };
  }
  const { place } = scale(spec);
  if (spec.kind === "number") {
    if (guess === null) return { share: 1, text: `It is ${withUnit(spec, truth)}.` };
    const share = Math.abs(place(guess) - place(truth));
    const off = spec.log && guess !== truth
      ? `${short(Math.max(guess / truth, truth / guess))} times too ${guess > truth ? "large" : "small"}`
      : `${withUnit(spec, Math.abs(guess - truth))} too ${guess > truth ? "high" : "low"}`;
    const near = short(guess) === short(truth) || share < 0.005;
    return { share, text: `You guessed ${withUnit(spec, guess)}; it is ${withUnit(spec, truth)}: ${near ? "as good as exact" : off}.` };
  }
  if (guess === null) return { share: 1, text: "The curve is drawn in green." };
  const offs = truth.map((value, i) => Math.abs(place(value) - place(guess[i])));
  const worst = offs.indexOf(Math.max(...offs));
  const share = offs.reduce((sum, off) => sum + off, 0) / offs.length;
  const furthest = `furthest at ${short(spec.x[worst])}: you drew ${short(guess[worst])}, it is ${short(truth[worst])}`;
  return { share, text: `On average ${Math.round(100 * share)} % of the axis off${share < 0.02 ? "" : `; ${furthest}`}.` };
}

// Each way to answer gives {value(): guess or undefined, lock(), show(truth)}; `told(text)` says it aloud.
function number(form, spec, told) {
  const { place, value } = scale(spec), whole = spec.whole;
  const fit = (v) => (whole ? Math.round(v) : +v.toPrecision(3));
  const row = tag("div", form);
  const attributes = { "data-lm-suppress-shortcuts": "true", "aria-label": "your guess" };
  const range = tag("input", row, { type: "range", min: 0, max: 1, step: whole && !spec.log ? 1 / (spec.between[1] - spec.between[0]) : 0.005, ...attributes });
  const box = tag("input", row, { type: "number", step: "any", placeholder: "?", ...attributes });
  tag("span", row, {}, spec.unit);
  const chart = svg("svg", form, { viewBox: "0 0 520 62", role: "img", "aria-label": `a scale from ${spec.between.join(" to ")} ${spec.unit}` });
  const x = (v) => 30 + 460 * Math.min(1, Math.max(0, place(v)));
  svg("path", chart, { class: "frame", d: "M30 32H490" });
  for (const mark of marks(spec, 5)) {
    svg("path", chart, { class: "frame", d: `M${x(mark)} 28V36` });
    svg("text", chart, { x: x(mark), y: 52, "text-anchor": "middle" }, short(mark));
  }
  range.value = 0.5;
  let guess, pin;
  const set = (v) => {
    guess = v;
    pin ??= svg("path", chart, { class: "yours" });
    pin.setAttribute("d", `M${x(v)} 32l-6 -14h12z`);
    told(`your guess: ${withUnit(spec, v)}`);
  };
  const put = (v) => {
    range.value = place(v);
    box.value = v;
    set(v);
  };
  range.addEventListener("input", () => ((box.value = fit(value(+range.value))), set(+box.value)));
  box.addEventListener("input", () => {
    const v = parseFloat(box.value);
    if (!Number.isFinite(v) || (spec.log && v <= 0)) return (guess = undefined);
    range.value = place(v);
    set(v);
  });
  return {
    put,
    value: () => guess,
    lock: () => row.remove(),
    show: (truth) => {
      svg("path", chart, { class: "true", d: `M${x(truth)} 8V36` });
      svg("text", chart, { x: x(truth) + (place(truth) > 0.8 ? -6 : 6), y: 12, "text-anchor": place(truth) > 0.8 ? "end" : "start" }, "it is");
    },
  };
}

function choice(form, spec, told) {
  const name = `guess-${spec.key}-${Math.random()}`, rows = new Map();
  const group = tag("div", form, { role: "radiogroup", "aria-label": "your guess" });
  let guess;
  for (const option of spec.options) {
    const row = tag("label", group);
    const input = tag("input", row, { type: "radio", name, value: option, "data-lm-suppress-shortcuts": "true" });
    tag("span", row, {}, ` ${option}`);
    input.addEventListener("change", () => ((guess = option), told(`your guess: ${option}`)));
    rows.set(option, row);
  }
  return {
    put: (option) => {
      guess = option;
      if (rows.has(option)) rows.get(option).querySelector("input").checked = true;
    },
    value: () => guess,
    lock: () => group.querySelectorAll("input").forEach((input) => (input.disabled = true)),
    show: (truth) => {
      for (const [option, row] of rows)
        if (option === truth || option === guess) tag("b", row, {}, option === truth ? " ← it is this" : " ← your guess");
    },
  };
}

function curve(form, spec, told) {
  const { place, value } = scale(spec), last = spec.x.length - 1;
  const chart = svg("svg", form, { viewBox: "0 0 520 258", style: "touch-action: none", tabindex: 0, role: "slider", "aria-valuemin": 1, "aria-valuemax": last + 1, "data-lm-suppress-shortcuts": "true",
    "aria-label": `Your curve of ${spec.labels[1]} over ${spec.labels[0]}: left and right choose a point, up and down move it` });
  const x = (i) => BOX.left + 12 + (i / last) * (BOX.width - 24);
  const y = (v) => BOX.top + BOX.height * (1 - place(v));
  svg("path", chart, { class: "frame", d: `M${BOX.left} ${BOX.top}v${BOX.height}h${BOX.width}` });
  for (const mark of marks(spec, 4)) {
    svg("path", chart, { class: "frame", d: `M${BOX.left - 4} ${y(mark)}h4` });
    svg("text", chart, { x: BOX.left - 8, y: y(mark) + 4, "text-anchor": "end" }, short(mark));
  }
  spec.x.forEach((v, i) => svg("text", chart, { x: x(i), y: BOX.top + BOX.height + 17, "text-anchor": "middle" }, short(v)));
  svg("text", chart, { x: BOX.left + BOX.width / 2, y: BOX.top + BOX.height + 36, "text-anchor": "middle" }, spec.labels[0]);
  svg("text", chart, { x: 14, y: BOX.top + BOX.height / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${BOX.top + BOX.height / 2})` }, spec.labels[1]);
  const line = svg("polyline", chart, { class: "yours" });
  let guess = spec.x.map(() => value(0.5)), moved = false, at = 0, open = true, pen = null;
  const dots = spec.x.map(() => svg("circle", chart, { class: "yours", r: 5 }));
  const draw = () => {
    line.setAttribute("points", guess.map((v, i) => `${x(i)},${y(v)}`).join(" "));
    dots.forEach((dot, i) => {
      dot.setAttribute("cx", x(i));
      dot.setAttribute("cy", y(guess[i]));
      dot.classList.toggle("here", open && i === at);
    });
  };
  const say = () => {
    const text = `point ${at + 1} of ${last + 1}, at ${short(spec.x[at])}: ${short(guess[at])}`;
    chart.setAttribute("aria-valuenow", at + 1);
    chart.setAttribute("aria-valuetext", text);
    told(text);
  };
  const set = (i, share) => {
    at = i;
    guess[i] = value(share);
    moved = true;
    draw();
    say();
  };
  const where = (event) => {
    const frame = chart.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top].map((at) => (at * 520) / frame.width);
  };
  // a stroke sets each point that it passes at the height where it passes it, and moves the one that it is close to
  const stroke = (event) => {
    if (!open || !pen) return;
    const to = where(event);
    spec.x.forEach((_, i) => {
      const passed = (to[0] - x(i)) / (to[0] - pen[0]);
      const height = to[1] + (pen[1] - to[1]) * (Math.abs(to[0] - x(i)) < 15 ? 0 : passed);
      if (Math.abs(to[0] - x(i)) < 15 || (passed > 0 && passed < 1)) set(i, 1 - (height - BOX.top) / BOX.height);
    });
    pen = to;
  };
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    pen = where(event);
    stroke(event);
  });
  chart.addEventListener("pointermove", stroke);
  for (const end of ["pointerup", "pointercancel"]) chart.addEventListener(end, () => (pen = null));
  chart.addEventListener("keydown", (event) => {
    const [side, up] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    if (!open || !(side || up)) return;
    event.preventDefault();
    event.stopPropagation();
    if (up) return set(at, place(guess[at]) + up * (event.shiftKey ? 0.1 : 0.02));
    at = Math.min(last, Math.max(0, at + side));
    draw();
    say();
  });
  draw();
  chart.setAttribute("aria-valuenow", 1);
  return {
    put: (values) => ((guess = [...values]), draw()),
    value: () => (moved ? guess : undefined),
    lock: () => {
      open = false;
      chart.setAttribute("role", "img");
      chart.removeAttribute("tabindex");
      draw();
    },
    show: (truth, committed) => {
      if (committed === null) [line, ...dots].forEach((element) => element.remove());
      svg("polyline", chart, { class: "true", points: truth.map((v, i) => `${x(i)},${y(v)}`).join(" ") });
      truth.forEach((v, i) => svg("rect", chart, { class: "true", x: x(i) - 4, y: y(v) - 4, width: 8, height: 8 }));
    },
  };
}

// The card in `parent`. "Show me" is a guess of null: it is counted, as given up.
export function card(parent, host) {
  const { spec } = host, place = tag("section", parent, { class: "snn-guess", "aria-label": "guess card" });
  function ask(record) {
    place.replaceChildren();
    tag("style", place, {}, LOOK);
    const question = tag("p", place);
    tag("b", question, {}, "Guess first. ");
    question.append(spec.question);
    const form = tag("div", place), line = tag("p", place, { "aria-live": "polite" });
    const way = { number, choice, curve }[spec.kind](form, spec, (text) => (line.textContent = text));
    const buttons = tag("div", place);
    const commit = tag("button", buttons, { type: "button" }, "Commit");
    const give = tag("button", buttons, { type: "button" }, "Show me");
    async function finish(guess) {
      buttons.remove();
      line.textContent = "…";
      const truth = await host.reveal(guess), { share, text } = verdict(spec, guess, truth.value);
      way.lock();
      way.show(truth.value, guess);
      line.textContent = record ? `Kept from before. ${text}` : text;
      if (truth.because) tag("p", place, {}, truth.because);
      if (truth.picture) tag("img", place, { src: `data:image/png;base64,${truth.picture}`, alt: truth.alt });
      tag("button", tag("div", place), { type: "button" }, "Guess anew").addEventListener("click", () => {
        host.keep(null);
        ask(null);
      });
      if (!record) host.keep({ key: spec.key, kind: spec.kind, question: spec.question, guess, share, text });
    }
    commit.addEventListener("click", () => {
      const guess = way.value();
      if (guess === undefined) line.textContent = "First set your guess, then commit to it.";
      else finish(guess);
    });
    give.addEventListener("click", () => finish(null));
    if (!record) return;
    if (record.guess !== null) way.put(record.guess);
    finish(record.guess);
  }
  ask(host.kept);
}

// How the cards of a notebook went: how many, how far off, where the reader was surprised.
export function summary(parent, records, count) {
  const place = tag("section", parent, { class: "snn-guess", "aria-label": "your guesses", "aria-live": "polite" });
  tag("style", place, {}, LOOK);
  const guessed = records.filter(({ guess }) => guess !== null), shown = records.length - guessed.length;
  if (!records.length) return tag("p", place, {}, `None of the ${count} guess cards above is answered yet.`);
  const chosen = guessed.filter(({ kind }) => kind === "choice"), measured = guessed.filter(({ kind }) => kind !== "choice");
  const words = [`You guessed ${guessed.length} of ${Math.max(count, records.length)} cards${shown ? `, and had ${shown} shown` : ""}.`];
  if (measured.length) {
    const off = measured.reduce((sum, { share }) => sum + share, 0) / measured.length;
    words.push(`Numbers and curves were ${Math.round(100 * off)} % of the scale off, on average.`);
  }
  if (chosen.length) words.push(`Of ${chosen.length} choices ${chosen.filter(({ share }) => !share).length} were right.`);
  tag("p", place, {}, words.join(" "));
  const list = tag("ul", place);
  for (const { question, guess, share, text } of [...records].sort((a, b) => b.share - a.share)) {
    const row = tag("li", list);
    tag("b", row, {}, guess === null ? "Shown: " : share > 0.25 ? "A surprise: " : share < 0.05 ? "Right: " : "Near: ");
    row.append(`${question} ${text}`);
  }
}

const filled = (value) => value !== null && Object.keys(value).length > 0;

function render({ model, el }) {
  const spec = model.get("spec");
  if (spec.kind === "summary") {
    const draw = () => {
      el.replaceChildren();
      summary(el, model.get("records"), model.get("count"));
    };
    model.on("change:records change:count", draw);
    return draw();
  }
  const tell = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const reveal = (guess) => new Promise((resolve) => {
    const look = () => {
      if (!filled(model.get("answer"))) return;
      model.off("change:answer", look);
      resolve(model.get("answer"));
    };
    model.on("change:answer", look);
    tell("guess", { value: guess });
    look();
  });
  const keep = (record) => {
    if (!record) tell("guess", {});
    tell("record", record ?? {});
  };
  card(el, { spec, kept: filled(model.get("record")) ? model.get("record") : null, reveal, keep });
}

// A page without a kernel: the truth is in the page, in base64; guesses are in the browser's own store, if it has one.
const STORE = "snn-guess:";
const memory = new Map();

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(STORE + key));
  } catch {
    return memory.get(key) ?? null;
  }
}

function store(key, record) {
  memory.set(key, record);
  try {
    record ? localStorage.setItem(STORE + key, JSON.stringify(record)) : localStorage.removeItem(STORE + key);
  } catch {} // no store on this page: the guesses last as long as it is open
  window.dispatchEvent(new Event("snn-guess"));
}

export function decode(text) {
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))));
}

export function mount(el, text) {
  const { spec, answer } = decode(text);
  el.replaceChildren();
  if (spec.kind !== "summary")
    return card(el, { spec, kept: stored(spec.key), reveal: async () => answer, keep: (record) => store(spec.key, record) });
  const draw = () => {
    el.replaceChildren();
    summary(el, spec.keys.map(stored).filter(Boolean), spec.keys.length);
  };
  window.addEventListener("snn-guess", draw);
  draw();
}

export default { render };
