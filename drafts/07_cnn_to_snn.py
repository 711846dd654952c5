# %% [markdown]
# # 07 · From a CNN to spikes, without training a spike
#
# **The question: can an ordinary convolutional network, trained in the ordinary way, be run with spikes instead of numbers, and what does it lose?**
#
# **You will do:** swap the neurons of a trained CNN and watch it fail, show that one integrate-and-fire neuron is a ReLU, train a CNN that is made to be converted, balance its weights, and watch its accuracy and its confusion chart grow with every time step.
# **You will learn:** the rate as an activation and the error of that, weight and threshold balancing, why there must be no bias and no max-pooling, what the first membrane value does, and when to stop.
# **You need:** notebooks [02](02_lif_neuron.ipynb) (the neuron), [01](01_poisson_encoding.ipynb) (Poisson spikes) and [06](06_convolutional_snn.ipynb) (convolutions in spikes).
#
# Read: about 35 min · runs in about **60 s** on two cores
#
# The lesson trains and tests on the bundled sample of MNIST. The recorded runs near the end use all of it.

# %% [markdown]
# ## Three questions on the notebook before
#
# 1. In a convolutional spiking network the pooling stands either before or after the spike. What does a max-pooling of spikes compute?
# 2. The image is the input at every step and does not change. Which part of the network needs to be computed only once?
# 3. How do ten output neurons give one answer, and from which time step on?
#
# <details><summary>Answers</summary>
#
# 1. An "or": 1 as soon as any neuron of the window has fired at this step, however seldom each of them fires.
# 2. The first convolution (and its pooling, if that stands before the neuron): its current is the same at every step.
# 3. The class with most spikes so far wins. That is defined from the first step on, and gets better with time.
#
# </details>

# %%
from functools import partial

import matplotlib.pyplot as plt
import snntorch
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from snn_helpers import conversion, data, encoding, networks, neurons, plots, recipes, training, widgets
from snn_helpers.exercises import check, hint

plots.use_style()
train, test = data.mnist(train=True, root="bundled"), data.mnist(train=False, root="bundled")
few = data.Digits(test.images[:500], test.labels[:500], "the first 500 test digits")
print(train.source, test.source, sep="\n")

# %% [markdown]
# ## See it first
#
# A CNN whose neurons have been replaced by spiking ones. Move the time step: after the first the chart is still blurred; a few steps later it is almost a diagonal. Then start the membranes at 0 and compare.

# %%
widgets.conversion_explorer()

# %% [markdown]
# ## The swap that fails
#
# Try the obvious thing first. Here is a CNN as most people would write it: biases, max-pooling. It learns quickly, without a single spike.


# %%
def plain(images):
    return images


# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
careless = nn.Sequential(
    *(nn.Conv2d(1, 12, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(12, 64, 5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(1024, 10)),
)
training.fit(careless, train, plain, F.cross_entropy, epochs=2, batch_size=100, lr=3e-3, seed=0, progress=False)
before = training.accuracy(careless, few, plain)
print(f"the CNN reads {before:.1%} of {few.source}")
assert before > 0.9

# %% [markdown]
# Now take out every ReLU and put an integrate-and-fire neuron in its place: `beta=1`, nothing leaks. The image is the input at every step. **Before you run it:** as good as the CNN, a little worse, or much worse? And will more steps help?

# %% tags=["nbval-ignore-output"]
swapped = networks.SNN(careless[0], careless[2:4], careless[5:], beta=1.0)
after = conversion.accuracy_per_step(swapped, few, 40)
print(f"after 40 steps: {after[-1]:.1%}, before the swap: {before:.1%}")
assert after[-1] < before - 0.02

# %% tags=["nbval-ignore-output"]
ax = plots.spread(after[None], x=range(1, 41))
ax.axhline(before, **plots.LINES["target"])
ax.set(xlabel="time step", ylabel="accuracy", ylim=(0, 1.02), title="the swapped network stays below its CNN")
plots.show(
    ax,
    f"Accuracy of the swapped network after each step: it ends at {after[-1]:.1%}, the CNN (dash-dotted) reads "
    f"{before:.1%}. Half of the steps would have done as well: {after[19]:.1%} after 20.",
)

# %% [markdown]
# No error message, and waiting does not cure it: the curve goes flat below the CNN. (In the forums you will find networks that went flat at 10 %.) Nothing was wrong with the weights, so something must be wrong with the swap. Three things are, and each has a repair. We find them one by one.
#
# ## 1 · One neuron is a ReLU
#
# Give an integrate-and-fire neuron ($\beta = 1$, reset by subtraction) the same current $a$ at every step. Let $V_t$ be its membrane *after* the reset. Each step adds $a$ and each spike takes $\theta$, so after $T$ steps and $N$ spikes
#
# $$V_T = V_0 + T a - \theta N \qquad\Longrightarrow\qquad r = \frac NT = \frac a\theta - \frac{V_T - V_0}{T\,\theta}.$$
#
# The rate *is* the current, up to a remainder that shrinks with $1/T$. **Predict:** what is the rate of a neuron with $a = -0.3$? With $a = 1.4$?

# %%
a = torch.arange(-128, 385) / 256  # 513 currents from -0.5 to 1.5, one neuron each
theta, T = 1.0, 10
V, N = torch.zeros_like(a), torch.zeros_like(a)
for _ in range(T):
    V = V + a
    S = (V > theta).float()
    V, N = V - theta * S, N + S

# %%
assert torch.equal(N, neurons.lif(encoding.direct(a, T), beta=1.0).spikes.sum(0))
assert torch.allclose(N / T, a / theta - (V - 0) / (T * theta))  # the equation above, with V_0 = 0
print("the same spikes as the helper's neuron, and the equation holds for all", len(a), "currents")

# %% [markdown]
# Below 0 it is silent: the rate is 0. Above the threshold it fires at every step and cannot do more: the rate is 1. Between, a straight line made of $T$ stairs: a **ReLU that is capped at 1**.
#
# The stairs all lie *under* the line. A neuron that starts at half its threshold, $V_0 = \theta/2$, rounds to the nearest stair instead of down:


# %%
def rate(a, T, v_init):
    start = neurons.Record(None, torch.full_like(a, v_init))
    return neurons.lif(encoding.direct(a, T), beta=1.0, initial=start).spikes.mean(0)


# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
for ax, (T, v_init) in zip(axes, [(10, 0.0), (10, 0.5), (40, 0.5)], strict=True):
    ax.plot(a, a.clamp(0, 1), **plots.LINES["target"])
    ax.plot(a, rate(a, T, v_init), color=plots.COLORS["membrane"])
    ax.set(xlabel="current a", title=f"T = {T}, start at {v_init:g}")
axes[0].set_ylabel("firing rate")
plots.show(
    figure,
    "Firing rate against the input current, and a ReLU capped at 1 (dash-dotted): from an empty membrane the stairs "
    "lie under the line; from a half full one they lie around it; with four times the steps they are four times finer.",
)

# %% [markdown]
# How wrong can it be? As long as $0 \le a \le \theta$, the membrane after reset stays between 0 and $\theta$. So $|V_T - V_0|$ is at most $\theta$ from $V_0 = 0$, and at most $\theta/2$ from the middle: **the bound is $1/T$, or half of that.**

# %%
inside = (a >= 0) & (a <= 1)
for v_init in 0.0, 0.5:
    worst = [(rate(a, T, v_init) - a)[inside].abs().max().item() for T in (5, 10, 40)]
    bound = [max(v_init, 1 - v_init) / T for T in (5, 10, 40)]
    print(f"start at {v_init}: largest errors {[round(w, 4) for w in worst]}, bounds {bound}")
    assert all(w <= b + 1e-6 for w, b in zip(worst, bound, strict=True))

# %% [markdown]
# That is the first repair, and it costs nothing: `to_snn(..., v_init=0.5)`. The second problem is the cap: an activation above 1 has no rate to match it. But first the third, which no start and no scale can cure.
#
# ## 2 · A CNN that is made to be converted
#
# Everything between two ReLUs must be something that *averages* can go through, because rates are averages over time. A convolution is: the convolution of the average is the average of the convolutions. A maximum is not.

# %%
left = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])  # two neurons of one window, each fires every other step
right = 1 - left
print("rates:", left.mean().item(), right.mean().item())
print("maximum of the rates:", torch.maximum(left.mean(), right.mean()).item())
print("rate of the maxima:  ", torch.maximum(left, right).mean().item())
print("average pooling:     ", ((left + right) / 2).mean().item())

# %% [markdown]
# So the CNN gets three rules, and a reason for each:
#
# - **Average pooling**, not max-pooling: the maximum of spikes is not the spikes of the maximum.
# - **ReLU only**: it is the one activation that a rate can draw. No Sigmoid, no Tanh, no leak below 0.
# - **No bias**: a bias is there whatever the input. Without it the network is *homogeneous*, $f(c\,x) = c\,f(x)$ for $c \ge 0$: scale anything, and the order of the ten scores stays. That is what the next section lives on.
#
# `to_snn` refuses everything else by its name. The careless network, and what it says:

# %%
unbiased = [nn.Conv2d(1, 12, 5, bias=False), nn.ReLU()]
for faulty in careless, nn.Sequential(*unbiased, nn.MaxPool2d(2)), nn.Sequential(unbiased[0], nn.Tanh()):
    try:
        conversion.to_snn(faulty)
    except ValueError as error:
        print(error, "\n")

# %% [markdown]
# Here is one that keeps the rules, with the layers of a well-known example (system D in the recorded runs): two convolutions of 5 × 5, average pooling, one linear layer, no bias anywhere. These twelve digits are the first that it will see:

# %%
figure, axes = plt.subplots(2, 6, figsize=(8, 2.9))
for image, label, ax in zip(train.images, train.labels, axes.flat, strict=False):
    plots.image(image, ax).set_title(f"a {label}")
plots.show(figure, "Twelve of the 8,000 bundled training digits with their labels.")

# %% [markdown]
# The published settings: stochastic gradient descent with momentum 0.5, learning rate 0.05, batches of 40. Ours is the number of epochs and of digits. You may stop it at any time with ■.

# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
cnn = networks.cnn()
sgd = partial(torch.optim.SGD, momentum=0.5)
live = widgets.LiveHistory()
display(live)
history = training.fit(
    cnn,
    train,
    plain,
    F.cross_entropy,
    epochs=5,
    batch_size=40,
    lr=0.05,
    seed=0,
    optimizer=sgd,
    test=test,
    on_step=live,
)

# %% tags=["nbval-ignore-output"]
reached = f"{history.test_accuracy[-1]:.1%}" if history.test_accuracy else "none yet"
assert history.interrupted or history.test_accuracy[-1] > 0.92
ax = plots.history(history.loss, accuracy=history.test_accuracy, test_step=history.test_step)
plots.show(
    ax,
    "The loss of each batch (faint) and its running mean; on top the accuracy on the 2,000 bundled test digits after "
    f"each epoch, the last one {reached}.",
)

# %% tags=["nbval-ignore-output"]
answers = training.scores(cnn, test, plain).argmax(-1)
counts = conversion.confusion(answers, test.labels)
ax = plots.confusion(counts, plt.figure(figsize=(4.6, 4.6)).subplots())
mixed = (counts - counts.diag().diag()).argmax().item()
plots.show(
    ax,
    "The CNN's own confusion chart, without any spikes: rows are the digits, columns the answers, each row coloured by "
    f"its shares. Most errors of one kind: a {mixed // 10} taken for a {mixed % 10}.",
)
assert counts.sum() == len(test.labels)

# %% [markdown]
# ## 3 · Balance the weights
#
# Now the cap. **Predict:** how large are the activations of this CNN, on images between 0 and 1? Smaller than 1, about 1, about 10?

# %% tags=["nbval-ignore-output"]
images = train.images[:1000].unsqueeze(1) / 255  # to calibrate: from the training digits, never the test digits
largest = conversion.activation_scales(cnn, images, percentile=100)
common = conversion.activation_scales(cnn, images, percentile=99.9)
for i in range(3):
    print(f"layer {i + 1}: largest activation {largest[i]:6.2f}, 99.9 % are at most {common[i]:6.2f}")
assert history.interrupted or max(largest) > 1

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6))
x = images[:200]
for i, (layer, ax) in enumerate(zip(conversion.to_snn(cnn).layers, axes, strict=True)):
    x = layer(x).relu().detach()
    ax.hist(x[x > 0], bins=60, log=True, color=plots.COLORS["membrane"])
    ax.axvline(1, **plots.LINES["threshold"])
    ax.axvline(common[i], **plots.LINES["target"])
    ax.set(xlabel="activation", yticks=[], title=f"layer {i + 1}: {(x[x > 0] > 1).float().mean():.0%} are above 1")
axes[0].set_ylabel("how many (log)")
plots.show(
    figure,
    "Activations above 0 in the three layers: what lies right of the dashed line at 1 has no firing rate. Dash-dotted: "
    "the 99.9th percentile, which one activation in a thousand exceeds.",
)

# %% [markdown]
# Without a bias we may scale. Let $\lambda_l$ be the scale of layer $l$, the largest of its activations on some training images, and $\lambda_0 = 1$ that of the input. Then (Diehl et al. 2015)
#
# $$\tilde W_l = W_l\,\frac{\lambda_{l-1}}{\lambda_l}$$
#
# brings every activation under 1: the $\lambda_{l-1}$ undoes what was done to the layer before, the $1/\lambda_l$ scales this one. This is **weight balancing**. The largest activation may be a freak, and dividing by it makes everybody else slow; the **percentile** 99.9 lets one activation in a thousand be capped.

# %% tags=["nbval-ignore-output"]
scales = [1.0, *common]
W = [w * scales[i] / scales[i + 1] for i, w in enumerate(cnn.parameters())]
balanced = conversion.normalize(cnn, images, percentile=99.9)
for mine, theirs in zip(W, balanced.parameters(), strict=True):
    torch.testing.assert_close(mine, theirs)

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    ratio = cnn(images[:3]) / balanced(images[:3])
print(f"all scores are divided by one number: {ratio.min():.3f} to {ratio.max():.3f}; the answers stay")
assert torch.allclose(ratio, torch.tensor(scales[-1]), rtol=0.01)

# %% [markdown]
# The same from the other side, **threshold balancing**: leave the weights alone and give layer $l$ the threshold $\theta_l = \lambda_l / \lambda_{l-1}$. A neuron does not know the difference between an input twice as large and a threshold half as high.

# %% tags=["nbval-ignore-output"]
signal = x = encoding.direct(test.images[:5].unsqueeze(1).double() / 255, 20)
records = conversion.to_snn(balanced).double()(x)
for i, layer in enumerate(conversion.to_snn(cnn).double().layers):
    theta = scales[i + 1] / scales[i]
    current = torch.stack([layer(step) for step in signal])
    start = neurons.Record(None, torch.full_like(current[0], theta / 2))
    signal = neurons.lif(current, beta=1.0, threshold=theta, initial=start).spikes
    print(f"layer {i + 1}: the same spikes? {(signal == records[i].spikes).all().item()}")
    assert (signal != records[i].spikes).double().mean() < 1e-4

# %% [markdown]
# ### Run it
#
# All three repairs are in. The network takes one step at a time; after each, every digit has an answer, the class with most output spikes so far (a tie goes to the neuron that is nearest to its next spike), and both pictures move. `stream` hands over the spikes of each step and keeps nothing but the membranes. Stop it when you have seen enough.

# %% tags=["nbval-ignore-output"]
snn, T = conversion.to_snn(balanced, v_init=0.5), 40
thousand = data.Digits(test.images[:1000], test.labels[:1000], "")
goal = training.accuracy(cnn, thousand, plain)
print(f"the CNN reads {goal:.1%} of the first 1,000 test digits")
assert goal > 0

# %% tags=["nbval-ignore-output"]
live, votes, accuracy = widgets.LiveConfusion(T, goal), 0, []
display(live)
try:
    with torch.no_grad():
        for step in snn.stream(encoding.direct(thousand.images.unsqueeze(1) / 255, T)):
            votes = votes + step[-1].spikes[0]
            left = step[-1].membrane[0] - step[-1].spikes[0]  # after the reset
            answers = (votes + left / 100).argmax(-1)
            accuracy.append((answers == thousand.labels).double().mean().item())
            live(accuracy, conversion.confusion(answers, thousand.labels))
except KeyboardInterrupt:
    print(f"stopped after {len(accuracy)} steps")
assert history.interrupted or len(accuracy) < T or abs(accuracy[-1] - goal) < 0.015

# %% tags=["nbval-ignore-output"]
plots.show(
    live.figure,
    "The live picture at its last step: the confusion chart of 1,000 test digits, each row coloured by its shares, "
    f"and the accuracy after each of {len(accuracy)} steps, {accuracy[-1]:.1%} at the end (the CNN: {goal:.1%}).",
)

# %% [markdown]
# Not one weight was trained with spikes, and the answers are those of the CNN. Compare with the careless swap: that curve was flat far below its CNN.
#
# ### Which repair did what?

# %%
by_largest = conversion.normalize(cnn, images, percentile=100)
versions = {
    "not balanced, start at 0": conversion.to_snn(cnn, v_init=0.0),
    "largest, start at 0": conversion.to_snn(by_largest, v_init=0.0),
    "largest, start at half": conversion.to_snn(by_largest, v_init=0.5),
    "99.9 %, start at half": snn,
}

# %% tags=["nbval-ignore-output"]
family = {name: conversion.accuracy_per_step(version, few, T) for name, version in versions.items()}
goal = training.accuracy(cnn, few, plain)
assert history.interrupted or family["99.9 %, start at half"][9] > family["largest, start at 0"][9] - 0.01

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(8, 3.2)).subplots()
for mark, (name, curve) in zip("xo^.", family.items(), strict=True):
    ax.plot(range(1, T + 1), curve, label=name, marker=mark, markersize=3, linewidth=1)
ax.axhline(goal, **plots.LINES["target"], label="the CNN")
ax.set(xlabel="time step", ylabel="accuracy", ylim=(0, 1.02), title="scale decides the end, V_0 the beginning")
ax.legend(loc="lower right")
plots.show(
    ax,
    "Accuracy after each step: unbalanced, the network ends at "
    f"{family['not balanced, start at 0'][-1]:.1%} and stays there; balanced, at {curve[-1]:.1%} beside the CNN's "
    f"{goal:.1%}. With half full membranes it is right sooner: {family['largest, start at half'][4]:.0%} after 5 "
    f"steps, against {family['largest, start at 0'][4]:.0%}.",
)

# %% [markdown]
# With membranes that start at 0 nobody answers for the first few steps: a spike of the first layer must wait until its membrane is full, and so must the next layer's, and the next. Half full, that delay is halved too.
#
# How large should the scale be? Large: slow, and nobody is capped. Small: quick, and many are. The explorer holds the recorded accuracy after every step for ten scales on MNIST's own test images. **Find** the scale that is within half a point of the CNN first, and the one that is at the top after 40 steps.

# %%
widgets.percentile_explorer()

# %% [markdown]
# ## 4 · Which spikes, and in which order
#
# So far the image was a constant current. It can come as Poisson spikes as well (notebook 01). The published example compares each pixel $x$ with a random number between 0 and a **spike threshold** $s$: the pixel fires with probability $x/s$. A higher threshold makes a sparser input. Three trains of one and the same image, $s = 2.5$:

# %%
image = test.images[7] / 255
figure, axes = plt.subplots(1, 4, figsize=(9, 2.8), width_ratios=(1, 2, 2, 2))
plots.image(image, axes[0]).set_title(f"a {test.labels[7]}")
for seed, ax in enumerate(axes[1:]):
    spikes = encoding.poisson(image, 40, gain=1 / 2.5, generator=torch.Generator().manual_seed(seed))
    plots.raster(spikes[:, image > 0], ax, color=plots.COLORS["input"], markersize=1.5)
    ax.set(yticks=[], ylabel="lit pixel" if seed == 0 else "", title=f"{spikes.sum():.0f} spikes")
plots.show(
    figure,
    "One digit and three Poisson spike trains of its lit pixels with a spike threshold of 2.5: the same rates, other "
    "spikes each time, and nearly the same number of them.",
)

# %% [markdown]
# **Predict:** which input needs more steps, and does it end lower?

# %% tags=["nbval-ignore-output"]
curves = {"constant": family["99.9 %, start at half"]}
for s in 1.0, 2.5:
    sparse = partial(encoding.poisson, gain=1 / s)
    curves[f"Poisson, s = {s:g}"] = conversion.accuracy_per_step(snn, few, T, sparse)
assert all(curve[-1] > curve[0] for curve in curves.values())

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(8, 2.8)).subplots()
for mark, (name, curve) in zip(".ox", curves.items(), strict=True):
    ax.plot(range(1, T + 1), curve, label=name, marker=mark, markersize=3, linewidth=1)
ax.axhline(goal, **plots.LINES["target"])
ax.set(xlabel="time step", ylabel="accuracy", ylim=(0.4, 1.02))
ax.legend(loc="lower right")
values = ", ".join(f"{name} {curve[9]:.1%} and {curve[-1]:.1%}" for name, curve in curves.items())
plots.show(ax, f"Accuracy after each step for three kinds of input. After 10 and after 40 steps: {values}.")

# %% [markdown]
# With $s = 1$ there is hardly a difference: most pixels of a digit are black or white, and fire never or always. A threshold of $s$ makes every mean current $1/s$ of what it was, so, the network being homogeneous, every rate too: the same stairs take $s$ times as long to climb. Sparser input is cheaper a step and needs more steps.
#
# ### The order of the spikes
#
# The bound of section 1 was for a *constant* current. From the second layer on the current is made of spikes, and then the mean is not everything. One neuron, two inputs with weights $+0.8$ and $-0.8$, five spikes from each. The mean current is 0, so a ReLU says 0. Three orders:

# %%
on, off = torch.ones(5), torch.zeros(5)
orders = {
    "in turn": (torch.tensor([1.0, 0.0]).repeat(5), torch.tensor([0.0, 1.0]).repeat(5)),
    "minus first": (torch.cat([off, on]), torch.cat([on, off])),
    "plus first": (torch.cat([on, off]), torch.cat([off, on])),
}
assert all(excite.sum() == inhibit.sum() == 5 for excite, inhibit in orders.values())

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True)
for ax, (order, (excite, inhibit)) in zip(axes, orders.items(), strict=True):
    record = neurons.lif(0.8 * excite - 0.8 * inhibit, beta=1.0)
    plots.membrane(record, ax).set(ylabel="", ylim=(-4.5, 2.5), title=f"{order}: {record.spikes.sum():.0f} spikes")
axes[0].set_ylabel("membrane U")
plots.show(
    figure,
    "The same ten input spikes in three orders, mean current 0: in turn or with the negative ones first the neuron is "
    "silent, as a ReLU would be; with the positive ones first it fires, and spikes cannot be taken back.",
)

# %% [markdown]
# This is the **unevenness error**. It has no bound like $1/T$ for one neuron; it averages out over steps and over thousands of neurons, which is why deep layers need more time. See it in the real network: each point is a neuron, the grey band is the bound for constant current. Layer 1 stays in it; layer 2 leaves it a little; with Poisson input even layer 1 does.

# %%
widgets.activation_explorer()

# %% [markdown]
# ### Stop early
#
# Most digits are clear after a few steps. So do not wait for all: stop each digit as soon as the leading class is $m$ spikes ahead of the next. `simulate` keeps the votes of every digit at every step. **Predict:** how large a lead does it take to be as good as the CNN?

# %% tags=["nbval-ignore-output"]
run = conversion.simulate(snn, few, T)
first, second = run.votes.topk(2, -1).values.unbind(-1)
lead = first - second  # [T, N]
print("digits with a leader at steps 1 to 5:", [(lead[t] >= 1).sum().item() for t in range(5)], "of", len(few.labels))
assert (lead >= 0).all()

# %% tags=["nbval-ignore-output"]
stops = []
for m in 1, 2, 3, 4, 6:
    decided = (lead >= m) | (torch.arange(T) == T - 1)[:, None]  # at the last step in any case
    when = decided.int().argmax(0)
    share = (run.answers().gather(0, when[None])[0] == run.labels).double().mean().item()
    stops.append((when.double().mean().item() + 1, share))
    print(f"lead of {m}: {stops[-1][0]:4.1f} steps on average, {share:.1%} right")
assert stops[0][0] < stops[-1][0] <= T and (history.interrupted or stops[0][1] > goal - 0.03)

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(8, 2.8)).subplots()
ax.plot(range(1, T + 1), run.accuracy(), color=plots.COLORS["membrane"], label="all digits equally long")
ax.plot(*zip(*stops, strict=True), "o", color=plots.COLORS["threshold"], label="each until it leads by 1, 2, 3, 4, 6")
ax.axhline(goal, **plots.LINES["target"])
ax.set(xlabel="mean number of steps", ylabel="accuracy", ylim=(0.8, 1.0), title="a digit that is clear need not wait")
ax.legend(loc="lower right")
at = run.accuracy()[round(stops[0][0]) - 1].item()
plots.show(
    ax,
    f"Accuracy against the mean number of steps: with a lead of one spike a digit takes {stops[0][0]:.1f} steps on "
    f"average and {stops[0][1]:.1%} are right; about as many steps for all of them give {at:.1%}.",
)

# %% [markdown]
# The first spike that stands alone is nearly all it takes: the neuron with the largest score fills its membrane first. The clear digits are done at the second step, and the time goes where it is needed. That is something a CNN cannot do, whose layers must all be computed before there is any answer.

# %% [markdown]
# ## Against a network that was trained in spikes
#
# Notebook 06 trained its network through the spikes, for eight steps. Both networks here come from recorded runs on the full MNIST (and have seen the bundled digits there, so both curves are flattered alike). **Predict:** who is ahead at equal $T$? And at equal spikes?

# %% tags=["nbval-ignore-output"]
converted = conversion.to_snn(conversion.normalize(recipes.trained("cnn-to-snn", "fast"), images))
fast = recipes.RECIPES["csnn"]["fast"]
rivals = {
    "converted": conversion.simulate(converted, few, 16),
    "trained in spikes": conversion.simulate(
        recipes.trained("csnn", "fast"), few, 16, lambda images, steps: fast.encode(steps, images), batch_size=50
    ),
}
for name, run in rivals.items():
    share, spikes = run.accuracy(), run.spikes_per_image().sum(1)
    for t in 2, 4, 8, 16:
        print(f"{name:>17}, T = {t:2d}: {share[t - 1]:.1%}, {spikes[t - 1]:,.0f} spikes an image")
    assert share[-1] > 0.9

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(8, 3)).subplots()
for colour, mark, (name, run) in zip(("membrane", "threshold"), "o^", rivals.items(), strict=True):
    spikes = run.spikes_per_image().sum(1)
    ax.plot(spikes, run.accuracy(), color=plots.COLORS[colour], marker=mark, markersize=4, label=name)
ax.set(xscale="log", xlabel="spikes an image", ylabel="accuracy", ylim=(0.5, 1.01), title="one point a time step")
ax.legend(loc="lower right")
ahead = rivals["trained in spikes"].accuracy() - rivals["converted"].accuracy()
plots.show(
    ax,
    "Accuracy against the number of spikes an image has cost so far, one point a time step. At 8 steps the network "
    f"trained in spikes is {ahead[7] * 100:+.1f} points from the converted one, at 2 steps {ahead[1] * 100:+.1f}.",
)

# %% [markdown]
# The converted network is ahead, step for step and spike for spike. But look at what went into the two: its CNN saw every digit twelve times, each time turned and moved a little, with gradients that are exact; the other saw every digit once, through a surrogate. So this says what these two networks do, and not that conversion is the better way. What it does say: a CNN that is good and made to be converted gives a spiking network that is as good, for the price of some patience.
#
# ## Break it: the digit before
#
# An integrate-and-fire neuron forgets nothing. If its membrane is not cleared between two images, the next digit starts where the last one ended, for ever. Show 200 digits for ten steps, and then, *without a break*, 200 others:

# %% tags=["nbval-ignore-output"]
one, two = (test.images[:400].unsqueeze(1) / 255).split(200)
labels = test.labels[200:400]
with torch.no_grad():
    clear = snn(encoding.direct(two, 10))[-1].spikes
    kept = snn(torch.cat([encoding.direct(one, 10), encoding.direct(two, 10)]))[-1].spikes[10:]
assert clear.shape == kept.shape == (10, 200, 10)

# %% tags=["nbval-ignore-output"]
shares = [(spikes.sum(0).argmax(-1) == labels).double().mean().item() for spikes in (clear, kept)]
print(f"cleared before each image: {shares[0]:.1%}")
print(f"left as it was:            {shares[1]:.1%}")
assert history.interrupted or shares[1] < shares[0]

# %% [markdown]
# The membranes of the digit before are deep in the negative where it was inhibited, and those neurons must first climb back. In the published example this is the rule that every simulation begins with a cleared state; in other libraries it is a `reset` that you have to call. Here each call of the network starts anew:

# %%
x = encoding.direct(test.images[:3].unsqueeze(1) / 255, 10)
assert torch.equal(snn(x)[-1].spikes, snn(x)[-1].spikes)
print("same input, same answer: nothing is kept between calls")

# %% [markdown]
# ## The recorded runs: all of MNIST
#
# `reference` keeps the settings of system D, MathWorks' example "Convert Convolutional Network to Spiking Neural Network": 15 epochs, the largest activation as scale, Poisson input with a spike threshold of 2.5, membranes that start at 0, 40 steps. `fast` is our recipe, with the three repairs and a constant input. All 10,000 test images, last epoch, no best-of.

# %%
published = recipes.published("cnn-to-snn")
print(f"published: CNN {published['test_accuracy']:.2%} ({published['of']})")
curves, cnns = {}, {}
for recipe in "reference", "fast":
    runs = recipes.recorded("cnn-to-snn", recipe)
    cnns[recipe] = torch.tensor([run["cnn_accuracy"] for run in runs], dtype=torch.float64)
    curves[recipe] = torch.tensor([run["accuracy_per_step"] for run in runs], dtype=torch.float64)
    last, spikes = curves[recipe][:, -1], sum(sum(run["spikes_per_image"]) for run in runs) / len(runs)
    print(
        f"{recipe:>9}: CNN {cnns[recipe].mean():.2%} ± {cnns[recipe].std():.2%}; as spikes {last.mean():.2%} ± "
        f"{last.std():.2%} after {curves[recipe].shape[1]} steps, {spikes:,.0f} spikes an image ({len(runs)} seeds, "
        f"{runs[0]['epochs']} epochs, all {runs[0]['test_images']:,} test digits)"
    )

# %%
ax = plt.figure(figsize=(8, 3)).subplots()
for recipe, colour, mark in ("reference", "membrane", "."), ("fast", "input", "o"):
    steps = torch.arange(1, curves[recipe].shape[1] + 1)
    plots.spread(curves[recipe], ax, x=steps, color=plots.COLORS[colour], label=recipe, marker=mark, markersize=3)
    ax.axhline(cnns[recipe].mean(), color=plots.COLORS[colour], linestyle=":", linewidth=1, label=f"{recipe}: its CNN")
ax.set(xlabel="time step", ylabel="test accuracy", ylim=(0.9, 1.0), title="the CNN is the ceiling; steps buy the rest")
ax.legend(loc="lower right")
gap = {recipe: 100 * (cnns[recipe] - curves[recipe][:, -1]).mean() for recipe in curves}
plots.show(
    ax,
    "Accuracy after each step on all 10,000 test images of MNIST, mean over the seeds with their range. At the last "
    f"step the reference is {gap['reference']:.2f} points below its CNN (dotted), the fast recipe {gap['fast']:.2f}.",
)

# %% [markdown]
# The published figure is that of the CNN, on that example's own synthetic digits: it says what the network can do there, and is no figure on MNIST.
#
# ## Where the libraries differ
#
# In snnTorch the neuron is `Leaky` with `beta=1`. The first layer of our network, once more:

# %%
leaky, spikes = snntorch.Leaky(beta=1.0, threshold=1.0), []
with torch.no_grad():
    current = snn.layers[0](test.images[:3].unsqueeze(1) / 255)
print("a current for each neuron of the first layer:", list(current.shape))

# %%
membrane = torch.full_like(current, 0.5)
for _ in range(10):
    fired, membrane = leaky(current, membrane)
    spikes.append(fired)
assert torch.equal(torch.stack(spikes), snn(x)[0].spikes)
print("snnTorch's neurons fire at the same steps")

# %% [markdown]
# SpikingJelly (2.0) converts for you. It leaves the weights as they are and wraps each neuron between two scalings, by $1/\lambda_l$ and by $\lambda_l$, which is neither of our two balancings and equal to both:
#
# ```python
# recipe = ann2snn.RateCodingRecipe(dataloader=loader, mode="99.9%")   # or "max", or a factor such as 1 / 2
# snn = ann2snn.Converter(recipe).convert(cnn)
# ```
#
# In Norse the neuron is `IAFCell`, whose state is an argument; MATLAB's example is system D itself.

# %% [markdown]
# ## Exercises
#
# ### Exercise 07.1 · Balance the weights
# Write a function that takes a list of weights and a list of activations (one tensor a layer each, in order), and returns the list of balanced weights: scale $\lambda_l$ is the largest activation of layer $l$, that of the input is 1. Stuck: `hint("07.1")`.


# %%
def balance(weights, activations):
    return ...  # your code here


check("07.1", balance)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def balance(weights, activations):
#     new, before = [], 1.0
#     for W, a in zip(weights, activations):
#         new.append(W * before / a.max())
#         before = a.max()
#     return new
# ```
#
# </details>

# %% [markdown]
# ### Exercise 07.2 · How many steps for one per cent?
# A constant current between 0 and $\theta$, a membrane that starts at $\theta/2$. What is the smallest $T$ for which the rate is *guaranteed* to be within 0.01 of $a/\theta$?

# %%
answer = ...
check("07.2", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = 0.5 / 0.01  # |V_T - V_0| is at most theta / 2, so the error is at most 0.5 / T
# ```
#
# </details>

# %% [markdown]
# ### Exercise 07.3 · Diagnose
# Write a function that takes an `nn.Sequential` of `Conv2d`, `Linear`, `Flatten`, poolings and activations, and returns the positions of all layers that cannot be converted, as a list; `[]` if there are none. Max-pooling, an activation other than ReLU, a bias.


# %%
def diagnose(cnn):
    return ...  # your code here


check("07.3", diagnose)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def diagnose(cnn):
#     fine = nn.Conv2d, nn.Linear, nn.Flatten, nn.ReLU, nn.AvgPool2d
#     return [
#         i
#         for i, layer in enumerate(cnn)
#         if not isinstance(layer, fine) or getattr(layer, "bias", None) is not None
#     ]
# ```
#
# </details>

# %% [markdown]
# ### Exercise 07.4 · Steps to within half a point
# Given the accuracy after each step and the accuracy of the CNN, return the smallest number of steps from which on the network stays at most half a point (0.005) *below* its CNN. Above it is fine. If it does not get there, return 0. Then try it on the curves in `family`.


# %%
def steps_needed(accuracy, cnn):
    return ...  # your code here


check("07.4", steps_needed)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def steps_needed(accuracy, cnn):
#     low = (accuracy < cnn - 0.005).nonzero().flatten()
#     steps = low[-1].item() + 2 if len(low) else 1
#     return steps if steps <= len(accuracy) else 0
# ```
#
# </details>

# %% [markdown]
# ### Exercise 07.5 · Count the spikes without running the neuron
# An integrate-and-fire neuron with threshold 1 gets the constant current $a$ for $T$ steps and starts at $V_0$. Write the number of its spikes in one line, for a whole tensor `a` at once: negative currents and currents above 1 included. What does $V_0$ do to it?


# %%
def spike_count(a, steps, v0):
    return ...  # your code here


check("07.5", spike_count)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def spike_count(a, steps, v0):
#     return (v0 + steps * a).floor().clamp(0, steps)
# ```
#
# With $V_0 = 0$ the number is $T a$ rounded down, with $V_0 = 1/2$ rounded to the nearest. (Where $V_0 + T a$ is a whole number the spike is one step late, because our neuron fires *above* the threshold, not at it.)
#
# </details>

# %% [markdown]
# ## What to remember
#
# - An integrate-and-fire neuron is a ReLU capped at 1, drawn in $T$ stairs: its rate is the current, up to $|V_T - V_0| / (T\theta)$. Start at half the threshold.
# - Only what averages pass through can be converted: weights, ReLU, average pooling, no bias. Then balance: bring the activations under 1, by the weights or by the thresholds.
# - A converted network is its CNN plus waiting time. Judge it by the accuracy *after every step* and by the spikes it took, and clear its state between images.
#
# | new word | symbol | unit |
# |---|---|---|
# | integrate-and-fire neuron (IF) | $\beta = 1$ | |
# | membrane after reset | $V_t$ | as $U$ |
# | scale of layer $l$ | $\lambda_l$ | as its activations |
# | weight balancing | $\tilde W_l = W_l\,\lambda_{l-1}/\lambda_l$ | |
# | threshold balancing | $\theta_l = \lambda_l/\lambda_{l-1}$ | |
# | spike threshold of the input | $s$ | as a pixel |
# | unevenness error | the part of the rate's error that comes from the order of the input spikes | |
#
# **Sources.** Balancing: P. U. Diehl and others, "Fast-classifying, high-accuracy spiking deep networks through weight and threshold balancing", IJCNN 2015. The network, its settings and its pictures: MathWorks, "Convert Convolutional Network to Spiking Neural Network" (R2023b). The neuron: [Eshraghian et al. 2023](https://doi.org/10.1109/JPROC.2023.3280284). MNIST: [LeCun et al. 1998](https://doi.org/10.1109/5.726791).
#
# **Next:** 08 · Inside the network.
