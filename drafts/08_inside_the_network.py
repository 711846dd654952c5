# %% [markdown]
# # 08 · Inside the network
#
# **The question: what happens between the input and the answer, and what ails a network that does not learn?**
#
# **You will do:** record every membrane of every layer, sort thousands of rows until a picture speaks, compare digits that were read rightly with digits that were not, and treat seven sick networks.
# **You will learn:** what a record holds and what can be computed from it, how to read a heatmap of membranes, how to tell a finding from noise, and which check sees which mistake.
# **You need:** notebooks [05](05_hidden_layer_snn.ipynb) (a hidden layer) and [06](06_convolutional_snn.ipynb) (a convolutional network).
#
# Read: about 30 min · runs in about **30 s** on two cores
#
# The networks that you look into were trained on the full MNIST, the bundled digits included. So nothing here measures how well they read *new* digits (the recorded runs of notebooks 05 and 06 do); the question is what goes on inside.

# %% [markdown]
# ## Three questions on the notebook before
#
# 1. An integrate-and-fire neuron with threshold 1 gets the constant current 0.3. At what rate does it fire, and what does it do with $-0.3$?
# 2. Why may a CNN that is to become a spiking network not have max-pooling?
# 3. What happens if the membranes of one image are still there when the next one comes?
#
# <details><summary>Answers</summary>
#
# 1. At 0.3 spikes a step: the rate is a ReLU of the current, up to 1. With $-0.3$ it never fires.
# 2. The largest of several *rates* is not the rate of the largest spike train: pooled spikes are an "or", which fires too often.
# 3. The new image is judged with the voltages of another one. State has to be cleared between images.
#
# </details>

# %%
import copy

import matplotlib.pyplot as plt
import snntorch
import torch
import torch.nn.functional as F

from snn_helpers import data, encoding, neurons, plots, recipes, surrogates, training, widgets
from snn_helpers.exercises import check, hint
from snn_helpers.widgets import clinic

plots.use_style()
train, test = data.mnist(train=True, root="bundled"), data.mnist(train=False, root="bundled")
print(train.source, test.source, sep="\n")

# %% [markdown]
# ## See it first
#
# A convolutional network reads a digit, and nothing is hidden: one row a neuron, one column a time step, colour for the membrane voltage. Choose a layer, change the order of the rows, zoom in, and follow the trace of the neuron under the cursor. How many of the 3,136 neurons of layer 2 have anything to say?

# %%
widgets.heatmap_explorer()

# %% [markdown]
# ## 1 · Record every layer
#
# "How do I plot the membranes of a hidden layer?" is one of the questions asked most often about spiking networks. There is no trick to it: keep what the loop over time computes anyway. Here is the network of notebook 06 once more from scratch,
#
# $$U[t] = \beta\, U[t-1] + I[t] - \theta\, S[t-1], \qquad S[t] = 1 \text{ where } U[t] > \theta,$$
#
# with one line added, the last one of the second cell below.

# %%
net, recipe, T = recipes.trained("csnn", "fast"), recipes.RECIPES["csnn"]["fast"], 25
beta, theta = net.neuron["beta"], net.neuron["threshold"]
x = recipe.encode(T, test.images[:1].unsqueeze(1) / 255)
print(f"a {test.labels[0]}, {list(x.shape)}; beta {beta}, theta {theta}")

# %%
U, S, film = [0.0] * 4, [0.0] * 4, [[] for _ in net.layers]
with torch.no_grad():
    for signal in x:
        for i, layer in enumerate(net.layers):
            U[i] = beta * U[i] + layer(signal) - theta * S[i]
            signal = S[i] = (U[i] > theta).float()
            film[i].append(U[i])

# %% [markdown]
# The helper keeps spikes and membranes of all layers without being asked. **Predict**, before you run the next cell: what shape has the record of each layer?

# %%
with torch.no_grad():
    records = net(x)
for number, (mine, record) in enumerate(zip(film, records, strict=True), 1):
    assert ((torch.stack(mine) > theta) == (record.spikes > 0)).float().mean() > 0.999  # equal but for rounding
    print(f"layer {number}: membrane {list(record.membrane.shape)} = [time, digit, ...]")

# %%
values = sum(2 * record.membrane.numel() for record in records)
print(f"{values:,} numbers for one digit; for 500 digits {500 * values * 4 / 1e9:.1f} GB")

# %% [markdown]
# A record is for looking, so record few digits at a time. Training keeps it anyway, because the backward pass needs it; when you only want counts, `net.stream` forgets the rest (`training.accuracy` uses it).
#
# ### Before and after the reset
#
# The record holds $U$ *before* the reset: the voltage that made the neuron fire. What the next step starts from is one line away, leak and reset together:
#
# $$V[t] = \beta\, U[t] - \theta\, S[t], \qquad U[t+1] = V[t] + I[t+1].$$
#
# **Predict:** after a spike and its reset, can $V$ still be above the threshold?

# %%
third = neurons.Record(*(part[:, 0] for part in records[2]))  # layer 3, [T, 512]
after = beta * third.membrane - theta * third.spikes
above = (after > theta).sum() / third.spikes.sum()
print(f"{third.spikes.sum():.0f} spikes in layer 3; after {above:.0%} of them V is still above the threshold")
assert above > 0.2

# %% [markdown]
# Reset by subtraction takes off one threshold, however high the voltage was. A neuron that is driven far past it fires at every step and is still not through. Two neurons of layer 3, one that is driven hard and one that is not:

# %%
busy = third.membrane.amax(0).argmax()
calm = ((third.spikes.sum(0) - 6).abs() + third.membrane.amax(0) / 100).argmin()
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6))
for ax, neuron, name in zip(axes, (busy, calm), ("driven hard", "driven gently"), strict=True):
    plots.membrane(neurons.Record(*(part[:, neuron] for part in third)), ax, threshold=theta)
    ax.plot(after[:, neuron], ".", color=plots.COLORS["target"], label="after leak and reset, V")
    ax.set_title(f"neuron {neuron}: {name}, {third.spikes[:, neuron].sum():.0f} spikes")
axes[0].legend(loc="center right", fontsize=8)
axes[1].set_ylim(bottom=-0.15)
plots.show(
    figure,
    "Membrane before the reset (line) and after leak and reset (green dots), threshold dashed, spikes on top. The one "
    f"driven hard reaches {third.membrane[:, busy].max():.0f} thresholds and stays above; the other falls back below.",
)
assert (after[1:, busy] > theta).all() and (after[:, calm] <= theta).all()

# %% [markdown]
# From $U$ and $V$ the current that nobody recorded comes back: $I[t] = U[t] - V[t-1]$. The first layer sees a constant image, so its current must not change from step to step. Does it?

# %%
first = neurons.Record(*(part[:, 0].flatten(1) for part in records[0]))  # layer 1, [T, 6272]
current = first.membrane[1:] - (beta * first.membrane - theta * first.spikes)[:-1]
drift = (current - current[0]).abs().max().item()
print(f"{current.shape[1]:,} currents over {len(current)} steps: the largest change is below {1e-4:g}")
assert drift < 1e-4

# %% [markdown]
# ## 2 · One picture a layer
#
# A heatmap shows a whole layer at once, and in the order of the neurons' numbers it shows noise: the numbers of a fully connected layer mean nothing. Sort the rows and the same values speak. Two orders, each one line: the highest membrane first, and the first spike first (silent neurons last).

# %%
by_peak = third.membrane.amax(0).argsort(descending=True)
fired = third.spikes.any(0)
first_spike = torch.where(fired, third.spikes.argmax(0), T)  # argmax of a silent row is 0: hence the where
by_first = first_spike.argsort(stable=True)
assert torch.equal(third.membrane[:, by_peak].amax(0), third.membrane.amax(0).sort(descending=True).values)

# %% [markdown]
# **Predict:** what share of the 512 neurons fires for this digit at all? And when does most of the layer that fires at all do so for the first time: early, late, or evenly spread?

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), sharey=True)
orders = {"number": torch.arange(512), "peak": by_peak, "first spike": by_first}
for ax, (name, rows) in zip(axes, orders.items(), strict=True):
    plots.heatmap(third.membrane[:, rows], ax, vmin=-1.5, vmax=1.5, label="")
    ax.set(title=f"by {name}", ylabel="neuron" if ax is axes[0] else "")
at_once = (first_spike[fired] <= 1).float().mean()
plots.show(
    figure,
    f"The membranes of layer 3 for a {test.labels[0]} in three orders of the same rows: {fired.float().mean():.0%} of "
    f"the neurons fire at all, {at_once:.0%} of those for the first time in steps 0 or 1.",
)

# %% [markdown]
# Closer, with the threshold as a contour and the spikes over it: 40 rows around the place where firing ends, sorted by peak.

# %%
edge = int(fired.sum())
rows, nearly = by_peak[edge - 30 : edge + 10], third.membrane[:, by_peak[edge]].max() / theta
ax = plt.figure(figsize=(8, 3.8)).subplots()
plots.heatmap(third.membrane[:, rows], ax, threshold=theta, vmin=-1.5, vmax=1.5)
plots.raster(third.spikes[:, rows], ax, markersize=4.5)
ax.set(ylabel="row (a neuron each)", title="a spike wherever the membrane is above the threshold, and nowhere else")
assert ((third.membrane > theta) == (third.spikes > 0)).all()
plots.show(
    ax,
    "Forty neurons of layer 3 around the last that fires (row 29): colour for the membrane, a contour where it crosses "
    f"the threshold, black marks for spikes. Row 30 comes closest of those that never fire: {nearly:.2f} thresholds.",
)

# %% [markdown]
# ### An atlas
#
# The whole way of three digits, from the image to the vote. **Predict:** which of the three hidden layers is the sparsest, that is, in which does the smallest share of neurons fire at all?

# %%
chosen = [(test.labels == label).nonzero()[0].item() for label in (0, 4, 9)]
with torch.no_grad():
    atlas = net(recipe.encode(T, test.images[chosen].unsqueeze(1) / 255))
alive = [record.spikes.any(0).flatten(1).float().mean(1) for record in atlas]
for number, share in enumerate(alive, 1):
    print(f"layer {number}: neurons that fire for the 0, the 4, the 9:", [f"{s:.0%}" for s in share.tolist()])


# %%
def rows_of(record, digit):
    U = record.membrane[:, digit].flatten(1)
    return U[:, U.amax(0).argsort(descending=True)] if U.shape[1] > 10 else U


# %%
figure, axes = plt.subplots(3, 5, figsize=(10, 5.4), width_ratios=(0.8, 1, 1, 1, 1))
for digit, (index, row) in enumerate(zip(chosen, axes, strict=True)):
    plots.image(test.images[index], row[0]).set_title(f"a {test.labels[index]}", fontsize=9)
    for layer, ax in enumerate(row[1:]):
        ax.imshow(rows_of(atlas[layer], digit).T, aspect="auto", cmap="cividis", vmin=-1.5, vmax=1.5)
        ax.set(xticks=(0, T - 1), yticks=(), xlabel="time step" if digit == 2 else "")
        ax.set_title(f"layer {layer + 1}: {alive[layer][digit]:.0%} fire", fontsize=9)
    plots.raster(atlas[-1].spikes[:, digit], row[-1], markersize=4)
    row[-1].set(yticks=range(10), ylabel="", xticks=(0, T - 1), xlabel="time step" if digit == 2 else "")
(sparsest,) = torch.stack(alive[:3]).argmin(0).unique().tolist()  # the same one for all three digits
plots.show(
    figure,
    "Three digits on their way through the network, one a row: image, the membranes of three hidden layers (sorted by "
    "peak; blue low, yellow high), and the ten outputs with their spikes. The share of neurons that fire at all is "
    f"smallest in layer {sparsest + 1} for all three; of the outputs the right one fires, and hardly another.",
)
assert atlas[-1].spikes.sum(0).argmax(-1).tolist() == [0, 4, 9]

# %% [markdown]
# ## 3 · Right digits against wrong ones
#
# Does it show from inside that a network is about to be wrong? For such a question one picture of one digit is an anecdote. Take the hidden-layer network of notebook 05, all 10,000 bundled digits, and count.

# %%
reader = recipes.trained("hidden-layer", "fast")
images, labels = torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels])
generator, parts = torch.Generator().manual_seed(0), []
with torch.no_grad():
    for some, _ in data.batches(data.Digits(images, labels, ""), 500):
        hidden, output = reader(encoding.poisson(some, T, generator=generator))
        parts.append((hidden.spikes.mean(0), output.spikes.sum(0), output.membrane))
rate, count = (torch.cat(part) for part in list(zip(*parts, strict=True))[:2])  # [N, 256], [N, 10]
voltage = torch.cat([part[2] for part in parts], 1)  # [T, N, 10]

# %%
right = count.argmax(1) == labels
print(f"{right.sum():,} right, {(~right).sum()} wrong of {len(labels):,}")
assert (~right).sum() > 30

# %% [markdown]
# **Predict:** when it is wrong, does the winner win as clearly as otherwise? Does the hidden layer fire as much? (Note that neither question uses the label: "the right neuron fires less" would be true by definition.) Every mean comes with its standard error, the standard deviation over $\sqrt N$; a difference of several of them is not noise.


# %%
def compare(name, value):
    good, bad = value[right].double(), value[~right].double()
    error = [(part.var() / len(part)).sqrt() for part in (good, bad)]
    z = (good.mean() - bad.mean()) / (error[0] ** 2 + error[1] ** 2).sqrt()
    means = f"right {good.mean():6.2f} ± {error[0]:.2f}   wrong {bad.mean():6.2f} ± {error[1]:.2f}"
    print(f"{name:<38} {means}   z {z:5.1f}")
    return z.item()


# %%
usual = torch.stack([rate[labels == c].mean() for c in range(10)])  # classes differ, and so do their errors
best = count.topk(2).values  # of each digit: spikes of the winner, and of the second
z_lead = compare("lead of the winner, spikes", best[:, 0] - best[:, 1])
z_second = compare("spikes of the second", best[:, 1])
z_rate = compare("hidden layer, % of steps with a spike", 100 * rate.mean(1))
z_same = compare("  the same, less the mean of its class", 100 * (rate.mean(1) - usual[labels]))
z_ink = compare("ink, % of the image", 100 * images.float().mean((1, 2)) / 255)
assert z_lead > 10 and min(z_rate, z_same) > 5 and abs(z_ink) < 2 and abs(z_second) < 4

# %% [markdown]
# The last column is the difference in units of its standard error. The lead is far smaller in wrong digits, beyond any doubt, and the whole hidden layer is quieter, though there is as much ink; and not because some classes are quieter than others and are mistaken more often, as the third row shows. About the runner-up little can be said: a difference of so few standard errors, in one of five comparisons, is nothing to build on. What is missing is drive for the winner. The same over time:

# %%
place = count.topk(2).indices  # who ends first and second
figure, axes = plt.subplots(1, 2, figsize=(9, 2.9), sharey=True)
for ax, group, name in zip(axes, (right, ~right), ("right", "wrong"), strict=True):
    for k, (who, colour) in enumerate({"winner": "membrane", "second": "input"}.items()):
        U = voltage[:, group].gather(2, place[group, k].expand(T, -1)[..., None])[..., 0]
        mean, error = U.mean(1), U.std(1) / group.sum() ** 0.5
        ax.plot(mean, color=plots.COLORS[colour], label=who, linestyle="-" if k == 0 else "--")
        ax.fill_between(range(T), mean - 2 * error, mean + 2 * error, color=plots.COLORS[colour], alpha=0.25)
    ax.axhline(1, **plots.LINES["threshold"])
    ax.set(title=f"{group.sum():,} digits read {name}ly", xlabel="time step")
axes[0].set_ylabel("mean membrane U")
axes[0].legend(loc="lower right")
plots.show(
    figure,
    "Mean output membrane of the winner (solid) and the second (dashed), band: two standard errors, threshold dashed "
    f"red. Left, digits read rightly: the winner stands far above. Right: {(~right).sum()} wrong ones, a close race.",
)

# %% [markdown]
# So the lead is a warning light. How good is one? Draw a right digit and a wrong one at random: how often has the right one the larger lead (a tie counts half)? 50 % would be worthless.

# %%
lead = best[:, 0] - best[:, 1]
good, bad = lead[right][:, None], lead[~right][None]
chance = ((good > bad).double() + (good == bad).double() / 2).mean().item()
print(f"the right digit has the larger lead in {chance:.0%} of all pairs")
assert chance > 0.95

# %% [markdown]
# ## 4 · Class means
#
# Now the other cut: not right and wrong but 0 to 9. Average the hidden rates over all digits of a class, and sort the neurons by the class that they fire most for. **Predict:** will there be a group of neurons for each class, which fires for that class only?

# %%
learn, judge = slice(0, 8000), slice(8000, None)  # the means come from one part, what they are worth from another
means = torch.stack([rate[learn][labels[learn] == c].mean(0) for c in range(10)])  # [10, 256]
favourite = torch.where(means.any(0), means.argmax(0), 10)  # 10: fires for none
by_class = (favourite * 10 - means.amax(0)).argsort()  # by class, in each the busiest first
sizes = torch.bincount(favourite, minlength=11).tolist()
print(f"neurons with each class as favourite: {sizes[:10]}; {sizes[10]} fire for none")

# %%
own = means.amax(0).sum() / means.sum()
ax = plt.figure(figsize=(5.5, 4)).subplots()
plots.heatmap(means[:, by_class], ax, label="mean firing rate", vmin=0, vmax=0.5)
ax.set(xlabel="class", xticks=range(10), ylabel="hidden neuron, by favourite class")
plots.show(
    ax,
    "Mean firing rate of each hidden neuron (row) for each class (column), sorted by favourite class. The diagonal is "
    f"brightest, but there is much beside it: {own:.0%} of all hidden spikes are a neuron's for its favourite class.",
)
assert 0.1 < own < 0.6

# %% [markdown]
# No neuron stands for a digit; the pattern does. How much of the digit is in the pattern? Read new digits by it: which class mean is nearest? For comparison the same with the mean *images*.


# %%
def nearest_mean(values):
    means = torch.stack([values[learn][labels[learn] == c].mean(0) for c in range(10)])
    return (torch.cdist(values[judge], means).argmin(1) == labels[judge]).double().mean().item()


# %%
by_rates, by_pixels = nearest_mean(rate), nearest_mean(images.flatten(1) / 255)
error = (2 * 0.25 / len(labels[judge])) ** 0.5  # of a difference of two shares, at most
print(f"nearest class mean, 2,000 other digits: {by_pixels:.1%} by pixels, {by_rates:.1%} by hidden rates")
assert by_rates - by_pixels > 4 * error

# %% [markdown]
# The hidden layer has pulled the classes apart before the output has said a word. Not all equally: which two are still closest? Ask two halves of the digits separately; a finding that only one of them shows is none.


# %%
def closest(part):
    means = torch.stack([rate[part][labels[part] == c].mean(0) for c in range(10)])
    apart = torch.cdist(means, means).fill_diagonal_(torch.inf)
    return divmod(apart.argmin().item(), 10)


halves = closest(slice(0, 5000)), closest(slice(5000, None))
print("the closest two classes, in each half:", *halves)
assert halves[0] == halves[1]

# %% [markdown]
# Membranes show what rates hide, for most neurons of the layer never fire. Here they are over time: the membranes of the hidden layer, averaged over 200 digits of a class, less the average of all ten classes. Teal is above what is usual for a neuron at that step, brown below.

# %%
U = []
with torch.no_grad():
    for label in range(10):
        some = images[labels == label][:200].unsqueeze(1) / 255
        U.append(reader(encoding.poisson(some, T, generator=generator))[0].membrane.mean(1))
apart = torch.stack(U) - torch.stack(U).mean(0)  # [class, T, neuron]

# %%
figure, axes = plt.subplots(2, 5, figsize=(9, 4.4), sharex=True, sharey=True)
for label, ax in enumerate(axes.flat):
    ax.imshow(apart[label][:, by_class].T, aspect="auto", cmap="BrBG", vmin=-5, vmax=5, interpolation="nearest")
    ax.set(title=f"the digit {label}", xticks=(0, T - 1), yticks=())
    group = (favourite[by_class] == label).nonzero().flatten()
    ax.plot([-1, -1], group[[0, -1]], color=plots.COLORS["threshold"], linewidth=5, clip_on=False)
figure.supxlabel("time step", fontsize=9)
for ax in axes[:, 0]:
    ax.set_ylabel("hidden neuron", labelpad=10)
of_group = torch.stack([apart[:, :, favourite == group].mean((1, 2)) for group in range(10)])  # [group, class]
ink = torch.stack([images[labels == label].float().mean() for label in range(10)])
lifted = apart.mean((1, 2)).argmax().item()  # the class that lifts the whole layer most
assert (of_group.diagonal() > 0).all() and lifted == ink.argmin()
plots.show(
    figure,
    "Class means of the hidden membranes over time, one panel a class, neurons in the same order in all, sorted by "
    "favourite class (red bar: those of this class). Every class lifts its own group above the average. The "
    f"{lifted}, which has the least ink, lifts nearly all of the layer: few pixels inhibit little.",
)

# %% [markdown]
# Look at single digits of this network in the same order: choose layer 1 and sort by class.


# %%
def encode(images):
    return encoding.poisson(images, T, generator=torch.Generator().manual_seed(0))


widgets.heatmap_explorer(reader, encode=encode)

# %% [markdown]
# ## Break it: the clinic
#
# Nothing crashes, no warning, and the network does not learn, or seems to and does not. Seven patients, each a small network (784-100-10, ten Poisson steps) with one line of code changed. The explorer trains each for 40 batches; its headline is what `training.diagnose` says first. **Predict**, with the picture alone: which of the seven look healthy?

# %%
widgets.clinic_explorer()

# %% [markdown]
# Now one by one. The examination is always the same: train for 40 batches, look at the loss, ask `diagnose`.


# %%
def report(patient):
    losses = clinic.treat(patient)
    records, _, findings = clinic.examine(patient, test.images[:64], test.labels[:64])
    rates = [f"{record.spikes.mean():.0%}" for record in records]
    print(f"loss {losses[0]:.2f} at first, {losses[-1]:.2f} after {len(losses)} batches; firing rates {rates}")
    print(findings[0])
    return losses[-1]


# %% tags=["nbval-ignore-output"]
patient = clinic.patient()  # in good health
assert report(patient) < 1
healthy = patient

# %% [markdown]
# ### Patient 1 · Zero weights
#
# `scale=0.0` multiplies all first weights by 0, as an initialisation that went wrong does. **Predict:** the loss, to three digits.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.net = clinic.network(scale=0.0)
assert report(patient) > 2.3

# %% [markdown]
# **Symptom:** a loss at $\ln 10$ that does not move. **Diagnosis:** `diagnose` sees it: no membrane ever leaves 0. Silent outputs are a guess, and through weights of zero no gradient flows either. **Repair:** weights that are drawn.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("zero weights")
patient.net = clinic.network(scale=1.0)
assert report(patient) < 1

# %% [markdown]
# ### Patient 2 · Threshold 100
#
# The same loss. Is it the same sickness?

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.net.neuron["threshold"] = 100.0
assert report(patient) > 2.3

# %% [markdown]
# **Symptom:** the same. **Diagnosis:** `diagnose` tells them apart by the membranes, which do move here, and says how far they get. **Repair:** a threshold that they can reach.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("threshold 100")
patient.net.neuron["threshold"] = 1.0
assert report(patient) < 1

# %% [markdown]
# ### Patient 3 · Beta 1 with a bias
#
# With $\beta = 1$ nothing leaks, and a bias $b$ comes in at every step: after $t$ steps it has added $b\,t$, whatever the image. **Predict:** the firing rates, for $b = 3$ and reset by subtraction.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.net = clinic.network(beta=1.0, bias=3.0)
assert report(patient) > 2

# %% [markdown]
# **Symptom:** a loss near $\ln 10$ once more, now with outputs that *all* fire. **Diagnosis:** `diagnose` sees a saturated layer. Each step adds 3 and the reset takes 1: the membrane climbs without end. **Repair:** $\beta = 1$ is fine, with biases of 0 (notebook 07 used it so).

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("beta 1 with bias")
patient.net = clinic.network(beta=1.0, bias=0.0)
assert report(patient) < 1.2

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True)
for ax, bias in zip(axes, (3.0, 0.0), strict=True):
    patient.net = clinic.network(beta=1.0, bias=bias)
    hidden = clinic.examine(patient, test.images[:64], test.labels[:64])[0][0]
    ax.plot(hidden.membrane[:, 0, :30], color=plots.COLORS["membrane"], alpha=0.4, linewidth=1)
    ax.axhline(1, **plots.LINES["threshold"])
    ax.set(title=f"beta 1, bias {bias:g}, untrained", xlabel="time step")
axes[0].set_ylabel("membrane U")
assert hidden.membrane.abs().max() < 10
plots.show(
    figure,
    "Thirty hidden membranes for one digit, no leak: with a bias of 3 all climb away from the threshold (dashed), "
    "without a bias they stay within a few thresholds of it.",
)

# %% [markdown]
# ### Patient 4 · Slope 1000
#
# The surrogate derivative of notebook 04, made so steep that it is nearly the true one. **Predict:** are the *spikes* of the untrained network different from those of the healthy one?

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.net.neuron["spike"] = surrogates.fast_sigmoid(slope=1000)
assert report(patient) > 1.7

# %% [markdown]
# **Symptom:** a loss that hardly moves though neurons fire. **Diagnosis:** `diagnose` finds dead neurons, which is a consequence; it looks at records, and records hold no gradient. What sees the cause is the size of the gradient, layer by layer, *before* training, when the spikes are the same to the bit.


# %%
def gradients(patient):
    x = encoding.poisson(test.images[:64].unsqueeze(1) / 255, 10, generator=torch.Generator().manual_seed(0))
    records = patient(x)
    patient.loss(records[-1], test.labels[:64]).backward()
    return [layer.weight.grad.norm().item() for layer in (patient.net.layers[0][1], patient.net.layers[1])], records


(usual, spikes), (steep, same) = gradients(clinic.patient()), gradients(clinic.patient("slope 1000"))
assert all(torch.equal(a.spikes, b.spikes) for a, b in zip(spikes, same, strict=True))
for layer in 0, 1:
    print(f"layer {layer + 1}: gradient {usual[layer] / steep[layer]:,.0f} times smaller with slope 1000")
assert usual[0] > 30 * steep[0]

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("slope 1000")
patient.net.neuron["spike"] = surrogates.fast_sigmoid(slope=10)
assert report(patient) < 1

# %% [markdown]
# ### Patient 5 · No reset between batches
#
# From here on the patients look well, and that is what makes them dangerous. This one keeps its membranes from one batch to the next, as many libraries do until they are told otherwise.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.keeps_state = True
assert report(patient) < 1
sick = patient

# %% [markdown]
# **Symptom:** it learns, a little worse. **Diagnosis:** `diagnose` sees nothing. **Predict:** what do you get if you ask a healthy network the same question twice? And this one?


# %%
def same_answer_twice(patient):
    x = encoding.poisson(test.images[:64].unsqueeze(1) / 255, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(patient(x)[-1].spikes, patient(x)[-1].spikes)


print("healthy:", same_answer_twice(healthy), "  keeps its state:", same_answer_twice(sick))
assert same_answer_twice(healthy) and not same_answer_twice(sick)

# %% [markdown]
# Asking twice is the test. It costs one line and belongs into every project. **Repair:** start each batch from rest (elsewhere: `snntorch.utils.reset(net)`, `functional.reset_net(net)`).

# %% tags=["nbval-ignore-output"]
few = data.Digits(test.images[:1984], test.labels[:1984], "31 batches of 64")
share = {"kept": training.accuracy(sick, few, sick.encode, batch_size=64)}
patient = clinic.patient("no reset between batches")
patient.keeps_state = False
assert report(patient) < 1
share["from rest"] = training.accuracy(patient, few, patient.encode, batch_size=64)
print({name: f"{value:.0%} right" for name, value in share.items()})
assert share["from rest"] > share["kept"] + 0.03

# %% [markdown]
# ### Patient 6 · Negative numbers into Poisson
#
# Images normalised to $[-1, 1]$, `(images - 0.5) / 0.5`, as in most recipes for CNNs; then an encoder that compares each with a random number from $[0, 1)$ and asks no questions.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.encode = lambda images: (torch.rand(10, *images.shape) < 2 * images - 1).float()
assert report(patient) < 1

# %% [markdown]
# **Symptom:** none, on these digits. **Diagnosis:** `diagnose` sees nothing, for the layers are well. But a pixel below one half can never fire any more. **Predict:** turn the light down, so that every pixel is at half its brightness, and let both read.

# %% tags=["nbval-ignore-output"]
half = data.Digits(test.images // 2, test.labels, "at half brightness")
for name, who in ("healthy", healthy), ("negatives", patient):
    bright, dim = (training.accuracy(who, digits, who.encode) for digits in (test, half))
    print(f"{name:>9}: {bright:.0%} in full light, {dim:.0%} in half light")
    assert bright > 0.8 and (dim > 0.7) == (name == "healthy")

# %% [markdown]
# Blind at dusk. What sees it is the range of the input: look at it, or use an encoder that does. **Repair:** encode the pixels themselves, in $[0, 1]$, with an encoder that refuses anything else.

# %%
try:
    encoding.poisson(2 * test.images[:1] / 255 - 1, 10)
except ValueError as error:
    print(error)

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("negatives into Poisson")
patient.encode = lambda images: encoding.poisson(images, 10)
assert report(patient) < 1
print(f"in half light: {training.accuracy(patient, half, patient.encode):.0%}")

# %% [markdown]
# ### Patient 7 · The loss on the wrong axis
#
# Spikes are $[T, B, C]$. The sum should go over time; here it goes over the classes. There are ten steps and ten classes, so no shape complains.

# %% tags=["nbval-ignore-output"]
patient = clinic.patient()
patient.loss = lambda output, label: F.cross_entropy(output.spikes.sum(-1).T, label)
assert report(patient) > 2

# %% [markdown]
# **Symptom:** a lively network, a loss that stays above $\ln 10$: it is asked to fire most at *time step* 3 for a 3. **Diagnosis:** `diagnose` sees nothing: the records are those of a working network. What sees it is a **perfect answer made by hand**. **Predict:** what should a loss of counts say to ten spikes in a row from the right neuron?

# %%
label = torch.arange(10)
perfect = F.one_hot(label, 10).float().expand(10, 10, 10)  # at every step, for each digit, the right neuron alone
output = neurons.Record(perfect, perfect)
print(f"the right axis {healthy.loss(output, label):.4f}, the wrong one {patient.loss(output, label):.4f}")
assert healthy.loss(output, label) < 0.01 < 2.3 < patient.loss(output, label)

# %% tags=["nbval-ignore-output"]
patient = clinic.patient("loss on the wrong axis")
patient.loss = lambda output, label: F.cross_entropy(output.spikes.sum(0), label)
assert report(patient) < 1

# %% [markdown]
# In your own projects: let the numbers of steps, digits in a batch and classes be three different numbers, and a wrong axis is an error at once.
#
# ### The ward round
#
# All seven side by side: the loss as they came and after the repair, and whether `diagnose` had anything to say.

# %% tags=["nbval-ignore-output"]
print(f"{'':<26}{'loss':>6}{'repaired':>10}   diagnose")
for name in clinic.SICKNESSES:
    came, left = clinic.visit(name), clinic.visit(name, treated=True)
    seen = came.findings[0].split(":")[0] if not came.findings[0].startswith("Nothing") else "nothing"
    print(f"{name:<26}{came.losses[-1]:>6.2f}{left.losses[-1]:>10.2f}   {seen}")
    assert left.losses[-1] < 1.2

# %% [markdown]
# | check | one line | sees |
# |---|---|---|
# | records | `training.diagnose(records, loss)` | silent, saturated, dead layers; a loss at its floor |
# | gradients | `layer.weight.grad.norm()` | a slope too steep, weights of zero |
# | the same question twice | `torch.equal(net(x)[-1].spikes, net(x)[-1].spikes)` | state that was kept |
# | the range of the input | `images.min(), images.max()` | normalised images in an encoder of rates |
# | a perfect answer | `loss(perfect, label)` | a wrong axis, a loss with a high floor |

# %% [markdown]
# ## Where the libraries differ
#
# What each calls "the membrane" is not the same moment. `snntorch.Leaky` gives you $U$ before the reset, as here; you keep it yourself, in the loop.

# %%
exact, image = copy.deepcopy(net).double(), x[0].double()  # 64 bits: no rounding at the threshold
leaky = [snntorch.Leaky(beta=beta, threshold=theta).double() for _ in exact.layers]
state, theirs = [layer.reset_mem() for layer in leaky], []
with torch.no_grad():
    for _ in range(T):
        signal = image
        for i, layer in enumerate(exact.layers):
            signal, state[i] = leaky[i](layer(signal.double()), state[i])
        theirs.append(state[2])  # the membranes of layer 3
    ours = exact(encoding.direct(image, T))[2]
torch.testing.assert_close(torch.stack(theirs), ours.membrane, rtol=1e-6, atol=1e-5)  # its beta has 32 bits
print("snnTorch's membranes of layer 3 are ours")

# %% [markdown]
# In SpikingJelly a neuron keeps the voltages if it is told to, and those are *after* its reset: with a reset to zero no trace ever crosses the threshold, which puzzles everybody once. In Norse the state is handed back to you, with the voltage after the reset too; keep it in the loop.
#
# ```python
# lif = neuron.LIFNode(step_mode="m", store_v_seq=True)     # SpikingJelly
# spikes = lif(current)                                     # [T, ...]
# V = lif.v_seq                                             # [T, ...], after the reset
#
# cell, state, V = norse.LIFCell(), None, []                # Norse
# for step in current:
#     spikes, state = cell(step, state)
#     V.append(state.v)
# ```
#
# For any PyTorch module that you cannot change, `module.register_forward_hook(lambda module, inputs, output: film.append(output))` keeps what it returns; take the hook off again with `.remove()`, or it keeps every batch for ever.

# %% [markdown]
# ## Exercises
#
# ### Exercise 08.1 · The shapes of the records
# `networks.csnn()` gets a batch of 5 digits for 12 steps. What are the shapes of the membranes of its four layers? Write four tuples, without running the network. Stuck: `hint("08.1")`.

# %%
answer = ...  # [(..., ...), (..., ...), (..., ...), (..., ...)]

check("08.1", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = [(12, 5, 32, 14, 14), (12, 5, 64, 7, 7), (12, 5, 512), (12, 5, 10)]
# ```
#
# </details>

# %% [markdown]
# ### Exercise 08.2 · Read tau off a decay
# A neuron at rest gets one input, too small to make it fire, and then nothing. Write a function that takes its membrane `[T]` and the length of a step `dt` in ms, and returns its time constant $\tau$ in ms. The membrane decays exactly, $\beta = e^{-\mathrm{d}t/\tau}$.


# %%
def read_tau(membrane, dt):
    return ...  # your code here


check("08.2", read_tau)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def read_tau(membrane, dt):
#     peak = membrane.abs().argmax()
#     beta = membrane[peak + 1] / membrane[peak]
#     return -dt / torch.log(beta)
# ```
#
# With $\tau$ in hand you can check what a library made of yours.
#
# </details>

# %% [markdown]
# ### Exercise 08.3 · The first spike
# Write the order of section 2 as a function: from spikes `[T, N]` the step of each neuron's first spike, `[N]`, and $T$ for those that never fire.


# %%
def first_spikes(spikes):
    return ...  # your code here


check("08.3", first_spikes)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def first_spikes(spikes):
#     return torch.where(spikes.any(0), spikes.argmax(0), len(spikes))
# ```
#
# </details>

# %% [markdown]
# ### Exercise 08.4 · The silent layer
# Write a function that takes the list of records that a network returned and gives the number of the first layer (counted from 1) in which no neuron fires for any digit at any step, or 0 if there is none.


# %%
def silent_layer(records):
    return ...  # your code here


check("08.4", silent_layer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def silent_layer(records):
#     for number, record in enumerate(records, 1):
#         if not record.spikes.any():
#             return number
#     return 0
# ```
#
# The first one is the one to treat: those above it may only be waiting.
#
# </details>

# %% [markdown]
# ### Exercise 08.5 · Four strangers
# `clinic.stranger(1)` to `clinic.stranger(4)` are four untrained patients, each with one of the seven sicknesses. Examine them with all that you have (`report`, `gradients`, `same_answer_twice`, `encode`, a perfect answer), and write down four names of `list(clinic.SICKNESSES)`.

# %%
answer = ...  # ["...", "...", "...", "..."]

check("08.5", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = ["loss on the wrong axis", "beta 1 with bias", "no reset between batches", "slope 1000"]
# ```
#
# 1: a lively network, but a perfect answer is given a loss of $\ln 10$. 2: saturated. 3: two answers to one question. 4: the spikes of the healthy network, and a gradient that is all but gone.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - Keep spikes and membranes of every layer, for a few digits. Before the reset, the membrane explains the spike; what is left after it, and the current, follow from the record.
# - Sort the rows, then look. One picture is an anecdote: a finding needs enough digits, its standard error, and a second half that agrees.
# - Five checks for a network that does not learn: records, gradients, the same question twice, the range of the input, the loss of a perfect answer. The worst sicknesses are those that look well.
#
# | new word | symbol | unit |
# |---|---|---|
# | record | $S[t]$, $U[t]$ of a layer | $[T, B, \dots]$ |
# | membrane after leak and reset | $V[t] = \beta U[t] - \theta S[t]$ | as $U$ |
# | lead | spikes of the winner less those of the second | spikes |
# | standard error | standard deviation over $\sqrt N$ | as the mean |
# | $z$ | a difference over its standard error | |
# | class mean | mean over all digits of a class | as what is averaged |
# | saturated, silent, dead | fires at (nearly) all steps; a layer without a spike; a neuron that fires for no digit | |
#
# **Sources.** The neuron: [Eshraghian et al. 2023](https://doi.org/10.1109/JPROC.2023.3280284). The networks: notebooks 05 and 06. Networks stuck at a constant loss, in other people's words: [snntorch#219](https://github.com/jeshraghian/snntorch/issues/219), [spikingjelly#216](https://github.com/fangwei123456/spikingjelly/issues/216).
#
# **Next:** 09 · Energy and hardware: what a spike costs, and when spikes are cheaper.
