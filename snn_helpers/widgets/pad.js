// A pad to draw a digit on, by pointer or touch; what was drawn goes to the kernel when the pen is lifted.

const SIDE = 112; // pixels of the drawing, four for each of MNIST's
const PEN = 9; // as thick as MNIST's strokes, once the digit is 20 pixels high

// The pad in `parent`; `done(base64)` gets the drawing, SIDE x SIDE bytes row by row, or "" after Clear.
export function pad(parent, done) {
  const row = tag("div", parent, { style: "display:flex; align-items:center; gap:10px; margin:4px 0" });
  const canvas = tag("canvas", row, {
    width: SIDE,
    height: SIDE,
    role: "img",
    "aria-label": "Draw a digit here with mouse, pen or finger; by keyboard, choose a digit and move it with the sliders",
    style: "width:168px; height:168px; background:#000; border:1px solid #767676; touch-action:none; cursor:crosshair",
  });
  const side = tag("div", row);
  tag("div", side, { style: "max-width:16em" }, "Draw a digit, as large as the field.");
  const clear = tag("button", side, { type: "button", style: "margin-top:8px; padding:4px 14px" }, "Clear");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#fff", fillStyle: "#000" });
  let last = null;

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  function stroke(to) {
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  }

  function wipe() {
    context.fillRect(0, 0, SIDE, SIDE);
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke([last[0] + 0.01, last[1]]);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => last && (event.getCoalescedEvents?.() ?? [event]).forEach((e) => stroke(place(e))));
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => {
      if (!last) return;
      last = null;
      const { data } = context.getImageData(0, 0, SIDE, SIDE);
      let text = "";
      for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
      done(btoa(text));
    });
  clear.addEventListener("click", () => (wipe(), done("")));
  wipe();
  return { canvas, wipe };
}

function render({ model, el }) {
  const view = pad(el, (drawing) => {
    model.set("value", drawing);
    model.save_changes();
  });
  model.on("change:value", () => model.get("value") === "" && view.wipe());
}

export function mount(el) {
  const view = { ...pad(el, (drawing) => (view.value = drawing)), value: "" };
  return view;
}

export default { render };
