// What ipywidgets leaves out for the keyboard: JupyterLab takes arrows and letters from a list or slider that has the
// focus unless it is told not to, and neither a slider's handle nor the box beside it
// has a name for a screen reader.

// The first label in an element that says something.
function labelIn(element) {
  return [...(element?.querySelectorAll(".widget-label") ?? [])].map((label) => label.textContent).find(Boolean);
}

function tend(explorer) {
  for (const control of explorer.querySelectorAll("select, input, [role=slider], .widget-readout")) {
    if (control.dataset.lmSuppressShortcuts) continue;
    control.dataset.lmSuppressShortcuts = "true";
    // a box to type in has no label of its own: it is called as the slider in its row
    const label = labelIn(control.closest(".widget-inline-hbox")) ?? labelIn(control.closest(".widget-hbox"));
    if (label && !control.hasAttribute("aria-label")) control.setAttribute("aria-label", label);
  }
}

// Pictures drawn in Python are black on white: on a dark page each stands on a card.
const CARD = ".snn-explorer img { background: #fff; padding: 6px; border-radius: 6px; }";

function render({ el }) {
  const style = document.createElement("style");
  style.textContent = CARD;
  el.append(style);
  const explorer = () => el.closest(".snn-explorer");
  const watcher = new MutationObserver(() => tend(explorer()));
  const start = () => {
    if (!explorer()) return requestAnimationFrame(start); // not on the page yet
    watcher.observe(explorer(), { childList: true, subtree: true });
    tend(explorer());
  };
  start();
  return () => watcher.disconnect();
}

export default { render };
