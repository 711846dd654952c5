// A digit in which a pixel is picked: with the pointer, or with the arrow keys once the picture has the focus.

const SIDE = 28; // pixels of a digit, each way
const CELL = 7; // of the screen, for each of them
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// The picker in `parent`; `picked(row, column)` is called when the reader has chosen another pixel.
export function picker(parent, picked) {
  const canvas = tag("canvas", parent, {
    width: SIDE * CELL,
    height: SIDE * CELL,
    tabindex: 0,
    role: "application",
    "aria-label": "A digit: click a pixel, or move from pixel to pixel with the arrow keys",
    "data-lm-suppress-shortcuts": "true",
    style: `width:${SIDE * CELL}px; height:${SIDE * CELL}px; margin:6px; cursor:crosshair; outline-offset:2px`,
  });
  const context = canvas.getContext("2d");
  const state = { pixels: new Uint8Array(SIDE * SIDE), row: 0, column: 0 };

  function show(change) {
    Object.assign(state, change);
    state.pixels.forEach((value, i) => {
      context.fillStyle = `rgb(${value}, ${value}, ${value})`;
      context.fillRect((i % SIDE) * CELL, Math.floor(i / SIDE) * CELL, CELL, CELL);
    });
    const [x, y] = [state.column * CELL, state.row * CELL];
    for (const [colour, out] of [["#000", 2], ["#E69F00", 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.strokeRect(x - out, y - out, CELL + 2 * out, CELL + 2 * out);
    }
  }

  function go(row, column) {
    const [r, c] = [row, column].map((place) => Math.min(SIDE - 1, Math.max(0, place)));
    if (r === state.row && c === state.column) return;
    show({ row: r, column: c });
    picked(r, c);
  }

  canvas.addEventListener("pointerdown", (event) => {
    const box = canvas.getBoundingClientRect();
    const place = (at, start, length) => Math.floor(((at - start) / length) * SIDE);
    go(place(event.clientY, box.top, box.height), place(event.clientX, box.left, box.width));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    go(state.row + step[0], state.column + step[1]);
  });
  show({});
  return { canvas, show, state };
}

function render({ model, el }) {
  const view = picker(el, (row, column) => {
    model.set("row", row);
    model.set("column", column);
    model.save_changes();
  });
  const follow = () => {
    const { buffer, byteOffset, byteLength } = model.get("pixels");
    view.show({
      pixels: new Uint8Array(buffer, byteOffset, byteLength),
      row: model.get("row"),
      column: model.get("column"),
    });
  };
  model.on("change:pixels change:row change:column", follow);
  follow();
}

export function mount(el, pixels) {
  const view = picker(el, () => {});
  view.show({ pixels: Uint8Array.from(pixels) });
  return view;
}

export default { render };
