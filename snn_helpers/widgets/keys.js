// What ipywidgets leaves out for the keyboard: JupyterLab takes arrows and letters from a list or slider that has the
// focus unless it is told not to, and a slider's handle has no name for a screen reader.

function tend(explorer) {
  for (const control of explorer.querySelectorAll("select, input, [role=slider]")) {
    if (control.dataset.lmSuppressShortcuts) continue;
    control.dataset.lmSuppressShortcuts = "true";
    const label = control.closest(".widget-inline-hbox")?.querySelector(".widget-label")?.textContent;
    if (label && !control.hasAttribute("aria-label")) control.setAttribute("aria-label", label);
  }
}

function render({ el }) {
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
