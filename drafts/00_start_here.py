# %% [markdown]
# # 00 · Start here
#
# **The question: what will you see in this series, and is everything ready for it?**
#
# **You will do:** check your set-up, move a slider, follow one spike from a pixel to a vote, solve a first exercise.
# **You will learn:** the words and symbols of the series, and how its notebooks work.
# **You need:** some Python. No network connection, no GPU, no knowledge of neurons.
#
# Read: about 10 min · runs in about **5 s** on two cores
#
# Run a cell with Shift + Enter; *Run → Run All Cells* runs them all. The pictures below were saved with the notebook, so you can also just read.

# %% [markdown]
# ## Is everything ready?
#
# One line each: the versions, where the handwritten digits come from, and the device.

# %%
import platform
import sys

import matplotlib.pyplot as plt
import numpy as np
import torch

from snn_helpers import data, encoding, networks, neurons, plots, widgets
from snn_helpers.exercises import check, hint

plots.use_style()
digits = data.mnist(train=False, root="bundled")
print(digits.source)

# %% tags=["nbval-ignore-output"]
assert sys.version_info >= (3, 11)
print(f"Python {platform.python_version()}, torch {torch.__version__.split('+')[0]}")
gpu = "a GPU is there too, but" if torch.cuda.is_available() else "no GPU found, and none is needed:"
print(f"device: {gpu} the notebooks run on the CPU")

# %% [markdown]
# The lessons use 10,000 real digits that came with the package, so that your pictures match these. If you want all 70,000 of MNIST, `python -m snn_helpers download` fetches them once; nothing here needs it.
#
# ### Do sliders work?
#
# Drag the slider, use the arrow keys, or type a number into the box. The marks should follow.

# %%
widgets.hello_explorer()

# %% [markdown]
# <details><summary>You see a picture but no slider, or the slider does nothing</summary>
#
# - **A picture only:** this is the saved form; run the cell. On a web page that shows notebooks there is no Python behind it, so it stays a picture.
# - **A line of text instead of a slider:** the front end has no widget support. Open the notebook in JupyterLab started by `make lab`, or install `ipywidgets` in the environment that JupyterLab itself runs in.
# - **The slider moves, the picture does not:** the kernel is gone or busy. *Kernel → Restart Kernel and Run All Cells*.
#
# </details>
#
# ## Four clocks that are easy to mix up
#
# A **time step** is one tick of the simulated neuron. It becomes **milliseconds** only when you say how long a step is, $dt$. A **batch** is a handful of images that go through the network side by side, all their steps included. An **epoch** is once through all training images.

# %%
images, batch, steps, dt = 8000, 128, 50, 1.0
batches = -(-images // batch)
clocks = [
    (batches, f"an epoch:\n{images:,} images in {batches} batches", "0.8"),
    (batch, f"a batch:\n{batch} images, side by side", "#56B4E9"),
    (steps, f"an image:\n{steps} steps, {steps * dt:.0f} ms if dt = {dt:.0f} ms", plots.COLORS["input"]),
]
figure, axes = plt.subplots(3, 1, figsize=(9, 3))
for row, (ax, (parts, text, colour)) in enumerate(zip(axes, clocks, strict=True)):
    cells = ax.bar(np.arange(parts), 1, width=0.8, align="edge", color=colour)
    ax.set(xlim=(0, parts), ylim=(0, 1), xticks=[], yticks=[], frame_on=False)
    ax.set_ylabel(text, rotation=0, ha="right", va="center")
    if row < 2:
        cells[parts // 3].set_color("black")  # this one is the row below
        for x, corner in (parts // 3, 0), (parts // 3 + 0.8, clocks[row + 1][0]):
            ax.annotate("", (corner, 1), (x, 0), axes[row + 1].transData, "data", {"arrowstyle": "-"})
plots.show(
    figure,
    f"Three nested clocks: the black cell of each row is the whole row below it. An epoch is {batches} "
    f"batches, a batch {batch} images, an image {steps} time steps; only dt turns steps into milliseconds.",
)

# %% [markdown]
# ## One spike's journey, from a pixel to a vote
#
# A bright pixel becomes a train of spikes. Each spike sends a small current through a weight into a neuron. The neuron's membrane adds up what arrives, leaks, and when it crosses the threshold it fires: a vote for its digit. Ten neurons, ten digits, most votes win. The weights here were trained beforehand; by notebook 03 you will have trained your own.

# %%
image, label = digits.images[193].view(1, 1, 28, 28) / 255, digits.labels[193].item()
net = networks.single_layer()
net.load_state_dict(networks.weights("single-layer-fast"))
spikes = encoding.poisson(image, 50, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    record = net(spikes)[-1]
votes = record.spikes.sum(0)[0]
winner = votes.argmax().item()
print(f"the digit is a {label}, the network says {winner}")

# %%
rival = votes.topk(2).indices[1].item()
pixel = (image.flatten() - 0.5).abs().argmin().item()  # a grey one, which fires about every other step
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), width_ratios=(1, 1.4, 2, 1.4))
plots.image(image, axes[0]).set_title("1 a pixel")
axes[0].plot(pixel % 28, pixel // 28, "s", markerfacecolor="none", markersize=9, color=plots.COLORS["input"])
plots.raster(spikes.flatten(1)[:, [pixel]], axes[1]).set(title="2 its spikes", yticks=[], ylabel="")
for neuron, name in (winner, "membrane"), (rival, "other"):
    axes[2].plot(record.membrane[:, 0, neuron], color=plots.COLORS[name], label=f"neuron {neuron}")
axes[2].axhline(1.0, **plots.LINES["threshold"], label="threshold")
axes[2].set(title="3 two membranes", xlabel="time step", ylabel="membrane U")
axes[2].legend(ncols=3, loc="upper left", columnspacing=1)
axes[2].set_ylim(top=axes[2].get_ylim()[1] * 1.5)
plots.bars(votes, axes[3], highlight=label).set(title="4 the votes", ylabel="spikes")
plots.show(
    figure,
    f"A grey pixel fires at {spikes.flatten(1)[:, pixel].sum():.0f} of 50 steps; together with all others it "
    f"drives neuron {winner} over the threshold again and again, neuron {rival} less often; {winner} wins "
    f"with {votes[winner]:.0f} spikes to {votes[rival]:.0f}.",
)

# %% [markdown]
# ## Symbols, and what the libraries call them
#
# One symbol an idea, the same in all notebooks:
#
# | symbol | idea | unit | snnTorch | SpikingJelly | Norse |
# |---|---|---|---|---|---|
# | $U[t]$ | membrane (potential) | the threshold is 1 | `mem` | `v` | `v` |
# | $\theta$ | threshold | as $U$ | `threshold` | `v_threshold` | `v_th` |
# | $\tau$ | time constant of the leak | ms, or steps | (through `beta`) | `tau` | `1 / tau_mem_inv` |
# | $dt$ | length of a time step | ms | (1 step) | (1 step) | `dt` |
# | $\beta$ | what is left of $U$ after one step | 0 to 1 | `beta` | `1 - 1/tau` | `1 - dt * tau_mem_inv` |
# | $S[t]$ | spike | 0 or 1 | `spk` | `s`, the output | `z` |
# | $I[t]$ | input current | as $U$ | `input_` | `x` | `input_tensor` |
# | $T$ | number of time steps | steps | `num_steps` | `T` | `seq_length` |
#
# The decay follows from the time constant, exactly or by Euler's approximation:
#
# $$\beta = e^{-dt/\tau} \quad\text{("exact")} \qquad\text{or}\qquad \beta = 1 - \frac{dt}{\tau} \quad\text{("euler")}.$$
#
# Time is always the first axis of a tensor: $[T, B, \dots]$ with $B$ images in the batch.

# %%
for tau in 2.0, 5.0, 10.0:
    exact, euler = neurons.beta_from_tau(tau), neurons.beta_from_tau(tau, method="euler")
    print(f"tau = {tau:4.0f} steps: beta = {exact:.3f} exact, {euler:.3f} euler")

# %% [markdown]
# ## How the exercises work
#
# Put your answer where the dots are and run the cell. `check` says *right*, or *not yet* and why, or *not attempted*; it never stops the notebook, and nothing later depends on it. `hint("00.1")` gives a nudge, `hint("00.1", 2)` and `hint("00.1", 3)` more. The solution is folded below each exercise.
#
# ### Exercise 00.1 · Two betas
# A membrane has $\tau = 5$ ms, the step is $dt = 1$ ms. Give both betas, `(exact, euler)`, to three digits. Try a wrong answer first, to see what happens.

# %%
answer = ...
check("00.1", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
#
# answer = (math.exp(-1 / 5), 1 - 1 / 5)
# ```
#
# </details>

# %% [markdown]
# ### Exercise 00.2 · Steps in 50 ms
# You want to simulate 50 ms with $dt = 0.5$ ms. How many time steps is that?

# %%
answer = ...
check("00.2", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = 50 / 0.5
# ```
#
# </details>

# %% [markdown]
# ## The map
#
# | notebook | the question |
# |---|---|
# | [01 · Poisson encoding](01_poisson_encoding.ipynb) | How does a grey value become spikes, and back? |
# | [02 · The LIF neuron](02_lif_neuron.ipynb) | What does one neuron compute? |
# | [03 · A single layer](03_single_layer_snn.ipynb) | Can ten neurons read handwriting? |
# | [04 · Surrogate gradients](04_surrogate_gradients.ipynb) | How can a step be learnt through? |
# | [05 · A hidden layer](05_hidden_layer_snn.ipynb) | What does a hidden layer add, and what do spikes cost against its ANN twin? |
# | [06 · A convolutional network](06_convolutional_snn.ipynb) | How far do spikes get with convolutions, and what makes it fast? |
# | [07 · From a CNN to spikes](07_cnn_to_snn.ipynb) | Can a trained CNN be turned into spikes? |
#
# Each starts with three questions on the one before, lets you play first, then takes it apart.
#
# ## What to remember
#
# - A step is not a millisecond: only $dt$ connects them.
# - $\beta$ is what is left of the membrane after one step; $\tau$ and $dt$ determine it.
# - Time is the first axis, always.
#
# **Sources.** Notation: [Eshraghian et al. 2023](https://doi.org/10.1109/JPROC.2023.3280284). Digits: MNIST, [LeCun et al. 1998](https://doi.org/10.1109/5.726791), the first 10,000 training images.
#
# **Next:** [01 · Poisson encoding](01_poisson_encoding.ipynb)
