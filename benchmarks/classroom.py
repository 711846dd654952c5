"""How many students one machine carries: python benchmarks/classroom.py [N ...]

Starts a JupyterHub on this machine, for this machine alone, and lets N students in; N is raised until one slider's
move in twenty takes more than 300 ms, or less than 2 GiB of memory would stay free. Each student logs in, starts a
server and opens a copy of notebook 02; then all of them run all of its cells at the same moment, each in a new kernel,
and drag a slider of its first explorer that is drawn in Python: 20 moves, about one a second, nobody in step. A move
lasts from the message that a browser sends for it to the arrival of the changed picture; showing that in a browser
comes on top (benchmarks/latency.py measures it). Memory is that of a student's server and kernel, once all have moved.
The students are simulated by this one process, on the same processor. Everything that it starts ends with it.

Writes benchmarks/results/classroom.json and prints it as a table; given sizes of your own, it only prints. ``--free``
measures one class without the limit on threads. Takes a quarter of an hour on two cores; broken off, it keeps its rows.
Needs Linux, ``pip install --editable ".[classroom]"``, and the hub's proxy, on the PATH or in CONFIGURABLE_HTTP_PROXY:
``npm install configurable-http-proxy`` into any folder puts it there as node_modules/.bin/configurable-http-proxy.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

import psutil
from students import Student

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "classroom.json"
SIZES, SIZES_FREE = (1, 4, 8, 16, 24, 32, 40, 48), (8,)
SLOW_MS = 300
RESERVE = 2 * 2**30
# one thread a kernel, which sleeps while it waits: what a student does not use is there for the others
LIMITS = {"OMP_NUM_THREADS": "1"}
MARK = "SNN_CLASSROOM"  # set for everything that is started here, and for nothing else


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def proxy():
    """The command of the hub's proxy."""
    found = os.environ.get("CONFIGURABLE_HTTP_PROXY") or shutil.which("configurable-http-proxy")
    if not found:
        raise SystemExit(
            "classroom: needs configurable-http-proxy on the PATH or its path in CONFIGURABLE_HTTP_PROXY; "
            "npm install configurable-http-proxy puts it into node_modules/.bin"
        )
    return str(Path(found).resolve())


def wait_for(address, hub):
    """Until the hub answers there."""
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        if hub.poll() is not None:
            break
        time.sleep(0.25)
    raise RuntimeError("the hub did not start")


def started(place):
    """The processes that bear the mark of this class."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == place:
                yield process


@contextlib.contextmanager
def jupyterhub(limits):
    """A JupyterHub on loopback with a home folder of its own for each student; gives (address, password, mark)."""
    command, (port, hub_port, proxy_port) = proxy(), (free_port() for _ in range(3))
    password = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="class-") as place:
        address = f"http://127.0.0.1:{port}"
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        settings = {
            "JupyterHub.bind_url": address,
            "JupyterHub.hub_bind_url": f"http://127.0.0.1:{hub_port}",
            "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{proxy_port}",
            "ConfigurableHTTPProxy.command": [command],
            "JupyterHub.db_url": f"sqlite:///{place}/hub.sqlite",
            "JupyterHub.cookie_secret_file": f"{place}/secret",
            "JupyterHub.authenticator_class": "shared-password",
            "SharedPasswordAuthenticator.user_password": password,
            "SharedPasswordAuthenticator.allow_all": True,
            "JupyterHub.spawner_class": "simple",
            "SimpleLocalProcessSpawner.home_dir_template": f"{place}/{{username}}",
            "Spawner.cmd": [sys.executable, "-m", "jupyterhub.singleuser"],
            # over TCP, kernels that start at the same moment take each other's ports, and die
            "Spawner.args": ["--allow-root", "--KernelManager.transport=ipc"],
            "Spawner.environment": {**environment, MARK: place, "SNN_DATA_DIR": "bundled", **limits},
            "Spawner.start_timeout": 300,
            "Spawner.http_timeout": 300,
        }
        lines = [f"c.{name} = {value!r}" for name, value in settings.items()]
        (Path(place) / "config.py").write_text("\n".join(lines), encoding="utf-8")
        with open(Path(place) / "log", "w+", encoding="utf-8") as log:
            hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", "config.py"],
                cwd=place,
                env={**os.environ, MARK: place},
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the hub
            )
            try:
                wait_for(f"{address}/hub/health", hub)
                yield address, password, place
            except Exception:
                log.seek(0)
                print(*log.readlines()[-30:], sep="", file=sys.stderr)
                raise
            finally:
                impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not stop the ending
                left = list(started(place))
                for end in psutil.Process.terminate, psutil.Process.kill:
                    for process in left:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            end(process)
                    left = psutil.wait_procs(left, timeout=15)[1]
                    left += [process for process in started(place) if process not in left]
                hub.wait()
                signal.signal(signal.SIGINT, impatient)


def memory(place):
    """MiB a student, server and kernel: its own (USS), and with its share of what students share (PSS)."""
    each = {}
    for process in started(place):
        with contextlib.suppress(psutil.NoSuchProcess):
            name, info = process.environ().get("JUPYTERHUB_USER"), process.memory_full_info()
            own, share = each.get(name, (0, 0))
            each[name] = own + info.uss, share + info.pss
    hub = each.pop(None)
    mean = [sum(column) / len(each) / 2**20 for column in zip(*each.values(), strict=True)]
    return {"uss_mib": round(mean[0]), "pss_mib": round(mean[1]), "hub_mib": round(hub[1] / 2**20)}


async def lesson(students, newcomers, place):
    """One class: the newcomers come in, all run the notebook, all move their slider. Gives a row of the result."""
    begin = time.perf_counter()
    await asyncio.gather(*(student.close() for student in students), *(student.start() for student in newcomers))
    ready = time.perf_counter()
    await asyncio.gather(*(student.run() for student in students))
    ran = time.perf_counter()
    mine = time.process_time()
    times = [ms for each in await asyncio.gather(*(student.moves() for student in students)) for ms in each]
    return {
        "students": len(students),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
        "moves": len(times),
        "browsers_cores": round((time.process_time() - mine) / (time.perf_counter() - ran), 2),
        "run_s": round(ran - ready, 1),
        "came": len(newcomers),
        "came_s": round(ready - begin, 1),
        **memory(place),
        "free_gib": round(psutil.virtual_memory().available / 2**30, 1),
    }


async def with_reserve(work):
    """The result of ``work``; None if it had to be broken off to keep the RESERVE free."""
    task = asyncio.create_task(work)
    while not task.done():
        if psutil.virtual_memory().available < RESERVE:
            task.cancel()
            await asyncio.wait([task])
            return None
        await asyncio.wait([task], timeout=0.3)
    return task.result()


async def measure(sizes, limits, keep):
    """One row for each size of class, in turn; ``keep(rows, why it ended)`` after each and at the end."""
    rows, students = [], []
    with jupyterhub(limits) as (address, password, place):
        try:
            for size in sizes:
                newcomers = [Student(n, address, password) for n in range(len(students), size)]
                students += newcomers
                grown = rows[-1]["uss_mib"] * 2**20 * len(newcomers) if rows else 0
                row = None
                if psutil.virtual_memory().available - grown > RESERVE:
                    row = await with_reserve(lesson(students, newcomers, place))
                if row is None:
                    return keep(rows, "memory")
                rows.append(row)
                print(row, flush=True)
                if row["p95_ms"] > SLOW_MS:
                    return keep(rows, "latency")
                keep(rows, "stopped by hand")
            keep(rows, "sizes")
        finally:
            await asyncio.gather(*(student.http.close() for student in students))


def table(rows):
    """The rows as Markdown."""
    lines = [
        "| students | a move: median | 95 of 100 under | all ran the notebook in | memory a student |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['students']} | {row['median_ms']:.0f} ms | {row['p95_ms']:.0f} ms "
            f"| {row['run_s']:.0f} s | {row['pss_mib']} MiB |"
        )
    return "\n".join(lines)


def write(name, result):
    """Keep a result under its name; the other one stays."""
    about = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    about["memory_gib"] = round(psutil.virtual_memory().total / 2**30, 1)
    about |= {package: version(package) for package in ("jupyterhub", "jupyterlab", "ipykernel", "torch")}
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**kept, **about, name: result}, indent=1) + "\n", encoding="utf-8")


async def main(sizes, free):
    # what ends this process ends the hub first
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    result = {}

    def keep(rows, ended):
        reached = max((row["students"] for row in rows if row["p95_ms"] <= SLOW_MS), default=0)
        result.update(students=reached, ended_by=ended, rows=rows)
        if not sizes:
            write("free_threads" if free else "one_thread", result)

    await measure(sizes or (SIZES_FREE if free else SIZES), {} if free else LIMITS, keep)
    print(f"{result['students']} students; ended by {result['ended_by']}\n\n{table(result['rows'])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, help="sizes of the class, rising; nothing is written then")
    parser.add_argument("--free", action="store_true", help="let each kernel start as many threads as it likes")
    options = parser.parse_args()
    asyncio.run(main(options.sizes, options.free))
