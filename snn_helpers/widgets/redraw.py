"""A figure drawn again and again: numbers and names around the axes are kept as a picture until one of them changes."""

import struct
import zlib
from functools import reduce

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


class Redraw:
    """``Redraw(figure).png()``: the figure as PNG bytes, like ``plots.png``, in about half the time of a full drawing.

    Two thirds of that time matplotlib spends on ticks and their labels, and a move of a slider rarely changes them.
    They are dark on white where nothing else is drawn, so the darker of two pixels joins them with the rest.
    """

    def __init__(self, figure):
        self.figure, self.canvas = figure, FigureCanvasAgg(figure)
        self.kept = {}  # axis -> what its ticks say, and a picture of them
        self.around = None  # all of these pictures in one

    def png(self):
        """Draw what is in the axes anew, and around them what has changed."""
        shown = [axis for ax in self.figure.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_visible()]
        for axis in shown:
            axis.set_visible(False)
        try:
            self.canvas.draw()
        finally:
            for axis in shown:
                axis.set_visible(True)
        pixels = self._pixels()
        before, self.kept = self.kept, {axis: self._ticks(axis) for axis in shown if axis.axes.axison}
        if [*map(id, before.values())] != [*map(id, self.kept.values())]:
            self.around = reduce(np.minimum, (picture for _, picture in self.kept.values()), pixels | 255)
        pixels = np.minimum(pixels, self.around)
        return _png(pixels)

    def _ticks(self, axis):
        places = axis.get_majorticklocs()
        names = axis.get_major_formatter().format_ticks(places)
        says = [axis.get_label_text(), *names, *places, *axis.get_minorticklocs(), *axis.axes.get_position().bounds]
        if len(places):
            says += [*axis.get_view_interval()]
        if axis in self.kept and self.kept[axis][0] == says:
            return self.kept[axis]
        self.figure.patch.draw(self.canvas.get_renderer())
        axis.draw(self.canvas.get_renderer())
        return says, self._pixels()

    def _pixels(self):
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def _png(pixels):
    """[height, width, 3] as PNG (the format's first and plainest kind), compressed lightly.

    Pillow looks for the best of five filters in every row, which takes three times as long as all of this.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # the 0 before each row: no filter
    rows[:, 1:] = pixels.reshape(height, -1)
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
