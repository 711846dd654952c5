"""training: losses against snnTorch and by hand, fit to the bit, interruption."""

import math
import platform
from functools import partial

import pytest
import snntorch.functional
import torch
import torch.nn.functional as F

from snn_helpers import data, encoding, losses, networks, recipes, training
from snn_helpers.encoding import poisson
from snn_helpers.neurons import Record
from snn_helpers.runs import loop


def record(seed=0, shape=(7, 3, 5), p=0.4):
    spikes = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < p).float().requires_grad_()
    return Record(spikes, torch.zeros(shape))


LABEL = torch.tensor([4, 0, 2])


@pytest.mark.parametrize("name", ["ce_rate_loss", "ce_count_loss"])
def test_cross_entropies_are_snntorchs_gradients_too(name):
    ours, theirs = record(), record()
    got = getattr(losses, name)(ours, LABEL)
    wanted = getattr(snntorch.functional, name)()(theirs.spikes, LABEL).squeeze()
    torch.testing.assert_close(got, wanted)
    got.backward(), wanted.backward()
    torch.testing.assert_close(ours.spikes.grad, theirs.spikes.grad)


def test_mse_rate_is_the_mean_square_and_snntorchs_count_loss_rescaled():
    r = record()
    rate = r.spikes.mean(0)
    by_hand = sum((rate[b, c] - float(LABEL[b] == c)) ** 2 for b in range(3) for c in range(5)) / 15
    torch.testing.assert_close(losses.mse_rate_loss(r, LABEL), by_hand)
    theirs = snntorch.functional.mse_count_loss(correct_rate=1.0, incorrect_rate=0.0)(r.spikes, LABEL)
    torch.testing.assert_close(losses.mse_rate_loss(r, LABEL) * 7, theirs)


def test_known_floors():
    label = torch.arange(10)
    silent = Record(torch.zeros(6, 10, 10), torch.zeros(6, 10, 10))
    perfect = Record(torch.eye(10).expand(6, 10, 10), torch.zeros(6, 10, 10))
    assert losses.mse_rate_loss(silent, label).item() == pytest.approx(0.1)
    assert losses.mse_rate_loss(perfect, label).item() == 0
    assert losses.ce_rate_loss(silent, label).item() == pytest.approx(math.log(10))
    assert losses.ce_rate_loss(perfect, label).item() == pytest.approx(math.log(1 + 9 / math.e), rel=1e-5)


@pytest.mark.parametrize("name", ["ce_rate_loss", "ce_count_loss", "mse_rate_loss"])
@pytest.mark.parametrize("shape", [(7, 0, 5), (0, 3, 5)])
def test_losses_of_nothing_are_refused(name, shape):
    with pytest.raises(ValueError, match=rf"{name}: wanted spikes \[T, B, C\].*Without a spike or a silence"):
        getattr(losses, name)(record(shape=shape), LABEL[: shape[1]])


def test_losses_refuse_what_is_not_a_record_of_the_batch():
    with pytest.raises(TypeError, match=r"wanted the Record of the output layer, got Tensor. Use net\(x\)\[-1\]"):
        losses.mse_rate_loss(torch.zeros(7, 3, 5), LABEL)
    with pytest.raises(ValueError, match=r"wanted spikes \[T, B, C\] and labels \[B\], got \[7, 2, 5\] and \[3\]"):
        losses.ce_count_loss(record(shape=(7, 2, 5)), LABEL)


@pytest.mark.parametrize("name", ["ce_rate_loss", "ce_count_loss", "mse_rate_loss"])
def test_losses_refuse_labels_without_a_neuron(name):
    for label, found in ([0, 7, 2], "0 to 7"), ([0, 5, 2], "0 to 5"), ([0, -1, 2], "-1 to 2"):
        with pytest.raises(
            ValueError, match=f"{name}: labels must be 0 to 4, one of the 5 output neurons, got {found}"
        ):
            getattr(losses, name)(record(), torch.tensor(label))


def some(count, train=True):
    digits = data.mnist(train, root="bundled")
    return data.Digits(digits.images[:count], digits.labels[:count], "")


def adam(net, lr=0.01):
    return torch.optim.Adam(net.parameters(), lr=lr)


def learn(seed=0, optimizer=adam, **options):
    torch.manual_seed(7)
    net = networks.single_layer()
    options = dict(epochs=2, batch_size=50, seed=seed) | options
    return net, training.fit(net, some(211), lambda x: poisson(x, 9), losses.mse_rate_loss, optimizer(net), **options)


def long_run(net=None, digits=None, test=None, **settings):
    """A run by a recipe that is ``learn`` unless its settings say something else."""
    if net is None:
        torch.manual_seed(7)
        net = networks.single_layer()
    usual = dict(network=None, encode=poisson, steps=9, loss=losses.mse_rate_loss, epochs=2, batch_size=50, lr=0.01)
    how = {name: settings.pop(name) for name in ("on_step", "progress") if name in settings}
    recipe = recipes.Recipe(**(usual | settings))
    return net, loop.train(net, digits or some(211), recipe, seed=0, test=test, **({"progress": False} | how))


def weight(net):
    return net.layers[0][1].weight.detach()


def test_fit_learns_and_its_history_is_complete():
    def optimizer(net):
        chosen = adam(net)
        training.one_cycle(chosen, 6 * some(211).steps(50))
        return chosen

    net, history = learn(epochs=6, test=some(97, train=False), optimizer=optimizer)
    assert len(history.loss) == 6 * 5 and history.epoch_end == [5, 10, 15, 20, 25, 30]
    assert len(history.test_accuracy) == len(history.seconds) == 6 and not history.interrupted
    assert sum(history.loss[-5:]) < 0.7 * sum(history.loss[:5])
    assert history.test_accuracy[-1] > 0.5
    wanted = training.accuracy(net, some(97, train=False), lambda x: poisson(x, 9))
    assert history.test_accuracy[-1] == wanted


def test_fit_follows_its_seed_to_the_bit_and_leaves_the_callers_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    state = torch.get_rng_state()
    nets = []
    for seed in 0, 0, 1:
        torch.set_rng_state(state)
        net = networks.single_layer()
        torch.set_rng_state(before)
        how = dict(epochs=1, batch_size=50, seed=seed)
        training.fit(net, some(101), lambda x: poisson(x, 5), losses.mse_rate_loss, adam(net), **how)
        assert torch.equal(torch.get_rng_state(), before)
        nets.append(weight(net))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


@pytest.mark.parametrize("batch_size, batches", [(64, 1), (8, 8)])
def test_each_epoch_sees_all_digits_in_an_order_of_its_own(batch_size, batches):
    seen = []

    def encode(images):
        seen.append(images.sum().item())
        return poisson(images, 2)

    net, loss = networks.single_layer(), losses.mse_rate_loss
    training.fit(net, some(64), encode, loss, adam(net), epochs=2, batch_size=batch_size, seed=0)
    first, second = seen[:batches], seen[batches:]
    assert sum(first) == pytest.approx(sum(second), rel=1e-5) and len(second) == batches
    assert batches == 1 or first != second


def test_an_interruption_keeps_the_network_and_the_history():
    def stop(history):
        if len(history.loss) == 7:
            raise KeyboardInterrupt

    net, history = learn(epochs=9, on_step=stop)
    assert history.interrupted and len(history.loss) == 7 and history.epoch_end == [5]
    assert torch.isfinite(weight(net)).all()
    assert 0 <= training.accuracy(net, some(97), lambda x: poisson(x, 9)) <= 1
    _, whole = learn(epochs=2)
    assert history.loss == whole.loss[:7]


@pytest.mark.parametrize("train", [learn, long_run])
def test_a_callback_sees_every_step(train):
    lengths = []
    train(epochs=1, on_step=lambda history: lengths.append(len(history.loss)))
    assert lengths == [1, 2, 3, 4, 5]


def test_a_long_run_shows_a_bar(capsys):
    long_run(epochs=1, progress=True)
    shown = capsys.readouterr()
    assert shown.out == "" and "5/5" in shown.err and "loss" in shown.err


def test_a_long_run_is_fit_bit_for_bit():
    (net, history), (again, long) = learn(test=some(97, train=False)), long_run(test=some(97, train=False))
    assert torch.equal(weight(net), weight(again)) and history.loss == long.loss
    for name in "train_accuracy", "test_accuracy", "test_step", "epoch_end":
        assert getattr(history, name) == getattr(long, name) != []


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_nonsense_is_refused(bad, message):
    for train, name in (learn, "fit"), (long_run, "train"):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            train(**bad)


def test_accuracy_counts_every_digit_whatever_the_batch():
    digits = some(103, train=False)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    right = (net(digits.images.float().div(255)).argmax(-1) == digits.labels).sum().item()
    for batch_size in 7, 50, 500:
        assert training.accuracy(net, digits, lambda x: x, batch_size=batch_size) == pytest.approx(right / 103)
    assert training.scores(net, digits, lambda x: x, batch_size=10).shape == (103, 10)


class Watched(torch.nn.Module):
    """A network with time that keeps what it saw: mode, first pixel and precision at each call."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = torch.nn.Linear(784, 10), []

    def forward(self, x):
        scores = self.linear(x.flatten(1))
        self.seen.append((self.training, round(x[0, 0, 0, 0].item(), 2), scores.dtype))
        return scores


def watched(**options):
    net, usual = Watched().eval(), dict(encode=recipes.without_time, loss=F.cross_entropy, epochs=1, test_every=1)
    long_run(net, some(101), some(53, train=False), **(usual | options))
    return net.seen


def test_a_network_is_trained_in_train_mode_and_judged_in_eval_mode():
    assert [training for training, _, _ in watched()] == [True, False] * 3


def test_digits_are_augmented_for_training_only_and_before_they_are_encoded():
    seen = watched(augment=lambda images: torch.full_like(images, 0.75))
    assert [pixel for _, pixel, _ in seen] == [0.75, 0] * 3


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_precision_is_that_of_the_training_and_of_each_judgement(precision):
    assert [dtype for _, _, dtype in watched(precision=precision)] == [precision] * 6
    net = Watched()
    training.scores(net, some(7), lambda x: x, precision=precision)
    training.accuracy(net, some(7), lambda x: x, precision=precision)
    assert [dtype for _, _, dtype in net.seen] == [precision] * 2


@pytest.mark.parametrize("precision", [torch.float16, torch.float64, "bfloat16"])
def test_another_precision_is_refused(precision):
    words = f"precision must be torch.float32 or torch.bfloat16, got {precision}. engine.hardware.best_precision"
    with pytest.raises(ValueError, match=f"train: {words}"):
        long_run(precision=precision)
    with pytest.raises(ValueError, match=f"scores: {words}"):
        training.scores(networks.single_layer(), some(3), lambda x: poisson(x, 2), precision=precision)


def test_no_digits_are_refused_before_anything_is_learnt():
    net, encode = networks.single_layer(), lambda x: poisson(x, 2)
    options = dict(epochs=1, batch_size=5, seed=0)
    before = weight(net).clone()
    with pytest.raises(ValueError, match="fit: digits must be at least one, got none"):
        training.fit(net, some(0), encode, losses.mse_rate_loss, adam(net, 1.0), **options)
    with pytest.raises(ValueError, match="fit: test must be at least one, got none"):
        training.fit(net, some(7), encode, losses.mse_rate_loss, adam(net, 1.0), test=some(0), **options)
    assert torch.equal(weight(net), before)
    for name in "accuracy", "scores":
        with pytest.raises(ValueError, match=f"{name}: digits must be at least one, got none"):
            getattr(training, name)(net, some(0), encode)


def test_a_schedule_knows_all_steps_and_takes_one_a_batch():
    seen = []

    def schedule(optimizer, steps):
        seen.extend([optimizer, steps])
        return training.one_cycle(optimizer, steps)

    rates = []
    long_run(schedule=schedule, lr=0.5, on_step=lambda history: rates.append(seen[0].param_groups[0]["lr"]))
    assert seen[1] == 10 and len(set(rates)) == 10
    plain = adam(networks.single_layer(), lr=0.5)
    wanted = torch.optim.lr_scheduler.OneCycleLR(plain, 0.5, total_steps=10, pct_start=0.2)
    for rate in rates[:-1]:
        plain.step()
        wanted.step()
        assert rate == wanted.get_last_lr()[0]


def test_a_network_is_judged_while_it_learns_by_the_readout_too():
    def always_three(record):
        return record.spikes.sum(0) * 0 + F.one_hot(torch.tensor(3), 10)

    _, history = long_run(epochs=1, test=some(97, train=False), readout=always_three)
    assert history.test_accuracy == [(some(97, train=False).labels == 3).double().mean().item()]


def test_scores_follow_their_seed():
    net, encode = networks.single_layer(beta=0.9), lambda x: poisson(x, 5)
    first, again, other = (training.scores(net, some(31), encode, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again) and not torch.equal(first, other)


def fitted(net, encode):
    how = dict(epochs=1, batch_size=7, seed=0, test=some(5, train=False))
    return training.fit(net, some(7), encode, F.cross_entropy, adam(net, 0.1), **how)


def trained_long(net, encode):
    how = dict(encode=lambda x, steps: encode(x), loss=F.cross_entropy, epochs=1, batch_size=7)
    return long_run(net, some(7), some(5, train=False), **how)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    "judge",
    [
        fitted,
        trained_long,
        lambda net, x: training.scores(net, some(7), x),
        lambda net, x: training.accuracy(net, some(7), x),
    ],
)
def test_each_module_is_left_in_the_mode_it_was_in(judge, fails):
    nn = torch.nn
    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 10), nn.BatchNorm1d(10)), nn.Dropout())
    for chosen in range(2**3):
        modes = [bool(chosen >> i & 1) for i in range(3)]
        net.training, net[1].training, net[1][1].training = modes
        if fails:
            with pytest.raises(ZeroDivisionError):
                judge(net, lambda x: 1 / 0)
        else:
            judge(net, lambda x: x)
        assert [net.training, net[1].training, net[1][1].training] == modes


def test_scores_that_say_nothing_are_refused():
    net = torch.nn.Sequential(torch.nn.Flatten(-2), torch.nn.Linear(784, 10))
    with pytest.raises(ValueError, match=r"scores: wanted \[B, C\] .* for 7 images, got \[7, 1, 10\]"):
        training.accuracy(net, some(7), lambda x: x)
    with pytest.raises(ValueError, match=r"for 7 images, got \[5, 10\].* encode keeps every image"):
        training.accuracy(net, some(7), lambda x: x[:5, 0])
    with pytest.raises(ValueError, match=r"for 7 images, got \[3, 7, 10\]. A readout sums over time"):
        how = dict(readout=lambda record: record.spikes)
        training.accuracy(networks.single_layer(), some(7), lambda x: poisson(x, 3), **how)
    net[1].bias.data[3] = torch.nan
    with pytest.raises(ValueError, match="scores: the network answers NaN"):
        training.accuracy(net, some(7), lambda x: x[:, 0])


def test_of_equal_counts_the_higher_membrane_wins():
    spikes = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])[:, None]
    record = Record(spikes, torch.tensor([[1.5, 0.9, 9], [0.1, 1.8, 9], [0.7, 0.6, 9]])[:, None])
    assert losses.spike_count(record).argmax(-1).item() == 0
    # 3.3 against 2.3, and no spike against 27
    torch.testing.assert_close(losses.count_then_membrane(record), torch.tensor([[1.0023, 1.0033, 0.027]]))


def test_a_network_is_judged_by_its_readout():
    torch.manual_seed(0)
    net, digits = networks.csnn(beta=0.9), some(103, train=False)
    encode = partial(encoding.standardized, steps=3)
    with torch.no_grad():
        record = net(encode(digits.pixels))[-1]
    found = {}

    def highest(record):  # no sum over time
        return record.membrane.amax(0)

    for readout in losses.spike_count, losses.count_then_membrane, highest:
        torch.testing.assert_close(training.scores(net, digits, encode, readout=readout), readout(record))
        found[readout] = training.accuracy(net, digits, encode, readout=readout)
        assert found[readout] == pytest.approx((readout(record).argmax(-1) == digits.labels).double().mean().item())
    assert len(set(found.values())) > 1


def test_an_ann_twin_is_fitted_by_the_same_function():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    history = training.fit(net, some(307), lambda x: x, F.cross_entropy, adam(net), epochs=5, batch_size=50, seed=0)
    assert history.loss[-1] < 0.5 * history.loss[0]


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason="whether threads share the setting was seen on x86 only",
)
def test_fit_works_without_denormals_in_every_thread_and_gives_them_back(two_threads):
    """A million products under 1e-38 are the work of all threads; each has a setting of its own."""
    tiny, seen = torch.full((2**20,), 1e-39), []

    def kept():
        return (tiny * 0.5).view(torch.int32).count_nonzero().item()  # as bits: to compare floats would flush them too

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            seen.append(kept())
            return grad

    def loss(output, label):
        return Backward.apply(losses.mse_rate_loss(output, label))

    before = kept()  # and the threads are there
    net = networks.single_layer()
    how = dict(epochs=1, batch_size=10, seed=0, on_step=lambda history: seen.append(kept()))
    training.fit(net, some(20), lambda x: poisson(x, 2), loss, adam(net), **how)
    assert seen == [0] * 4 and kept() == before == 2**20
    with pytest.raises(ZeroDivisionError):
        learn(on_step=lambda history: 1 / 0)
    assert kept() == before
