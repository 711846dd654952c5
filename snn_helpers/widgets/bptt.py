"""The stepper of notebook 04: backpropagation through time, clicked through node by node.

Every number in it is computed here; bptt.js only draws them.
"""

from typing import NamedTuple

import anywidget
import matplotlib.pyplot as plt
import traitlets

from snn_helpers import plots
from snn_helpers.widgets.panel import InBrowser, choice, module, slider

# neuron 1 gets x, neuron 2 gets the spikes of neuron 1, the loss counts those of neuron 2
X, W, V, BETA, SLOPE, TARGET = (1.0, 1.0, 1.0), 0.9, 1.1, 0.8, 5.0, 2
RESETS = {"detached": False, "in the graph": True}


class Graph(NamedTuple):
    """The unrolled graph: ``values`` (node -> number), ``edges`` ((start, end) -> (symbol, d end / d start)),
    ``order`` of the nodes from the loss back, ``gradients`` (node -> d loss / d node)."""

    values: dict
    edges: dict
    order: list
    gradients: dict


def unrolled(attached=False, x=X, w=W, v=V, beta=BETA, slope=SLOPE, target=TARGET):
    """The Graph of the two neurons, in plain numbers; ``attached``: the reset lets its gradient through."""
    values, edges, order = {"w": w, "v": v}, {}, ["w", "v"]
    for t, arrives in enumerate(x, 1):
        for n, weight in (1, "w"), (2, "v"):
            U, S, U_before, S_before = (f"{name}{n}[{at}]" for at in (t, t - 1) for name in "US")
            values[U] = beta * values.get(U_before, 0) + values[weight] * arrives - values.get(S_before, 0)
            values[S] = float(values[U] > 1)
            edges[weight, U] = (f"x[{t}]" if n == 1 else f"S1[{t}]", arrives)
            if n == 2:
                edges[f"S1[{t}]", U] = ("v", v)
            if t > 1:
                edges[U_before, U] = ("β", beta)
                edges[S_before, U] = ("-θ", -1) if attached else ("cut", 0)
            edges[U, S] = (SIGMA, 1 / (1 + slope * abs(values[U] - 1)) ** 2)
            order += [U, S]
            arrives = values[S]
    values["N"] = sum(values[f"S2[{t}]"] for t in range(1, len(x) + 1))
    values["L"] = (values["N"] - target) ** 2 / 2
    edges |= {(f"S2[{t}]", "N"): ("1", 1) for t in range(1, len(x) + 1)}
    edges["N", "L"] = ("N - y", values["N"] - target)
    gradients, order = {"L": 1.0}, ["L", "N", *reversed(order)]
    for node in order[1:]:  # the chain rule: everything it leads to has its gradient already
        gradients[node] = sum(factor * gradients[end] for (start, end), (_, factor) in edges.items() if start == node)
    return Graph(values, edges, order, gradients)


COLUMNS, WIDTH, HEIGHT = (70, 300, 530), 680, 480
ROWS = {"S2": 120, "U2": 215, "S1": 310, "U1": 405}
SIGMA, DIGITS = "\u03c3'", str.maketrans("12", "₁₂")


def position(node):
    """Where a node is drawn: (x, y) in a field of 680 x 480. A weight stands beside each of its uses."""
    if node in "LN":
        return COLUMNS["NL".index(node) + 1], 30
    return COLUMNS[int(node[3]) - 1], ROWS[node[:2]]


def named(node):
    """``U1[2]`` as it is read: with the neuron's number below."""
    return node[0] + node[1:2].translate(DIGITS) + node[2:]


def stages(graph):
    """What each click computes: {node, edges it leads on by, line}; the loss first, the weights last."""
    found = []
    for node in graph.order:
        walked = {pair: edge for pair, edge in graph.edges.items() if pair[0] == node and edge[0] != "cut"}
        if node == "L":
            cut = any(symbol == "cut" for symbol, _ in graph.edges.values())
            line = f"L = ½ (N - y)² = {shown(graph.values['L'])}. The way back starts here, with 1. "
            line += "The lines of the reset are cut." if cut else "The lines of the reset lead back too."
        else:
            name, result = f"∂L/∂{named(node)}", shown(graph.gradients[node])
            symbols = " + ".join(f"{symbol_of(symbol)} · ∂L/∂{named(end)}" for (_, end), (symbol, _) in walked.items())
            pairs = ((factor, graph.gradients[end]) for (_, end), (_, factor) in walked.items())
            numbers = " + ".join(" · ".join(map(bracketed, map(shown, pair))) for pair in pairs)
            line = f"{name} = {symbols} = {numbers} = {result}"
        found.append({"node": node, "edges": [list(pair) for pair in walked], "line": line})
    return found


def symbol_of(symbol):
    return bracketed(named(symbol) if "[" in symbol else symbol)


def bracketed(text):
    return f"({text})" if "-" in text else text


def shown(number):
    """A number in three decimals at most, and no -0."""
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def drawn(attached):
    """All that bptt.js needs for one of the two ways to treat the reset."""
    graph = unrolled(attached)
    nodes = {
        node: {"name": named(node), "value": shown(graph.values[node]), "gradient": shown(graph.gradients[node])}
        for node in graph.order
    }
    for node in graph.order[:-2]:
        nodes[node]["at"] = position(node)
    edges = [
        {"start": start, "end": end, "symbol": symbol_of(symbol).strip("()"), "factor": shown(factor)}
        for (start, end), (symbol, factor) in graph.edges.items()
    ]
    return {"nodes": nodes, "edges": edges, "stages": stages(graph)}


class Stepper(anywidget.AnyWidget):
    """The picture of ``bptt_explorer``; ``back`` is the number of clicks, ``reset`` a place in RESETS."""

    _esm = module("bptt")
    data = traitlets.Dict().tag(sync=True)
    back = traitlets.Int(0).tag(sync=True)
    reset = traitlets.Int(0).tag(sync=True)


def bptt_data():
    """What bptt.js draws: the field's size, and the graph for each of RESETS."""
    return {"size": [WIDTH, HEIGHT], "resets": list(RESETS), "ways": [drawn(attached) for attached in RESETS.values()]}


def bptt_explorer():
    """Two neurons, three steps: walk from the loss back to the weights, one node a click, each edge with its factor."""
    data = bptt_data()
    controls = {
        "back": slider("steps back", 0, 0, len(data["ways"][0]["stages"]) - 1, 1),
        "reset": choice("the reset is", list(RESETS)),
    }
    full = {name: unrolled(attached).gradients for name, attached in RESETS.items()}
    return InBrowser(
        Stepper(data=data),
        controls,
        strip=_strip_stepper,
        sentence="Two neurons over three steps, every edge with its factor, every node with its value and, below it, "
        "the gradient that reached it. Detached, the reset's edges are cut (dotted): dL/dw = "
        f"{shown(full['detached']['w'])}, dL/dv = {shown(full['detached']['v'])}. In the graph, they carry -1, and the "
        f"same spikes give dL/dw = {shown(full['in the graph']['w'])}, dL/dv = {shown(full['in the graph']['v'])}.",
    )


def _strip_stepper():
    figure = plt.figure(figsize=(12.6, 4.4), layout="none")
    axes = figure.subplots(1, 2, gridspec_kw=dict(left=0.01, right=0.99, bottom=0.01, top=0.93, wspace=0.04))
    for ax, (name, attached) in zip(axes, RESETS.items(), strict=True):
        _draw_graph(drawn(attached), ax)
        ax.set_title(f"the reset is {name}")
    return figure


def _draw_graph(data, ax):
    """The whole graph at the end of the way back."""
    nodes = data["nodes"]
    for edge in data["edges"]:
        (x, y), (to_x, to_y), share = _line(edge, nodes)
        cut = edge["symbol"] == "cut"
        ax.plot([x, to_x], [y, to_y], color="0.5", linestyle=":" if cut else "-", linewidth=1, zorder=1)
        plain = cut or edge["symbol"] == "1"
        text = edge["symbol"] if plain else f"{edge['symbol']} = {edge['factor']}"
        style = dict(fontsize=7, ha="center", va="center", bbox=dict(facecolor="white", edgecolor="none", pad=0.5))
        ax.text(x + share * (to_x - x), y + share * (to_y - y), text, **style)
        if "at" not in nodes[edge["start"]]:
            ax.text(x, y, nodes[edge["start"]]["name"], fontsize=9, ha="left", va="center", weight="bold")
    for node in nodes.values():
        if "at" in node:
            box = dict(boxstyle="round", facecolor="white", edgecolor=plots.COLORS["membrane"])
            text = f"{node['name']} = {node['value']}\n{node['gradient']}"
            ax.text(*node["at"], text, fontsize=7.5, ha="center", va="center", bbox=box, zorder=3)
    sums = "   ".join(f"∂L/∂{name} = {nodes[name]['gradient']}" for name in "wv")
    ax.text(WIDTH, HEIGHT - 12, sums, fontsize=9, ha="right", va="center", color=plots.COLORS["threshold"])
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    ax.axis("off")


def _line(edge, nodes):
    """Where an edge begins and ends, and the share of the way at which its factor is written."""
    to = nodes[edge["end"]]["at"]
    start = nodes[edge["start"]].get("at")
    if start is None:
        return (to[0] + 120, to[1] + 46), to, 0.38
    return start, to, 0.33 if edge["start"][0] == "S" and start[0] != to[0] else 0.5
