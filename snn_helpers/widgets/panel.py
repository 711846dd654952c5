"""What every explorer is: controls over a picture, and in a saved notebook a static strip in its place.

A ``Panel`` is drawn in Python, by a pure function. An ``InBrowser`` draws itself, by a module of JavaScript that knows
the same formulas; its controls are linked to it in the browser, so that a move never waits for the kernel.
"""

import html
from importlib.resources import files

import anywidget
import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snn_helpers import plots
from snn_helpers.widgets.redraw import Redraw


class Keys(anywidget.AnyWidget):
    """Not seen: lets the keyboard and screen readers reach the controls of the explorer that it is part of."""

    _esm = (files(__package__) / "keys.js").read_text(encoding="utf-8")


class Explorer(ipywidgets.VBox):
    """Rows of widgets; in a saved notebook a static strip in their place.

    Parameters
    ----------
    children : the widgets, from top to bottom
    strip : ``strip() -> Figure``: small multiples over a control's range, for readers without a kernel
    sentence : what the strip shows: alt text, and one line under the picture
    """

    def __init__(self, children, *, strip, sentence):
        self.strip, self.sentence = strip, sentence
        super().__init__([*children, Keys(layout=ipywidgets.Layout(height="0"))])
        self.add_class("snn-explorer")

    def _ipython_display_(self):
        figure = self.strip()
        data = {**super()._repr_mimebundle_(), "image/png": plots.png(figure), "text/plain": self.sentence}
        plt.close(figure)
        display(data, raw=True, metadata={"image/png": {"alt": self.sentence}})
        # live, another picture stands there than the one that the sentence is about: an empty box in its place
        sentence = {"text/markdown": f"*{self.sentence}*", "text/plain": self.sentence}
        display({**ipywidgets.Box()._repr_mimebundle_(), **sentence}, raw=True)


class Panel(Explorer):
    """Sliders, a headline and a picture that follows them.

    Parameters
    ----------
    draw : ``draw(axes, **values) -> headline``: draws on cleared axes, returns one line of text with the key number.
        A pure function of the values of the controls: the same values, the same picture
    controls : dict name -> control, made by ``slider`` or ``choice``
    layout : ``layout(figure) -> axes`` (an Axes, or a dict or array of them); made once and reused
    strip, sentence : as in ``Explorer``
    size : of the live figure in inches
    """

    def __init__(self, draw, controls, *, layout=lambda figure: figure.subplots(), strip, sentence, size=(8, 3.2)):
        plots.use_style()
        self.draw, self.controls = draw, controls
        self.figure = Figure(figsize=size)
        self.axes = layout(self.figure)
        for ax in _each(self.axes):
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_major_locator().set_params(nbins=5)  # a few numbers are enough, and each takes time to draw
        self._redraw = None
        self.headline = ipywidgets.HTML()
        # on a phone it keeps a width at which it can be read, and is pushed sideways
        least = f"{min(560, size[0] * self.figure.dpi):.0f}px"
        shape = ipywidgets.Layout(max_width="100%", min_width=least, object_fit="contain")
        self.image = ipywidgets.Image(format="png", layout=shape)
        for control in controls.values():  # before the boxes are tied to them: the picture goes first
            control.observe(lambda _: self.update(), "value")
        rows = ipywidgets.Box([_row(c) for c in controls.values()], layout=ipywidgets.Layout(flex_flow="row wrap"))
        pushed = ipywidgets.Box([self.image], layout=ipywidgets.Layout(overflow="auto"))
        super().__init__([rows, self.headline, pushed], strip=strip, sentence=sentence)
        self.update()

    def values(self):
        """The controls' values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def update(self):
        """Draw anew from the controls' values. An error shows in the headline, where the learner is looking."""
        try:
            for ax in _each(self.axes):
                _wipe(ax)
            text = self.draw(self.axes, **self.values())
            if not self._redraw:  # once, then the axes stay where they are (and drawing is quick)
                self.figure.draw_without_rendering()
                self.figure.set_layout_engine("none")
                self._redraw = Redraw(self.figure)
            self.image.value = self._redraw.png()
        except Exception as error:
            text = f"⚠ {type(error).__name__}: {error}"
        self.headline.value = f'<div aria-live="polite" style="line-height: normal"><b>{html.escape(text)}</b></div>'


class InBrowser(Explorer):
    """An explorer that the browser draws: ``InBrowser(canvas, controls)``, controls linked to their namesakes there.

    canvas : an anywidget; a control without a trait of its name is the caller's to watch
    controls : dict name -> control, made by ``slider`` or ``choice``
    """

    def __init__(self, canvas, controls, *, strip, sentence):
        self.canvas, self.controls, self.links = canvas, controls, []
        for name, control in controls.items():
            chosen = isinstance(control, ipywidgets.Dropdown)
            if not chosen:
                control.readout, control.layout.width = True, "28em"  # its own box to type in: it needs no kernel
            if canvas.has_trait(name):
                self.links.append(ipywidgets.jslink((control, "index" if chosen else "value"), (canvas, name)))
        rows = ipywidgets.Box(list(controls.values()), layout=ipywidgets.Layout(flex_flow="row wrap"))
        super().__init__([rows, canvas], strip=strip, sentence=sentence)


def module(name):
    """The JavaScript of an explorer: what they share, then its own file, as one module."""
    here = files(__package__)
    return "\n".join((here / f"{part}.js").read_text(encoding="utf-8") for part in ("canvas", name))


def slider(label, value, low, high, step, *, unit=""):
    """A slider; Panel puts a box to type in beside it. Whole numbers if all four are."""
    whole = all(isinstance(number, int) for number in (value, low, high, step))
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(
        value,
        min=low,
        max=high,
        step=step,
        description=f"{label} [{unit}]" if unit else label,
        readout=False,
        continuous_update=True,
        style={"description_width": "9em"},
        layout=ipywidgets.Layout(width="24em"),
    )


def choice(label, options, value=None):
    """One of a few: options is a list, or a dict of what is shown -> what is meant."""
    return ipywidgets.Dropdown(
        options=options,
        description=label,
        style={"description_width": "9em"},
        layout=ipywidgets.Layout(width="24em", max_width="100%"),
        **({} if value is None else {"value": value}),
    )


def round_limits(low, high, n=4, **how):
    """Limits of an axis at round numbers, about ``n`` intervals apart; ``how`` as in matplotlib's MaxNLocator.

    They stay where they are while the values between them move: steady for the eye, and no ticks to draw anew.
    """
    return tuple(MaxNLocator(n, **how).tick_values(float(low), float(high))[[0, -1]])


def keep_left(figure, share=0.08):
    """The figure, with room on its left for names of rows that come later: its layout stands from the first drawing."""
    figure.get_layout_engine().set(rect=(share, 0, 1 - share, 1))
    return figure


def _row(control):
    cell = ipywidgets.Layout(width="31em")  # all the same, so that they line up in columns where there is room
    if not isinstance(control, (ipywidgets.IntSlider, ipywidgets.FloatSlider)):
        return ipywidgets.HBox([control], layout=cell if isinstance(control, ipywidgets.Dropdown) else {})
    whole = isinstance(control, ipywidgets.IntSlider)
    kind = ipywidgets.BoundedIntText if whole else ipywidgets.BoundedFloatText
    box = kind(
        control.value, min=control.min, max=control.max, step=control.step, layout=ipywidgets.Layout(width="5.5em")
    )
    # the browser's slider says 10.000000000000002 where 10 was meant; only what is typed goes back from the box,
    # or each such move would draw twice
    ipywidgets.dlink((control, "value"), (box, "value"), lambda value: round(value, 6))

    def typed(change):
        if change.new != round(control.value, 6):
            control.value = change.new

    box.observe(typed, "value")
    return ipywidgets.HBox([control, box], layout=cell)


def _wipe(ax):
    """Take what was drawn off an Axes. Unlike ``ax.clear()`` this keeps the ticks, which cost more than the drawing."""
    for picture in ax.images:
        if picture.colorbar:
            picture.colorbar.remove()
    for artist in (*ax.lines, *ax.patches, *ax.collections, *ax.images, *ax.texts, *ax.artists, *ax.child_axes):
        artist.remove()
    if ax.get_legend():
        ax.get_legend().remove()
    ax.containers.clear()
    ax.set_prop_cycle(None)
    ax.relim()
    ax.autoscale(True)


def _each(axes):
    if hasattr(axes, "clear") and not isinstance(axes, dict):
        return [axes]
    return list(axes.values()) if isinstance(axes, dict) else list(axes.flat)
