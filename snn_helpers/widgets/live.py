"""Pictures that grow while a network trains."""

import time

import ipywidgets
import torch
from matplotlib.figure import Figure

from snn_helpers import plots
from snn_helpers.widgets.classifier import race


class LiveHistory(ipywidgets.Image):
    """``live = LiveHistory(); display(live); fit(..., on_step=live)``: loss and accuracy, one Image updated in place.

    Redraws at most twice a second, so that drawing takes a small share of the training time, and whenever the network
    was judged.
    """

    def __init__(self):
        super().__init__(format="png")
        self._figure = Figure(figsize=(8, 2.4))
        self._ax = self._figure.subplots()
        self._drawn, self._judged = 0.0, 0

    def __call__(self, history):
        news = len(history.test_accuracy) != self._judged
        if time.monotonic() - self._drawn < 0.5 and not news:
            return
        self._judged = len(history.test_accuracy)
        self._ax.clear()
        plots.history(history.loss, self._ax, accuracy=history.test_accuracy, test_step=history.test_step)
        self.value = plots.png(self._figure, live=True)
        self._drawn = time.monotonic()


class LiveTemplates(ipywidgets.Image):
    """``live = LiveTemplates(net, digit, encode); display(live)``, then ``live(loss)`` after each batch, in the loop.

    The weights of each output neuron as a picture, and the vote race over one test digit, in one Image updated in
    place, at most twice a second. ``strip()`` is a Figure of a few moments for readers without a kernel.

    net : a single-layer SNN, which the loop trains in place
    digits : data.Digits, of which the first is voted on
    encode : images -> the network's input; drawn once, and the random draws of the loop stay what they are
    moments : the numbers of batches after which the weights are kept for the strip; those at the end are kept too
    scale : the weight of the strongest colour
    """

    def __init__(self, net, digits, encode, *, moments=(0, 5, 20), scale=0.1):
        super().__init__(format="png")
        self._net, self._label, self._moments, self._scale = net, digits.labels[0].item(), moments, scale
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._input = encode(digits.first(1).pixels)
        self._figure = Figure(figsize=(9, 2.6))
        self._axes = self._figure.subplots(1, 2, width_ratios=(2.4, 1))
        self._drawn, self.loss, self._kept = 0.0, [], {}
        self._keep()
        self._draw()

    def __call__(self, loss):
        self.loss.append(loss.item())
        if len(self.loss) in self._moments:
            self._keep()
        if time.monotonic() - self._drawn > 0.5:
            self._draw()

    def strip(self):
        """The templates and the race at a few moments, from top to bottom, as a Figure."""
        self._keep()
        moments = [*(step for step in self._moments if step in self._kept), len(self.loss)]
        moments = sorted(set(moments))
        figure = Figure(figsize=(9.5, 1.25 * len(moments)))
        for row, step in zip(figure.subplots(len(moments), 2, width_ratios=(5, 1)), moments, strict=True):
            weight, spikes = self._kept[step]
            picture = self._templates(weight, row[0], 10, f"after {step} batch{'es' * (step != 1)}")
            race(spikes, row[1], self._label)
            last = step == moments[-1]
            row[1].set(ylim=(-2, 1.05 * len(spikes)), yticks=(0, len(spikes)), title="", ylabel="spikes")
            row[1].set(xlim=(0, 1.2 * len(spikes)), xticks=(0, len(spikes) - 1), xlabel="time step" if last else "")
        figure.colorbar(picture, ax=[ax for ax in figure.axes[::2]], label="weight", location="left", shrink=0.6)
        return figure

    def _keep(self):
        with torch.no_grad():
            spikes = self._net(self._input)[-1].spikes[:, 0]
        self._kept[len(self.loss)] = self._net.layers[0][1].weight.detach().clone(), spikes

    def _draw(self):
        with torch.no_grad():
            spikes = self._net(self._input)[-1].spikes[:, 0]
        for ax in self._axes:
            ax.clear()
        says = f"batch {len(self.loss)}: loss {self.loss[-1]:.4f}" if self.loss else "before the first batch"
        self._templates(self._net.layers[0][1].weight.detach(), self._axes[0], 5, says)
        race(spikes, self._axes[1], self._label)
        self._axes[1].set(ylim=(-2, 1.05 * len(spikes)))
        self.value = plots.png(self._figure, live=True)
        self._drawn = time.monotonic()

    def _templates(self, weight, ax, columns, title):
        limits = dict(cmap="BrBG", vmin=-self._scale, vmax=self._scale)
        plots.tiles(weight.view(-1, 28, 28), ax, columns=columns, **limits).set_title(title)
        return ax.images[-1]
