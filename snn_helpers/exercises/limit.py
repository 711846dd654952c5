"""Where answers are judged: in a thread of its own, for a limited time, and unable to end the kernel.

What runs too long is stopped by an exception that is raised in that thread and in no other, so nothing that comes
later can be hit by it. A thread that does not stop at once (it may be inside a long call of a library) is left behind.
"""

import contextvars
import ctypes
import sys
import threading
import time
from contextlib import contextmanager


class OutOfTime(Exception):
    """A judgement took longer than it may; ``stopped`` says whether it has ended since."""

    def __init__(self, stopped):
        self.stopped = stopped


class _Stop(BaseException):
    """Raised inside a judgement whose time is over, again and again until it is out."""

    def __init__(self):
        # Python makes the instance in the thread that it stops. A bare `except:` may have caught it by now, so from
        # here on each further line of that thread raises as well, the lines of the `except:` itself included.
        frame = sys._getframe(1)
        sys.settrace(_raise_at_once)
        while frame and frame.f_code.co_filename != __file__:
            frame.f_trace = _raise_at_once
            frame = frame.f_back


def _raise_at_once(frame, event, argument):
    if frame.f_code.co_filename == __file__:
        return None
    if event == "line":
        raise _Stop
    return _raise_at_once


def within(seconds, judge):
    """What ``judge()`` returns or raises, or OutOfTime if that takes longer. An interrupt of the user stops it too."""
    judgement = _Judgement(judge)
    with _nobody_exits():
        judgement.start()
        try:
            judgement.wait(seconds)
        finally:
            if not judgement.over:
                threading.Thread(target=judgement.stop, daemon=True).start()
                judgement.wait(1)
    if judgement.error:
        raise judgement.error
    if not judgement.done:
        raise OutOfTime(stopped=judgement.over)
    return judgement.value


class _Judgement(threading.Thread):
    def __init__(self, judge):
        super().__init__(daemon=True)
        self.judge, self.context = judge, contextvars.copy_context()
        self.value = self.error = None
        self.done = self.over = False
        self.lock, self.running = threading.Lock(), threading.Lock()
        self.running.acquire()

    def run(self):
        try:
            self._run()
        except _Stop:
            pass
        while not self.over:
            try:
                with self.lock:  # from here on nobody raises in this thread; and what is on its way is taken back
                    self.over = True
                    _raise_in(threading.get_ident(), None)
            except _Stop:
                pass
        sys.settrace(None)
        self.running.release()

    def _run(self):
        try:
            self.value = self.context.run(self.judge)
            self.done = True
        except _Stop:
            raise
        except BaseException as error:
            self.error = error

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while not self.over and time.monotonic() < end:
            # not join, which takes an interrupted thread for ended; in short pieces, as on Windows a long one is deaf
            if self.running.acquire(timeout=0.05):
                self.running.release()

    def stop(self):
        while not self.over:
            with self.lock:
                if not self.over:
                    _raise_in(self.ident, _Stop)
            time.sleep(0.02)


def _raise_in(ident, kind):
    kind = ctypes.py_object(kind) if kind else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), kind)


@contextmanager
def _nobody_exits():
    """In a notebook exit() and quit() do not raise SystemExit, they ask the shell to stop the kernel: not now."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        vars(shell)["ask_exit"] = _exit
    try:
        yield
    finally:
        if shell is not None:
            vars(shell).pop("ask_exit", None)


def _exit():
    raise SystemExit
