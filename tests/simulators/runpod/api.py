"""REST v2 over the world, and `/_sim/...` to look at it and to make things go wrong."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.simulators.runpod.schema import Schema
from tests.simulators.runpod.world import CENTERS, GPUS, Fault, World

TITLES = {400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
          410: "Gone", 422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error"}  # fmt: skip
NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)
FIELDS = {"name", "image", "cloud", "gpu", "cpu", "dataCenterIds", "disk", "mounts", "ports", "env", "args", "registry",
          "templateId", "globalNetworking", "startSsh", "startJupyter"}  # fmt: skip


class Problem(Exception):
    def __init__(self, status, detail, errors=(), headers=()):
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World
    schema: Schema | None

    def log_message(self, *_):
        pass

    def do(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        if parts.path.startswith("/_sim/"):
            with self.world.lock:
                self._send(200, self._control(parts.path, json.loads(raw or b"{}")))
            return
        world, key = self.world, f"{self.command} {parts.path}"
        with world.lock:
            world.requests[key] = world.requests.get(key, 0) + 1
            fault = next((each for each in world.faults if each.strikes(self.command, parts.path, world.rng)), None)
        if fault and self._fail_before(fault):
            return
        try:
            with world.lock:
                status, body = self._answer(parts, raw)
        except Problem as problem:
            status, body = problem.status, {
                "title": TITLES.get(problem.status, "Error"), "status": problem.status, "detail": problem.detail,
                **({"errors": list(problem.errors)} if problem.errors else {}),
            }  # fmt: skip
            self._check(status, body, parts.path)
            self._send(status, body, "application/problem+json", problem.headers)
            return
        if fault and fault.do == "drop_after":
            self.close_connection = True
            return
        if isinstance(body, str):
            self._send_text(status, body)
            return
        self._check(status, body, parts.path)
        self._send(status, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

    def _fail_before(self, fault):
        if fault.do == "delay":
            time.sleep(fault.seconds)
        elif fault.do == "drop_before":
            self.close_connection = True
            return True
        elif fault.do == "html":
            self._send_text(fault.status, "<html><body>502 Bad Gateway</body></html>", "text/html")
            return True
        elif fault.do == "status":
            headers = {"Retry-After": str(int(fault.seconds))} if fault.status == 429 else {}
            body = {"title": TITLES.get(fault.status, "Error"), "status": fault.status, "detail": fault.detail}
            self._send(fault.status, body, "application/problem+json", headers)
            return True
        return False

    def _answer(self, parts, raw):
        path = parts.path
        if path.startswith("/v1/"):
            raise Problem(410, "REST v1 was retired on 2026-11-15; use v2.")
        own = self._authorize()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            raise Problem(400, "The body is no JSON.") from None
        if body is not None and self.schema and (errors := self.schema.request_errors(self.command, path, body)):
            raise Problem(422, "The request does not match the contract.", errors)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        steps = path.removeprefix("/v2/").split("/")
        if own and steps[:2] != ["pods", own]:
            raise Problem(403, "This key belongs to a pod.")
        match (self.command, steps):
            case ("GET", ["pods"]):
                return 200, self._pods(query)
            case ("POST", ["pods"]):
                return self._create(body or {})
            case ("GET", ["pods", pod]):
                return 200, self.world.shown(self._pod(pod))
            case ("DELETE", ["pods", pod]):
                self.world.delete(self._pod(pod))
                return 204, None
            case ("POST", ["pods", pod, "action"]):
                return self._act(self._pod(pod), (body or {}).get("action"))
            case ("GET", ["pods", pod, "logs"]):
                return 200, self._logs(self._pod(pod), int(query.get("tail", 100)))
            case ("GET", ["catalog", "gpus"]):
                return 200, {"gpus": [self._gpu(name) for name in GPUS]}
            case ("GET", ["catalog", "datacenters"]):
                return 200, {"dataCenters": [self._center(name) for name in CENTERS]}
            case ("GET", ["network-volumes"]):
                return 200, {"networkVolumes": list(self.world.volumes.values())}
            case ("GET", ["billing", "pods"]):
                return 200, self._bill(query.get("podId"))
            case ("GET", ["account", "ssh-keys"]):
                return 200, {"keys": []}
        raise Problem(404, f"There is no {path}.")

    def _authorize(self):
        """The id of the pod whose key this is; None for the account's own key."""
        given = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if given == self.world.key:
            return None
        for pod in self.world.pods.values():
            if given == pod.key:
                return pod.id
        raise Problem(401, "The key is not valid.")

    def _pods(self, query):
        pods = [self.world.shown(pod) for pod in self.world.visible()]
        if not self.world.page:
            return {"pods": pods}
        begin = int(query.get("cursor", 0))
        end = begin + self.world.page
        more = end < len(pods)
        return {"pods": pods[begin:end], "pagination": {"hasNextPage": more, "nextCursor": str(end) if more else None}}

    def _create(self, body):
        world = self.world
        unknown = sorted(set(body) - FIELDS)
        if unknown:
            raise Problem(
                422, "Unknown fields.", [f"$: additional properties {name!r} not allowed" for name in unknown]
            )
        if not world.balance:
            raise Problem(402, "Insufficient balance.")
        gpu, centers = (body.get("gpu") or {}).get("id"), body.get("dataCenterIds") or []
        if gpu not in GPUS:
            raise Problem(400, f"GPU {gpu!r} is not known.")
        if not any(world.stock.get(center, {}).get(gpu, "NONE") != "NONE" for center in centers):
            raise Problem(400, NO_CAPACITY)
        for mount in (body.get("mounts") or {}).get("network", []):
            volume = world.volumes.get(mount["volumeId"])
            if volume is None or volume["dataCenter"] not in centers:
                raise Problem(400, f"Network volume {mount['volumeId']} is not in {', '.join(centers)}.")
        return 201, world.shown(world.create(body))

    def _pod(self, name):
        pod = self.world.pods.get(name)
        if pod is None or pod not in self.world.visible():
            raise Problem(404, "pod not found")
        return pod

    def _act(self, pod, action):
        if action not in self.world.shown(pod)["actions"]:
            raise Problem(409, f"{action} is not possible while the pod is {pod.status}.")
        if action == "terminate":
            self.world.delete(pod)
            return 204, None
        if action == "stop":
            self.world.exit(pod)
        else:
            self.world.kill_process(pod)
            pod.status, pod.exits_stay = "RUNNING", False
        return 200, self.world.shown(pod)

    def _logs(self, pod, tail):
        path = self.world.log_of(pod)
        lines = path.read_text(errors="replace").splitlines()[-tail:] if path.exists() else []
        return "".join(
            f"id: {number}\ndata: {json.dumps({'source': 'container', 'line': line, 'ts': '2026-11-01T00:00:00Z'})}\n\n"
            for number, line in enumerate(lines, 1)
        )

    def _gpu(self, name):
        label, memory, price = GPUS[name]
        levels = {center: stock.get(name, "NONE") for center, stock in self.world.stock.items()}
        best = next((level for level in ("HIGH", "MEDIUM", "LOW") if level in levels.values()), "NONE")
        return {"id": name, "name": label, "pool": None, "manufacturer": "NVIDIA", "memory": memory, "secure": True, "community": False,
                "price": {"secure": price, "community": price, "serverless": price * 1.5}, "maxCount": {"secure": 8, "community": 0, "serverless": 0},
                "availability": best}  # fmt: skip

    def _center(self, name):
        stock = self.world.stock[name]
        return {"id": name, "name": name, "region": CENTERS[name], "networkVolumeTypes": ["STANDARD"], "compliance": [], "globalNetwork": False,
                "gpuAvailability": [{"id": gpu, "name": GPUS[gpu][0], "availability": level} for gpu, level in stock.items()]}  # fmt: skip

    def _bill(self, wanted):
        records = []
        for pod, amount in self.world.spend().items():
            if wanted in (None, pod):
                amounts = {"totalAmount": amount, "gpuAmount": amount, "cpuAmount": 0.0, "diskAmount": 0.0}
                records.append(
                    {"startTime": "2026-11-01T00:00:00Z", "endTime": "2026-11-01T01:00:00Z", "podId": pod, **amounts}
                )
        total = sum(record["totalAmount"] for record in records)
        window = {
            "startTime": "2026-11-01T00:00:00Z",
            "endTime": "2026-12-01T00:00:00Z",
            "bucketSize": "day",
            "podId": wanted,
        }
        return {
            "records": records,
            "metadata": {
                "query": window,
                "recordCount": len(records),
                "uniquePodCount": len(records),
                "totals": {"totalAmount": total, "gpuAmount": total, "cpuAmount": 0.0, "diskAmount": 0.0},
            },
        }

    def _control(self, path, body):
        world = self.world
        match path.removeprefix("/_sim/"):
            case "state":
                return {
                    "pods": [world.shown(pod) | {"restarts": pod.restarts} for pod in world.pods.values()],
                    "processes": world.processes(), "spend": world.spend(), "requests": world.requests,
                    "violations": world.violations, "n_created": len(world.pods) + len(world.gone),
                }  # fmt: skip
            case "faults":
                world.faults = [Fault(**each) for each in body["faults"]]
            case "set":
                for name, value in body.items():
                    assert name in ("provision", "pull", "hidden", "balance", "page", "stock"), name
                    setattr(world, name, value)
                if body.get("balance") is False:
                    for pod in list(world.pods.values()):
                        world.exit(pod)
            case "pod":
                getattr(world, body["do"])(world.pods[body["id"]])
            case "volume":
                return world.add_volume(body["name"], body["data_center"], volume_id=body.get("id"))
        return {}

    def _check(self, status, body, path):
        if self.schema and body is not None:
            plain = (
                {key: value for key, value in body.items() if key != "pagination"} if isinstance(body, dict) else body
            )
            self.world.violations += self.schema.answer_errors(self.command, path, status, plain)[:3]

    def _send(self, status, body, kind="application/json", headers=None):
        content = b"" if body is None else json.dumps(body).encode()
        self._write(status, content, kind, headers)

    def _send_text(self, status, text, kind="text/event-stream"):
        self._write(status, text.encode(), kind)

    def _write(self, status, content, kind, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True


def schema_of(world):
    return Schema(world.openapi) if world.openapi else None
