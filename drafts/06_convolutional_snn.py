# %% [markdown]
# # 06 · A convolutional spiking network
#
# **The question: what do shared weights and small patches buy a spiking network, and how does one train it through time on a laptop?**
#
# **You will do:** follow a digit through four layers of spiking neurons, train their 1.6 million weights live, open the network and watch its feature maps fire, find out why the published settings stay silent at first, and time what makes it fast.
# **You will learn:** the shape of the tensor after every layer, pooling before and after the spike, rate and count losses, what a dead start looks like and what cures it, and five tricks that make it fast, four of which change nothing else.
# **You need:** notebooks [03](03_single_layer_snn.ipynb) (rates as scores) and [04](04_surrogate_gradients.ipynb) (surrogate gradients).
#
# Read: about 40 min · runs in about **75 s** on two cores
#
# The lesson trains on the bundled sample: 8,000 training and 2,000 test digits. Its accuracy is *not* MNIST's; the recorded runs near the end are, on all 60,000 and 10,000.

# %% [markdown]
# ## Three questions on the notebook before
#
# 1. The network with one hidden layer has 784 inputs, 256 hidden and 10 output neurons. How many parameters are that?
# 2. Cross entropy is taken at every step, on spikes that are 0 or 1. Which value can it not go below for ten classes, and which does it have if nobody fires?
# 3. A hidden layer is silent at the start. Name two things that wake it up.
#
# <details><summary>Answers</summary>
#
# 1. $(784 + 1)\cdot 256 + (256 + 1)\cdot 10 = 203{,}530$: every output neuron has one weight an input, and a bias.
# 2. Not below $\ln(1 + 9/e) = 1.461$, and $\ln 10 = 2.303$ when all are silent, or all fire.
# 3. Any two of: larger weights, a larger input, a slower leak ($\beta$ nearer to 1), a lower threshold, a wider surrogate.
#
# </details>

# %%
import copy
import math
import statistics
import time

import matplotlib.pyplot as plt
import snntorch
import torch
from IPython.display import display

from snn_helpers import data, encoding, inputs, networks, neurons, plots, recipes, surrogates, training, widgets
from snn_helpers.exercises import check, hint

plots.use_style()
train, test = data.mnist(train=True, root="bundled"), data.mnist(train=False, root="bundled")
print(train.source, test.source, sep="\n")

# %% [markdown]
# ## See it first
#
# A trained network reads a digit, and you are its optician. Move the digit, turn it, thicken it, add noise: how far can you go before the vote tips? (Every slider works from the keyboard: Tab to reach it, arrows to move it.)

# %%
widgets.digit_explorer()

# %% [markdown]
# ## 1 · Layer by layer
#
# The single layer of notebook 03 needs a template for the whole digit. A **convolution** needs one for a patch of 3 × 3 pixels only, and lays it on every place. Map $k$ of a layer gets the current
#
# $$I_k[t]\,(x, y) = b_k + \sum_{j}\ \sum_{u,v=-1}^{1} w_{kj}(u, v)\; S_j[t]\,(x + u,\, y + v),$$
#
# summed over all maps $j$ below. **Max-pooling** then keeps the largest of each 2 × 2 currents, and a LIF neuron sits on each of those that are left.
#
# **Predict**, before you run the next cells: the image has $1 \times 28 \times 28$ values. The first convolution makes 32 maps, the second 64, each followed by pooling. How many neurons has each layer?

# %%
net, fast = recipes.trained("csnn", "fast"), recipes.RECIPES["csnn"]["fast"]
steps, digit = fast.steps, test.labels[0].item()
x = inputs.centred(steps, test.images[:1].unsqueeze(1) / 255)  # the image at every step
with torch.no_grad():
    records = net(x)

# %%
print("input  ", list(x.shape), "= [time, batch, maps, height, width]")
for number, record in enumerate(records, 1):
    print(f"layer {number}", list(record.spikes.shape))

# %%
shapes = [x.shape[2:], *(record.spikes.shape[2:] for record in records)]
route = " → ".join("x".join(map(str, shape)) for shape in shapes)
print(route)

# %%
between = "conv 3x3\npool 2\nLIF", "conv 3x3\npool 2\nLIF", "flatten\nlinear\nLIF", "linear\nLIF"
ax = plots.layers(shapes, plt.figure(figsize=(9, 2.4)).subplots(), steps=between)
plots.show(ax, f"The network: maps shrink and become more, {route}; every value after the image is a spiking neuron.")

# %% [markdown]
# One value of the first convolution by hand: a patch of the image, the kernel of map 5, multiply and add.

# %%
conv, pool = net.layers[0]
patch = x[0, 0, 0, 9:12, 13:16]  # 3 x 3 pixels around row 10, column 14
by_hand = (conv.weight[5, 0] * patch).sum() + conv.bias[5]
assert torch.isclose(by_hand, conv(x[0])[0, 5, 10, 14], atol=1e-5)
print(f"one current out of {conv(x[0]).numel():,}: {by_hand.item():.2f}")

# %% [markdown]
# And the whole network from scratch: at each step the signal runs through all layers, and every layer remembers its membranes,
#
# $$U[t] = \beta\, U[t-1] + I[t] - \theta\, S[t-1], \qquad S[t] = 1 \text{ where } U[t] > \theta.$$

# %%
beta, theta = net.neuron["beta"], net.neuron["threshold"]
print(f"beta {beta}, theta {theta}")

# %%
U, S, votes = [0.0] * 4, [0.0] * 4, torch.zeros(1, 10)
with torch.no_grad():
    for signal in x:
        for i, layer in enumerate(net.layers):
            U[i] = beta * U[i] + layer(signal) - theta * S[i]
            signal = S[i] = (U[i] > theta).float()
        votes += signal

# %%
assert torch.equal(votes, records[-1].spikes.sum(0))
print(f"this is a {digit}; spikes of the ten output neurons: {votes[0].int().tolist()}")

# %% [markdown]
# The helper does the same, spike for spike, and keeps every step of every layer.
#
# ## 2 · Pool before or after the spike?
#
# Here the pooling takes the largest *current*, and one neuron stands for four places. One can as well put a neuron on all four and pool their *spikes*: a 1 if any of them fires.
#
# **Predict:** the input is constant. Can pooling after the spike lose a spike that pooling before has? Which of the two fires more?


# %%
def both_ways(layer, signal):
    conv, pool = layer
    current = conv(signal.flatten(0, 1))
    before = neurons.lif(pool(current).unflatten(0, signal.shape[:2]), **net.neuron).spikes
    after = neurons.lif(current.unflatten(0, signal.shape[:2]), **net.neuron).spikes
    return before, pool(after.flatten(0, 1)).unflatten(0, signal.shape[:2])


# %%
some = test.images[:50].unsqueeze(1) / 255
with torch.no_grad():
    before, after = both_ways(net.layers[0], inputs.centred(steps, some))
assert (after >= before).all()
print(f"layer 1 fires at {before.mean():.1%} of all steps (pool, then spike) or {after.mean():.1%} (spike, then pool)")

# %% [markdown]
# With a constant input the neuron that sees the largest current has exactly the same spikes both ways; pooling afterwards adds those of its three neighbours, which may fire at *other* steps. So nothing can be lost, and the rate goes up. One layer up the input changes from step to step and the proof no longer holds. What is left of it, measured:

# %%
with torch.no_grad():
    before, after = both_ways(net.layers[1], before)
lost, gained = ((before > after).float().mean(), (after > before).float().mean())
print(f"layer 2 fires at {before.mean():.1%} (pool, then spike) or {after.mean():.1%} (spike, then pool)")
print(f"spikes that only one way has, as a share of neurons and steps: {lost:.2%} and {gained:.2%}")


# %% [markdown]
# **Predict:** the weights were trained with pooling before the spike. Move it behind the spike in both layers, train nothing anew: does the reader break down?


# %%
def pool_last(images):
    signal = inputs.centred(steps, images)
    for layer in net.layers[:2]:
        signal = both_ways(layer, signal)[1]
    for layer in net.layers[2:]:
        current = layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
        signal = neurons.lif(current, **net.neuron).spikes
    return signal.sum(0).argmax(-1)


# %%
few = data.Digits(test.images[:200], test.labels[:200], "")
with torch.no_grad():
    moved = torch.cat([pool_last(images) for images, _ in data.batches(few, 50)])
kept = training.accuracy(net, few, lambda images: inputs.centred(steps, images))
behind = (moved == few.labels).double().mean().item()
print(f"pooling as trained: {kept:.0%} right · behind the spike, same weights: {behind:.0%}")

# %% [markdown]
# Two functions that differ in some of their spikes; the votes hardly notice. So the choice is one of cost: pooling first leaves a quarter of the neurons to compute, 6,272 instead of 25,088 in the first layer, and fewer spikes to send. This series pools first, as the published network does.
#
# ## 3 · Train it
#
# ### Two losses
#
# The output layer gives spikes $S_c[t]$. The published network takes the cross entropy at every step and averages it (the **rate loss**); our recipe takes it once, of the spike counts (the **count loss**):
#
# $$L_\text{rate} = -\frac1T \sum_t \ln \frac{e^{S_y[t]}}{\sum_c e^{S_c[t]}}, \qquad L_\text{count} = -\ln \frac{e^{N_y}}{\sum_c e^{N_c}}, \qquad N_c = \sum_t S_c[t].$$
#
# **Predict:** an output that cannot be better: the right neuron fires at every one of 8 steps, the others never. Which of the two losses is near 0?

# %%
label = torch.tensor([3])
spikes = torch.zeros(8, 1, 10)
silent = neurons.Record(spikes, spikes)
spikes = spikes.clone()
spikes[:, 0, 3] = 1
perfect = neurons.Record(spikes, spikes)

# %%
for name, loss in ("rate", training.ce_rate_loss), ("count", training.ce_count_loss):
    print(f"{name:>5} loss: perfect {loss(perfect, label).item():.3f}, silent {loss(silent, label).item():.3f}")

# %% [markdown]
# The rate loss compares a spike, which is 0 or 1, with the other nine at one step: even perfection costs $\ln(1 + 9/e)$, and its gradient never rests. The count loss lets the evidence of all steps add up. Both say $\ln 10$ for silence. Remember the two numbers; you will read them off a real log further down.

# %%
floor, silence = math.log(1 + 9 / math.e), math.log(10)
assert abs(training.ce_rate_loss(perfect, label) - floor) < 1e-5
assert abs(training.ce_count_loss(silent, label) - silence) < 1e-5
print(f"ln(1 + 9/e) = {floor:.4f}   ln 10 = {silence:.4f}")

# %% [markdown]
# ### Live
#
# Two sets of settings for these four layers: the published ones (`reference`) and ours (`fast`).

# %%
for name in "reference", "fast":
    recipe = recipes.RECIPES["csnn"][name]
    print(f"{name}: T = {recipe.steps}, learning rate {recipe.lr}")
    for what in "neuron", "encoding", "loss", "optimizer":
        print(f"    {what}: {recipe.about[what]}")

# %% [markdown]
# Ours first, for two passes over 8,000 digits; the published ones have their own section below. After every 100 batches the network is judged on 500 test digits, which is how the published network follows its training. You may stop it at any time with the ■ button.
#
# **Predict:** with which loss does it start, and why does it stay there for some batches?


# %%
def encode(images):
    return inputs.centred(steps, images)


# %% tags=["nbval-ignore-output"]
torch.manual_seed(0)
net = fast.network()
quick = data.Digits(test.images[:500], test.labels[:500], "")
settings = dict(epochs=2, batch_size=fast.batch_size, lr=fast.lr, schedule=fast.schedule, seed=0)
live = widgets.LiveHistory()
display(live)
history = training.fit(net, train, encode, fast.loss, test=quick, test_every=100, on_step=live, **settings)

# %% tags=["nbval-ignore-output"]
reached = f"{history.test_accuracy[-1]:.1%}" if history.test_accuracy else "none yet"
ax = plots.history(history.loss, accuracy=history.test_accuracy, test_step=history.test_step)
plots.show(
    ax,
    "The loss of each batch (faint) and its running mean; on top the accuracy on 500 test digits at the first batch, "
    f"after every 100 more and after each epoch, the last one {reached}.",
)
assert history.interrupted or history.test_accuracy[-1] > 0.9

# %% [markdown]
# The first batches stand at $\ln 10$: nobody votes yet. Then somebody does, and it takes off.
#
# ### What it gets wrong
#
# All 2,000 test digits, none of which it has seen.

# %% tags=["nbval-ignore-output"]
counts = training.scores(net, test, encode)
answers = counts.argmax(-1)
share = (answers == test.labels).double().mean().item()
print(f"{share:.1%} of {len(answers):,} test digits are right")
assert history.interrupted or share > 0.9

# %% tags=["nbval-ignore-output"]
confusion = torch.zeros(10, 10).index_put((test.labels, answers), torch.ones(len(answers)), accumulate=True)
wrong = confusion - confusion.diag().diag()
worst = wrong.argmax().item()
ax = plots.confusion(confusion, plt.figure(figsize=(4.6, 4.6)).subplots())
plots.show(
    ax,
    f"Rows are the digits, columns the answers: {share:.1%} are right. The commonest error: a {worst // 10} that is "
    f"taken for a {worst % 10}, {wrong.max():.0f} times.",
)

# %% tags=["nbval-ignore-output"]
of_label = counts.gather(1, test.labels[:, None])[:, 0]
others = counts.scatter(1, test.labels[:, None], -1).max(-1).values
hardest = (of_label - others).argsort(stable=True)[:25]
assert len(hardest.unique()) == 25

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(5, 5, figsize=(5.6, 6.4))
for ax, i in zip(axes.flat, hardest, strict=True):
    plots.image(test.images[i], ax).set_title(f"{test.labels[i]} read {answers[i]}", fontsize=8)
plots.show(
    figure,
    "The 25 hardest test digits, those whose own neuron is furthest behind (or least ahead of) the best of the others, "
    "each with its label and the answer.",
)

# %% [markdown]
# Would you have read them all?
#
# ### How many steps does it need?
#
# Trained with 8 steps; it can be asked at any step, also past the eighth. **Predict:** how good is it at the first step? And after twice as many steps as it was trained for?

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    running = [net(inputs.centred(20, images))[-1].spikes.cumsum(0) for images, _ in data.batches(quick, 100)]
right = (torch.cat(running, 1).argmax(-1) == quick.labels).double().mean(1)
assert history.interrupted or right[-1] > right[0]

# %% tags=["nbval-ignore-output"]
ax = plots.spread(right[None], plt.figure(figsize=(7, 2.6)).subplots(), x=torch.arange(1, 21), marker="o")
ax.axvline(steps, **plots.LINES["target"])
ax.set(xlabel="time steps used", ylabel="test accuracy", xticks=(1, 4, 8, 12, 16, 20))
plots.show(
    ax,
    f"Accuracy against the number of steps counted: {right[0]:.0%} after one, {right[3]:.0%} after four, "
    f"{right[steps - 1]:.1%} after the {steps} it was trained with (dash-dotted), {right[-1]:.1%} after 20.",
)

# %% [markdown]
# There is no delay between the layers: a spike of layer 1 reaches layer 4 within the same step. So there may be an answer after a single step; counting on settles the digits whose neurons need more than one step to charge. And nothing breaks past the last step it was trained with: the state is the same at every step, so the network may simply go on.
#
# ## 4 · Look inside
#
# From here on the network with the bundled weights, trained on the full MNIST. Its first kernels are so small that they can be shown whole. **Predict:** what will they look for?

# %%
trained = recipes.trained("csnn", "fast")
kernels = trained.layers[0][0].weight.detach()[:, 0]
print(list(kernels.shape))

# %%
top = kernels.abs().quantile(0.97).item()
ax = plots.tiles(kernels, plt.figure(figsize=(8, 1.2)).subplots(), columns=16, cmap="BrBG", vmin=-top, vmax=top)
plots.show(
    ax,
    f"The {len(kernels)} kernels of the first convolution, teal for positive weights, brown for negative: teal on one "
    "side and brown on the other is an edge, a teal bar between brown ones is a stroke.",
)

# %% [markdown]
# Scrub through the maps they make: one digit, both convolutional layers, every channel, every step. Find a map that answers to horizontal strokes, and one that fires where there is *no* ink (the background is below the mean, so it is a negative input).

# %%
widgets.feature_map_explorer()

# %% [markdown]
# How much does each layer fire? Every digit counts, every neuron, every step; a network as it is drawn against the trained one.

# %%
torch.manual_seed(0)
fresh = fast.network()
with torch.no_grad():
    rates = [[record.spikes.mean().item() for record in each(encode(some))] for each in (fresh, trained)]
for number, (drawn, learnt) in enumerate(zip(*rates, strict=True), 1):
    print(f"layer {number}: {drawn:6.1%} untrained, {learnt:6.1%} trained")

# %% [markdown]
# And the way of one digit through the whole network: the hardest of the 25 above, through the network that *you* trained.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    film = net(encode(test.images[hardest[:1]].unsqueeze(1) / 255))
own, most = test.labels[hardest[0]].item(), answers[hardest[0]].item()
assert len(film) == 4

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(4, steps, figsize=(9, 4.6), sharey="row", height_ratios=(1, 2, 1, 1.5))
for t, column in enumerate(axes.T):
    first, second, third, votes = (record.spikes[t, 0] for record in film)
    column[0].set_title(f"step {t}", fontsize=9)
    plots.tiles(first, column[0], columns=8, cmap="gray")
    plots.tiles(second, column[1], columns=8, cmap="gray")
    plots.tiles(third.view(1, 16, 32), column[2], cmap="gray")
    so_far = film[-1].spikes[: t + 1, 0].sum(0)
    plots.bars(so_far, column[3], highlight=own).set(xticks=(0, 9), xlabel="", ylim=(0, steps))
for ax, name in zip(axes[:, 0], ("layer 1", "layer 2", "layer 3", "votes so far"), strict=True):
    ax.set_ylabel(name)
plots.show(
    figure,
    f"A {own} on its way through the layers, step by step (white: a spike), and the votes so far: its own neuron "
    f"(green) ends with {so_far[own]:.0f} spikes, the one of the {most} with {so_far[most]:.0f}.",
)

# %% [markdown]
# ## 5 · Why this is fast
#
# Training through time costs $T$ times as much as training a CNN, unless one looks at what is really different from step to step. Five tricks: the first four do not change what is computed, the last one a little. Time each on your own machine. The stopwatch takes turns and keeps the median, so that a busy moment does not decide.


# %%
def times_faster(slow, fast, runs=3):
    took = {slow: [], fast: []}
    with torch.no_grad():
        for _ in range(runs + 1):  # the first one warms up
            for run in took:
                start = time.perf_counter()
                run()
                took[run].append(time.perf_counter() - start)
    return statistics.median(took[slow][1:]) / statistics.median(took[fast][1:])


# %% [markdown]
# **A constant input is computed once.** `encoding.direct` (and `inputs.centred`) return a view whose time stride is 0: all steps are the same memory. The first convolution and its pooling then need one pass, not $T$. Copy the input $T$ times and the network cannot know. **Predict:** do the answers differ?

# %%
x = encode(some)
copied = x.contiguous()
print("time stride of the view", x.stride(0), " of the copy", copied.stride(0))

# %%
with torch.no_grad():
    for once, every in zip(trained(x), trained(copied), strict=True):
        assert (once.spikes == every.spikes).float().mean() > 0.9999
        assert (once.membrane - every.membrane).abs().median() < 1e-4
print("the same spikes, the same membranes up to rounding")

# %% tags=["nbval-ignore-output"]
gain = {"constant input once": times_faster(lambda: trained(copied), lambda: trained(x))}
print(f"about {gain['constant input once']:.1f} times as fast")
assert gain["constant input once"] > 0.3

# %% [markdown]
# **Time folded into the batch, a few steps at a time.** A layer without state does not care whether 64 images come from one step or from two: it may take $T$ steps as one large batch. But then each layer writes more than the processor's cache holds before the next one reads it. In between lies the best: all layers through a few steps, membranes handed on (`initial`), then the next few.


# %%
def in_pieces(x, size):
    record, votes = [None] * 4, 0
    for signal in x.split(size):
        for i, layer in enumerate(trained.layers):
            current = layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
            record[i] = neurons.lif(current, initial=record[i], **trained.neuron)
            signal = record[i].spikes
        votes = votes + signal.sum(0)
    return votes


# %% tags=["nbval-ignore-output"]
long, speed = inputs.centred(16, some), {}
with torch.no_grad():
    assert (in_pieces(long, 1) == in_pieces(long, 16)).float().mean() > 0.99
for size in 1, 2, 4:
    speed[size] = times_faster(lambda: in_pieces(long, 16), lambda: in_pieces(long, size))  # noqa: B023
    print(f"{size} at a time: about {speed[size]:.1f} times as fast as all 16 at once")
gain["few steps at a time"] = max(speed.values())

# %% [markdown]
# **Channels last.** The same numbers in another order in memory: all maps of one pixel side by side, as a convolution on a CPU likes them. One word when the network is made.

# %% tags=["nbval-ignore-output"]
first = copy.deepcopy(trained).to(memory_format=torch.contiguous_format)
with torch.no_grad():
    assert (first(x)[-1].spikes == trained(x)[-1].spikes).float().mean() > 0.99
gain["channels last"] = times_faster(lambda: first(x), lambda: trained(x))
print(f"about {gain['channels last']:.1f} times as fast")

# %% [markdown]
# **No `x[t]`.** A loop over time wants `x[t]`, step by step. If `x` needs a gradient, the backward pass of every such index makes a tensor of zeros as large as all of `x` and fills in one step: $T$ steps cost $T^2$. `x.unbind(0)` cuts once. **Predict:** how does the gap grow from 16 to 96 steps?


# %%
def backward(steps, cut):
    current = torch.full((steps, 64, 512), 0.1, requires_grad=True)
    with torch.enable_grad():
        u = 0.0
        for i in cut(current):
            u = 0.9 * u + i
        u.sum().backward()
    return current.grad


# %%
def by_index(x):
    return (x[t] for t in range(len(x)))


assert torch.equal(backward(16, by_index), backward(16, torch.unbind))

# %% tags=["nbval-ignore-output"]
for T in 16, 96:
    gain["no x[t]"] = times_faster(lambda: backward(T, by_index), lambda: backward(T, torch.unbind))  # noqa: B023
    print(f"{T} steps: unbind is about {gain['no x[t]']:.1f} times as fast")
assert gain["no x[t]"] > 1

# %% [markdown]
# **Half the bits.** In bfloat16, weights and spikes take 16 bits instead of 32. Spikes are exact in it, weights keep about three digits. Processors that have it compute twice as much a second; one that has not gets slower, so ask before you switch it on. And it *does* change something: how much?


# %%
def half():
    with torch.autocast("cpu", torch.bfloat16):
        return trained(x)


# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    low, high = half()[-1].spikes, trained(x)[-1].spikes
same = (low == high).double().mean().item()
agree = (low.sum(0).argmax(-1) == high.sum(0).argmax(-1)).double().mean().item()
print(f"{same:.1%} of output spikes and {agree:.0%} of answers are the same")
assert agree > 0.9

# %% tags=["nbval-ignore-output"]
gain["bfloat16"] = times_faster(lambda: trained(x), half)
print(f"about {gain['bfloat16']:.1f} times as fast")
assert gain["bfloat16"] > 0

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(7, 2.4)).subplots()
ax.barh(list(gain), list(gain.values()), color=plots.COLORS["membrane"])
ax.axvline(1, color="0.4", linewidth=1)
ax.invert_yaxis()
ax.set(xscale="log", xlabel="times as fast", xticks=(1, 2, 5, 10, 20), xticklabels=(1, 2, 5, 10, 20))
best = max(gain, key=gain.get)
plots.show(ax, f"What each trick brings on the machine that made this page; most of all, where it applies: {best}.")

# %% [markdown]
# ## Break it: a dead start
#
# Now the published settings, before any training: one batch forward and backward (with fewer steps than the 100 it was published with; the picture is the same).


# %%
def first_look(name):
    torch.manual_seed(0)
    recipe = recipes.RECIPES["csnn"][name]
    net = recipe.network()
    records = net(recipe.encode(16, train.images[:64].unsqueeze(1) / 255))
    loss = recipe.loss(records[-1], train.labels[:64])
    loss.backward()
    gradients = [p.grad.norm().item() for p in net.parameters() if p.ndim > 1]  # of the four matrices
    for number, (record, gradient) in enumerate(zip(records, gradients, strict=True), 1):
        print(f"layer {number}: rate {record.spikes.mean():6.2%}, size of the gradient {gradient:.0e}")
    return records, loss.item(), gradients


# %%
published = first_look("reference")
assert not published[0][-1].spikes.any()

# %% [markdown]
# The first layer fires now and then; from the second on there is silence. The last two matrices get a gradient of exactly **zero**: the layers that feed them never fired, and $\partial L / \partial w = \delta \cdot S$. Further down it is not zero but invisible: every layer in between multiplies by a surrogate that, far from the threshold, is a few thousandths (notebook 04). The helper says it in words:

# %%
for finding in training.diagnose(published[0], published[1]):
    print("-", finding)

# %% [markdown]
# The same with our settings, still untrained. **Predict:** does it vote? And is that what matters?

# %%
ours = first_look("fast")
times = ours[2][0] / published[2][0]
print(f"the gradient of the first layer is about 10^{math.log10(times):.0f} times as large")
assert times > 100

# %% [markdown]
# It need not vote yet: what counts is that a gradient gets through. What did it? One change at a time, each trained on 25 batches of 32:

# %%
small = data.Digits(train.images[:800], train.labels[:800], "")
cures = {
    "published": (inputs.constant, 25, 1e-2),
    "input centred": (inputs.centred, 25, 1e-2),
    "wider surrogate": (inputs.constant, 5, 1e-2),
    "both, and a smaller step": (inputs.centred, 5, 3e-3),
}

# %% tags=["nbval-ignore-output"]
logs = {}
for name, (code, slope, lr) in cures.items():
    torch.manual_seed(0)
    patient = networks.csnn(spike=surrogates.fast_sigmoid(slope))
    run = dict(epochs=1, batch_size=32, lr=lr, seed=0, progress=False)
    logs[name] = training.fit(patient, small, lambda x: code(8, x), training.ce_rate_loss, **run).loss  # noqa: B023
    print(f"{name:>24}: the last five batches {statistics.mean(logs[name][-5:]):.3f}")
assert logs["published"][-1] > logs["both, and a smaller step"][-1]

# %% tags=["nbval-ignore-output"]
ax = plt.figure(figsize=(8, 2.8)).subplots()
for (name, log), style in zip(logs.items(), ("k-", "C0o-", "C1s-", "C3^-"), strict=True):
    ax.plot(log, style, markersize=4, label=name)
ax.axhline(silence, **plots.LINES["threshold"])
ax.axhline(floor, **plots.LINES["target"])
ax.set(xlabel="batch", ylabel="rate loss", title="a wide surrogate wakes it up, a centred input helps it on")
ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
awake = [sum(abs(value - silence) < 0.01 for value in log) for log in logs.values()]
plots.show(
    ax,
    f"The rate loss of the first {len(small.labels) // 32} batches. Batches spent at ln 10 (dashed, silence): "
    + ", ".join(f"{name} {n}" for name, n in zip(logs, awake, strict=True))
    + ". The lower line is the floor, ln(1 + 9/e).",
)

# %% [markdown]
# Why does the published run wake up at all? Its log on the full MNIST shows it. Adam divides each gradient by its own size, so even an invisible one moves every weight by about the learning rate at each step; at 0.01 a weight of the large matrix, drawn within $\pm 1/\sqrt{3136} = \pm 0.018$, is somewhere else after two batches. It is a blind march, and one day somebody fires. **Before you look:** at which loss will the curve start, and at which can it not go any lower?

# %%
run = recipes.recorded("csnn", "reference")[0]["history"]
log = run["batch_loss"]
print(f"{len(log)} batches, the first three losses: {log[:3]}")

# %%
ax = plt.figure(figsize=(8, 2.8)).subplots()
ax.plot(log, color=plots.COLORS["membrane"], linewidth=1)
ax.axhline(silence, **plots.LINES["threshold"])
ax.axhline(floor, **plots.LINES["target"])
ax.set(xlabel="batch of 128", ylabel="rate loss", title="silent, then awake, then near its floor")
plots.show(
    ax,
    f"The loss of the recorded reference run, batch by batch: it starts at {log[0]:.4f} = ln 10 (dashed) and ends at "
    f"{statistics.mean(log[-20:]):.3f}, just above the lowest value it can have, {floor:.3f} (dash-dotted).",
)

# %% [markdown]
# Exercise 06.5 asks for how long it was silent. Many a question in a forum is this picture: the loss of [snntorch#219](https://github.com/jeshraghian/snntorch/issues/219) stands at $\ln 4$, that of [spikingjelly#216](https://github.com/fangwei123456/spikingjelly/issues/216) at $1/11$.
#
# ## The recorded runs: all of MNIST
#
# The network on the full data: 60,000 training digits, *all* 10,000 test digits (the published run leaves out the last incomplete batch), the accuracy at the end, and more than one seed. `reference` keeps the published settings, the others are our recipes; they are never mixed.

# %%
published = recipes.published("csnn")
p = published["test_accuracy"]
chance = 1.96 * (p * (1 - p) / 10_000) ** 0.5
print(f"published: {p:.2%}, by chance ± {chance:.2%} ({published['of']}, T = {published['steps']})")
print(f"           {published['another_readme']:.2%} in another README of the same system")

# %%
for recipe in recipes.RECIPES["csnn"]:
    runs = recipes.recorded("csnn", recipe)
    last = torch.tensor([run["test_accuracy"] for run in runs], dtype=torch.float64)
    epochs, T = runs[0]["epochs"], runs[0]["steps"]
    print(f"{recipe:>9}: {last.mean():.2%} ± {last.std():.2%} ({len(runs)} seeds, epochs: {epochs}, T = {T})")

# %% [markdown]
# The published system's own figure is the test accuracy on the way. Here it is for its settings and for ours; the crosses are what its log says.

# %%
ax, early = plt.figure(figsize=(8, 3.2)).subplots(), {}
for recipe, colour, mark in ("reference", "membrane", "s"), ("fast", "input", "o"):
    runs = recipes.recorded("csnn", recipe)
    curves = torch.tensor([run["history"]["test_accuracy"] for run in runs])
    seen = torch.tensor(runs[0]["history"]["test_step"]) * runs[0]["settings"]["batch_size"]
    early[recipe] = f"{curves[:, 1].mean():.0%} after {seen[1]:,}"
    plots.spread(curves, ax, x=seen, color=plots.COLORS[colour], label=recipe, marker=mark)
their_log = {128 * (int(batch) + 1): share for batch, share in published["log"].items()}
ax.plot(list(their_log), list(their_log.values()), "x", color="black", label="its own log", zorder=3)
ax.axhspan(p - chance, p + chance, color=plots.COLORS["target"], alpha=0.3, linewidth=0, label="published ± chance")
ax.set(xlabel="training images seen", ylabel="test accuracy", ylim=(0, 1.02))
ax.legend(loc="lower right", fontsize=8)
plots.show(
    ax,
    "Test accuracy on the way through one epoch of the full MNIST, mean of the seeds with their range as a band: the "
    f"reference stands at {early['reference']} images, like the published log (crosses), the fast recipe at "
    f"{early['fast']}.",
)

# %% [markdown]
# A single unseeded run says little: two texts about the very same system print two figures that are points apart. Three seeds, the last batch of the epoch, all test digits, and the spread beside the mean: that is what a number needs before it can be compared.
#
# ## Where the libraries differ
#
# In snnTorch the loop over time is yours, and every layer of neurons is an object whose membrane you hand on. The same weights:


# %%
def in_snntorch(net, image, steps):
    leaky = [snntorch.Leaky(beta=beta, threshold=theta).to(image.dtype) for _ in net.layers]
    membrane, out = [neuron.reset_mem() for neuron in leaky], []
    for _ in range(steps):
        signal = image
        for i, layer in enumerate(net.layers):
            signal, membrane[i] = leaky[i](layer(signal.to(image.dtype)), membrane[i])
        out.append((signal, membrane[-1]))
    return neurons.Record(*map(torch.stack, zip(*out, strict=True)))


# %%
exact, image = copy.deepcopy(trained).double(), x[0, :20].double()  # 64 bits: no rounding at the threshold
with torch.no_grad():
    theirs, record = in_snntorch(exact, image, 12), exact(encoding.direct(image, 12))[-1]
assert torch.equal(theirs.spikes, record.spikes)
torch.testing.assert_close(theirs.membrane, record.membrane, rtol=1e-6, atol=1e-5)  # its beta has 32 bits
print(f"{int(record.spikes.sum())} output spikes, all at the same steps; membranes equal to rounding")

# %% [markdown]
# And the time of a training step, forward and backward, of both. This is the sum of the tricks above.


# %%
def step_of(forward):
    def step():
        with torch.enable_grad():
            training.ce_count_loss(forward(), test.labels[:32]).backward()

    return step


# %% tags=["nbval-ignore-output"]
image = encode(some)[0, :32]
ratio = times_faster(
    step_of(lambda: in_snntorch(trained, image, 24)), step_of(lambda: trained(encoding.direct(image, 24))[-1])
)
trained.zero_grad()
print(f"on this machine about {ratio:.1f} times as fast as the loop over steps, in float32")
assert ratio > 0.5

# %% [markdown]
# In SpikingJelly the network is a `Sequential`; set to multi-step mode it takes all $T$ steps at once, layer by layer:
#
# ```python
# net = nn.Sequential(layer.Conv2d(1, 32, 3, padding=1), layer.MaxPool2d(2), neuron.LIFNode(), ...)
# functional.set_step_mode(net, "m")          # input [T, B, 1, 28, 28]
# rate = net(x).mean(0)
# functional.reset_net(net)                   # before the next batch, or else
# ```
#
# In Norse, `SequentialState` hands the states on for you: `out, state = net(image, state)`, once for each step.

# %% [markdown]
# ## Exercises
#
# ### Exercise 06.1 · Neurons and parameters
# For each of the four layers of `networks.csnn()`: how many neurons, and how many parameters (weights and biases)? Work them out; then compare with `sum(p.numel() for p in layer.parameters())`. The parameters add up to 1,630,090. Stuck: `hint("06.1")`.

# %%
answer = ...  # [(neurons, parameters), (.., ..), (.., ..), (.., ..)]

check("06.1", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = [
#     (32 * 14 * 14, 32 * 1 * 3 * 3 + 32),
#     (64 * 7 * 7, 64 * 32 * 3 * 3 + 64),
#     (512, 512 * 64 * 7 * 7 + 512),
#     (10, 10 * 512 + 10),
# ]
# ```
#
# </details>

# %% [markdown]
# ### Exercise 06.2 · Compute the constant part once
# Write the forward pass of an `SNN` for an image `[B, 1, H, W]` that is shown at every one of `steps` steps. The first weights may see the batch only once. Return the spikes of the last layer, `[T, B, C]`. `net.layers` are the weights, `net.neuron` the settings of `neurons.lif`.


# %%
def hoisted(net, image, steps):
    return ...  # your code here


check("06.2", hoisted)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def hoisted(net, image, steps):
#     first, *others = net.layers
#     current = encoding.direct(first(image), steps)  # once, then shown at every step
#     spikes = neurons.lif(current, **net.neuron).spikes
#     for layer in others:
#         current = layer(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
#         spikes = neurons.lif(current, **net.neuron).spikes
#     return spikes
# ```
#
# </details>

# %% [markdown]
# ### Exercise 06.3 · The work of the second convolution
# How many multiply-accumulate operations (MACs) does the second convolution take for one digit and one step, if every input is multiplied? (Spikes are 0 or 1, so hardware that skips zeros needs far fewer: notebook 09.)

# %%
answer = ...
check("06.3", answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# answer = 14 * 14 * 64 * 32 * 3 * 3  # places x output maps x input maps x kernel
# ```
#
# </details>

# %% [markdown]
# ### Exercise 06.4 · The images nobody counts
# A test loader with `drop_last=True` leaves out the last batch if it is not full. Write a function that says how many of `images` test images are then never judged. (MNIST's 10,000 in batches of 128, as in the published run, is one of the cases.)


# %%
def skipped(images, batch_size):
    return ...  # your code here


check("06.4", skipped)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def skipped(images, batch_size):
#     return images % batch_size
# ```
#
# </details>

# %% [markdown]
# ### Exercise 06.5 · Read a log
# Given the rate losses of a run, batch by batch and rounded to four digits, return for how many batches from the start the network was silent. Then apply it to `log`, the recorded run above.


# %%
def silent_batches(log):
    return ...  # your code here


check("06.5", silent_batches)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def silent_batches(log):
#     for batch, loss in enumerate(log):
#         if abs(loss - math.log(10)) > 1e-3:
#             return batch
#     return len(log)
# ```
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A convolutional SNN is convolution, pooling, neuron, repeated. Only the neuron has a memory; everything else may treat time as a larger batch.
# - A loss that stands at $\ln 10$ is silence. Centre the input, widen the surrogate, slow the leak, or scale the weights before you wait for it to pass.
# - Speed comes from not computing what does not change, and from keeping what does in the cache. Show that it is the same function first, then time it.
#
# | new word | symbol | unit |
# |---|---|---|
# | feature map (channel) | $S_k[t]\,(x, y)$ | spikes of all neurons with one kernel |
# | kernel | $w_{kj}$ | weights of a 3 × 3 patch |
# | rate loss, count loss | $L_\text{rate}$, $L_\text{count}$ | nats |
# | multiply-accumulate | MAC | operations |
# | hoisting | | computing once what is the same at every step |
#
# **Sources.** The network, its settings, log and figure: [ManiMajd89/convolutional-spiking-neural-network](https://github.com/ManiMajd89/convolutional-spiking-neural-network), built with snnTorch. The neuron: [Eshraghian et al. 2023](https://doi.org/10.1109/JPROC.2023.3280284). The two losses: `ce_rate_loss` and `ce_count_loss` of `snntorch.functional`. The cost of indexing: [pytorch#1788](https://github.com/pytorch/pytorch/issues/1788). MNIST: [LeCun et al. 1998](https://doi.org/10.1109/5.726791).
#
# **Next:** [07 · From a CNN to an SNN](07_cnn_to_snn.ipynb): spikes without training any spikes at all.
