"""Training on several processes: what ``torchrun`` started, as a team of which one process writes and prints.

Each process holds the whole network and takes its share of each batch; torch's DistributedDataParallel adds up their
gradients, so that a step is that of one process with the whole batch. A process by itself is a team of one.
"""

import os
import signal
import socket
import sys
import threading
import warnings
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn


class Team:
    """One of the processes that train together; without a ``store`` a process by itself, all of it its own share.

    rank, size : which process this is, from 0, and how many there are
    saved : number of batches in the checkpoint that is known to be whole, 0 if there is none
    store : of the torch.distributed group that is set up
    """

    rank, size, saved = 0, 1, 0

    def __init__(self, store=None):
        if store:
            self.store, self.rank, self.size = store, dist.get_rank(), dist.get_world_size()
            self.lock = threading.Lock()

    @property
    def first(self):
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def seed(self, seed):
        """What this process draws its random numbers from: other ones in each, and the seed itself in the first."""
        return seed + 1_000_003 * self.rank  # not 1: the next seed is another run's

    def device(self, name):
        """The torch.device of this process, by its kind: "cpu", "cuda" or "mps"."""
        if name == "cpu" or self.size == 1:
            return torch.device(name)
        if name == "mps":
            raise ValueError("--device mps: has no way to add up gradients. Use one process, or --device cpu.")
        wanted, found = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if wanted > found:
            raise ValueError(
                f"--device cuda: each process takes a GPU of its own, wanted {wanted}, found {found}. Start as many "
                "with --nproc-per-node, or use --device cpu."
            )
        local = int(os.environ["LOCAL_RANK"])
        torch.cuda.set_device(local)
        return torch.device(name, local)

    def spread(self, net):
        """``net`` for a step of training: called like it, gradients of its weights are added up over the processes."""
        if self.size == 1:
            return net
        spread = nn.parallel.DistributedDataParallel(net)
        spread.register_comm_hook(None, _added_up)
        return spread

    def share(self, images, labels):
        """This process' (images, labels) of a batch, and what share of it they are.

        The mean of their losses times that share, added up over the processes, is the mean loss of the batch.
        """
        mine, whole = labels.tensor_split(self.size)[self.rank], len(labels)
        if not len(mine):  # a network wants at least one image; a blank one, that counts for nothing
            return torch.zeros_like(images[:1]), labels[:1], 0.0
        return images.tensor_split(self.size)[self.rank], mine, len(mine) / whole

    def part(self, digits):
        """This process' share of data.Digits; the shares hold each digit once, and may be empty."""
        mine = slice(self.rank, None, self.size)
        return digits._replace(images=digits.images[mine], labels=digits.labels[mine])

    def total(self, number):
        """The sum of a number over the processes."""
        number = torch.tensor(number, dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(number)
        return number.item()

    def decide(self, choose):
        """What ``choose()`` returns, or raises as OSError or ValueError, in the first process: so it is in all."""
        found = [None, None]
        if self.first:
            try:
                found[0] = choose()
            except (OSError, ValueError) as error:
                found[1] = error
        if self.size > 1:
            dist.broadcast_object_list(found)
        if found[1]:
            raise found[1]
        return found[0]

    def save(self, checkpoint, state):
        """Let the first process save a state of ``loop.train``; once it is whole, all know."""
        self.decide(lambda: checkpoint.save(state))
        self.saved = len(state["history"]["loss"])

    def load(self, checkpoint):
        """The state that the first process finds, in all of them; None if there is none."""
        state = self.decide(checkpoint.load)
        self.saved = len(state["history"]["loss"]) if state else 0
        return state

    def gather(self, value):
        """The value of each process, for ``own`` to find that of this one again."""
        if self.size == 1:
            return value
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def own(self, gathered):
        return gathered if self.size == 1 else gathered[self.rank]

    def say(self, why, advice=""):
        """Print why this process stops, and what to do; what stops several of them is said by one."""
        with self.lock:  # the thread that ends the process waits for a sentence that has begun
            try:
                first = self.store.add(why, 1) == 1
            except RuntimeError:  # who keeps the store is gone
                first = True
            if first:  # on a line of its own, whatever there is of a progress bar
                print(f"\ntrain: {why}{advice}", file=sys.stderr, flush=True)

    def advice(self):
        if not self.saved:
            return " There was no checkpoint yet, or only just: the same command with --resume finds it or starts anew."
        return f" The checkpoint of batch {self.saved:,} is whole: the same command with --resume goes on from it."

    def stopped(self):
        why = f"stopped, for another of its {self.size} processes ended, or torchrun was told to stop"
        self.say(f"{why} (its own lines say which).", self.advice())


def _added_up(_, bucket):
    """A future of the gradients in a bucket, summed over the processes, the gradient of each weight by itself.

    How the sum of three numbers is rounded depends on their place in what is summed, and DistributedDataParallel
    moves gradients to other buckets after the first batch: a run that was resumed would not end with the same bits.
    """
    gradients = bucket.buffer().split([gradient.numel() for gradient in bucket.gradients()])
    sums = [dist.all_reduce(gradient, async_op=True).get_future() for gradient in gradients]
    return torch.futures.collect_all(sums).then(lambda _: bucket.buffer())


def processes():
    """How many processes torchrun started this one as one of; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


@contextmanager
def team():
    """The Team of this process, for a ``with``: set up from what torchrun says in the environment, and taken down.

    Several processes end with SystemExit at an error, which is said once though all of them meet it; so they do, with
    words about what can be gone on from, when another process ends, and at a SIGTERM (torchrun's, when one of them
    has ended) or a Ctrl-C, whatever they are waiting for.
    """
    if processes() == 1:
        yield Team()
        return
    store, rank, size = next(dist.rendezvous("env://"))
    # what torchrun starts anew (--max-restarts) would else find the addresses of those that have ended
    store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    group = Team(store)
    with _ended_by_signals(group), warnings.catch_warnings():
        # they differ along an axis of length 1, where they say nothing
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        try:
            yield group
        except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
            lost = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
            if lost:
                group.stopped()
            else:
                group.say(next(iter(str(error).splitlines()), type(error).__name__))
            sys.exit(1)
    dist.destroy_process_group()  # not after an error: it could wait for those that are gone


@contextmanager
def _ended_by_signals(group):
    """A handler in Python would have to wait until torch has heard from the other processes; a thread need not."""
    heard, told = socket.socketpair()
    told.setblocking(False)

    def end():
        for number in heard.recv(1):  # nothing, once the socket is closed
            if number == signal.SIGINT:
                group.say("interrupted.", group.advice())
            else:
                group.stopped()
            os._exit(1)

    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.set_wakeup_fd(told.fileno())
    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        told.close()
        thread.join()
        heard.close()
