"""A figure drawn again and again: what stands around its axes is kept as a picture until it changes."""

import struct
import zlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


class Redraw:
    """``Redraw(figure).png()``: the figure as PNG bytes, like ``plots.png``, in a fraction of a full drawing's time.

    Most of that time matplotlib spends on titles, ticks and their labels, and a move of a slider rarely changes them.
    They are dark on white where nothing else is drawn, so the darker of two pixels joins them with the rest.
    """

    def __init__(self, figure):
        self.figure, self.canvas = figure, FigureCanvasAgg(figure)
        self.kept = {}  # title or axis -> what it says, where its picture belongs, and the picture

    def png(self):
        """Draw what is in the axes anew, and around them what has changed."""
        shown = [artist for ax in self.figure.axes for artist in _around(ax) if artist.get_visible()]
        for artist in shown:
            artist.set_visible(False)
        try:
            self.canvas.draw()
        finally:
            for artist in shown:
                artist.set_visible(True)
        pixels = self._pixels().copy()
        self.kept = {artist: self._picture(artist) for artist in shown}
        for _, place, picture in self.kept.values():
            np.minimum(pixels[place], picture, out=pixels[place])
        return _png(pixels)

    def _picture(self, artist):
        says = _says(artist)
        if artist in self.kept and self.kept[artist][0] == says:
            return self.kept[artist]
        self.figure.patch.draw(self.canvas.get_renderer())
        artist.draw(self.canvas.get_renderer())
        pixels = self._pixels()
        place = _box(pixels.view(np.uint32)[..., 0] != 0xFFFFFFFF)
        return says, place, pixels[place].copy()

    def _pixels(self):
        return np.asarray(self.canvas.buffer_rgba())


def _box(dark):
    """The smallest rectangle of [height, width] that holds all that is True, as two slices."""
    ends = (np.flatnonzero(dark.any(axis=axis))[[0, -1]] if dark.any() else (0, -1) for axis in (1, 0))
    return tuple(slice(first, last + 1) for first, last in ends)


def _around(ax):
    """What stands around an Axes: its titles, and its two axes unless they are switched off."""
    titles = [text for text in ax.get_children() if isinstance(text, Text) and text.get_text() and text not in ax.texts]
    return [*titles, *((ax.xaxis, ax.yaxis) if ax.axison else ())]


def _says(artist):
    """What the picture of a title or an axis depends on, once the figure's layout stands."""
    stands = artist.axes.bbox.bounds
    if isinstance(artist, Text):
        return [artist.get_text(), artist.get_color(), *artist.get_position(), *stands]
    places = artist.get_majorticklocs()  # the ticks between them follow from the view
    names = artist.get_major_formatter().format_ticks(places)
    return [artist.get_label_text(), *names, *places, *(artist.get_view_interval() if len(places) else ()), *stands]


def _png(pixels):
    """[height, width, 4] as PNG, compressed lightly.

    Pillow looks for the best of five filters in every row, which takes three times as long as all of this.
    """
    height, width, _ = pixels.shape
    pixels = pixels.reshape(height, -1)
    rows = np.full((height, 1 + 4 * width), 2, np.uint8)  # the 2 before each row: what differs from the row above
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
