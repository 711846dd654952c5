"""Students of benchmarks/classroom.py: what a browser sends to a JupyterHub, and waits for, without the browser."""

import asyncio
import json
import random
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from yarl import URL

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "02_lif_neuron.ipynb"
EXPLORER, CONTROL = "euler_explorer", "step dt [ms]"
MOVES = 20


class Kernel:
    """The browser's end of the websocket to a kernel."""

    def __init__(self, socket):
        self.socket, self.waiting, self.widgets = socket, {}, []
        self.reader = asyncio.create_task(self.read())

    async def close(self):
        self.reader.cancel()
        await self.socket.close()

    async def ask(self, kind, until, **content):
        """Send a message; gives its id, and a future of the first answer for which ``until(kind, content)`` is true.

        The future's result is (when it arrived, its content, its buffers).
        """
        name, answer = uuid.uuid4().hex, asyncio.get_running_loop().create_future()
        header = {"msg_id": name, "msg_type": kind, "session": "browser", "username": "student", "version": "5.3"}
        header["date"] = datetime.now(UTC).isoformat()
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.waiting[name] = until, answer
        await self.socket.send_bytes(serialize_msg_to_ws_v1(message, "shell", lambda part: json.dumps(part).encode()))
        return name, answer

    async def read(self):
        problem = "the connection ended"
        try:
            async for raw in self.socket:
                self.take(time.perf_counter(), *deserialize_msg_from_ws_v1(raw.data)[1])
        except Exception as error:
            problem = repr(error)
        for _, answer in self.waiting.values():
            answer.set_exception(RuntimeError(f"no answer from a kernel: {problem}"))
            answer.exception()  # one who waits for it hears of it; of the others nobody need

    def take(self, arrived, header, parent, _, content, *buffers):
        kind, parent, content = json.loads(header)["msg_type"], json.loads(parent).get("msg_id"), json.loads(content)
        if kind == "comm_open":
            self.widgets.append((parent, content["comm_id"], content["data"]["state"]))
        if parent in self.waiting and self.waiting[parent][0](kind, content):
            self.waiting.pop(parent)[1].set_result((arrived, content, buffers))


class Student:
    """What the browser of one student asks for, from the log-in on."""

    def __init__(self, number, address, password):
        # short: it is part of the path of a kernel's sockets, which may have 107 characters
        self.name, self.password, self.kernel = f"s{number}", password, None
        self.hub, self.home = f"{address}/hub/", f"{address}/user/{self.name}/"
        self.random = random.Random(number)
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # unsafe: its site is a number
        self.http = aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=300))

    async def close(self):
        """Shut the notebook and its kernel down."""
        if self.kernel:
            await self.kernel.close()
            await self.api("DELETE", f"sessions/{self.session}")

    def token(self, address):
        return self.http.cookie_jar.filter_cookies(URL(address))["_xsrf"].value

    async def api(self, method, path, **data):
        headers = {"X-XSRFToken": self.token(self.home)}
        async with self.http.request(method, f"{self.home}api/{path}", headers=headers, **data) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status != 204 else None

    async def start(self):
        """Log in, start a server, put a copy of the notebook there."""
        await (await self.http.get(f"{self.hub}login")).read()
        form = {"username": self.name, "password": self.password, "_xsrf": self.token(self.hub)}
        async with self.http.post(f"{self.hub}login", data=form, allow_redirects=False) as answer:
            if answer.status != 302:
                raise RuntimeError(f"{self.name} could not log in: status {answer.status}")
        await (await self.http.get(f"{self.hub}spawn")).read()
        for _ in range(300):  # until then the hub asks for patience
            async with self.http.get(f"{self.home}lab") as answer:
                if str(answer.url).startswith(self.home):
                    answer.raise_for_status()
                    break
            await asyncio.sleep(1)
        else:
            raise RuntimeError(f"{self.name}: no server after 300 s")
        copy = {"type": "notebook", "format": "json", "content": json.loads(NOTEBOOK.read_text(encoding="utf-8"))}
        await self.api("PUT", f"contents/{NOTEBOOK.name}", json=copy)

    async def run(self):
        """Open the copy and run all of its cells in a new kernel."""
        book = (await self.api("GET", f"contents/{NOTEBOOK.name}"))["content"]
        asked = {"path": NOTEBOOK.name, "name": NOTEBOOK.name, "type": "notebook", "kernel": {"name": "python3"}}
        answer = await self.api("POST", "sessions", json=asked)
        self.session = answer["id"]
        channels = f"{self.home}api/kernels/{answer['kernel']['id']}/channels?session_id={self.session}"
        self.kernel = Kernel(
            await self.http.ws_connect(channels, protocols=["v1.kernel.websocket.jupyter.org"], max_msg_size=0)
        )
        cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
        options = {"silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        sent = [
            await self.kernel.ask("execute_request", lambda kind, _: kind == "execute_reply", code=cell, **options)
            for cell in cells
        ]
        for cell, (name, answer) in zip(cells, sent, strict=True):
            _, reply, _ = await asyncio.wait_for(answer, 600)
            if reply["status"] != "ok":
                raise RuntimeError(f"{self.name}: a cell ended in {reply}: {cell}")
            if EXPLORER in cell:
                self.parts = [(comm, state) for parent, comm, state in self.kernel.widgets if parent == name]

    async def moves(self):
        """Milliseconds of each of MOVES moves of the slider, about one a second."""
        slider, state = next((comm, state) for comm, state in self.parts if state.get("description") == CONTROL)
        image = next(comm for comm, state in self.parts if state["_model_name"] == "ImageModel")
        times, seen = [], None
        due = time.perf_counter() + self.random.uniform(0, 1)
        for move in range(MOVES):
            await asyncio.sleep(max(0, due - time.perf_counter()))
            due = time.perf_counter() + self.random.uniform(0.5, 1.5)
            data = {"method": "update", "state": {"value": state["min"] + (move + 1) * state["step"]}}
            begin = time.perf_counter()
            _, answer = await self.kernel.ask(
                "comm_msg",
                lambda kind, content: kind == "comm_msg" and content["comm_id"] == image,
                comm_id=slider,
                data={**data, "buffer_paths": []},
            )
            arrived, content, (picture,) = await asyncio.wait_for(answer, 60)
            if content["data"]["buffer_paths"] != [["value"]] or picture == seen:
                raise RuntimeError(f"{self.name}: move {move} brought no new picture: {content}")
            seen = picture
            times.append(1000 * (arrived - begin))
        return times
