"""`python -m tests.simulators.runpod --state DIR`: prints its addresses and keys as one JSON line, then serves until it is ended."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.simulators.kohya import make_repository
from tests.simulators.kohya.shapes import miniature_lora
from tests.simulators.runpod import api, s3
from tests.simulators.runpod.world import World


def standin(folder):
    """The settings that name a stand-in for kohya in `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "KOHYA_REPOSITORY": str(folder),
        "KOHYA_COMMIT": make_repository(folder, *miniature_lora()),
        "RUNPOD_NEED_BYTES": "1000000",
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--s3-port", type=int, default=0)
    parser.add_argument("--time-scale", type=float, default=1.0, help="of the price meter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--openapi", type=Path, help="RunPod's own description; every exchange is held against it")
    parser.add_argument("--kohya", action="store_true", help="make a stand-in for kohya, and name it too")
    given = parser.parse_args()
    world = World(given.state.resolve(), scale=given.time_scale, seed=given.seed, openapi=given.openapi)
    volume = world.add_volume("punks", "EU-RO-1", volume_id="vol4punks1")
    servers = []
    for handler, port, facts in (
        (api.Handler, given.port, {"schema": api.schema_of(world)}),
        (s3.Handler, given.s3_port, {}),
    ):
        bound = type("Bound", (handler,), {"world": world, **facts})
        servers.append(ThreadingHTTPServer(("127.0.0.1", port), bound))
        servers[-1].daemon_threads = True
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    world.url = f"http://127.0.0.1:{servers[0].server_port}/v2"
    world.start()
    told = {
        "RUNPOD_API_URL": world.url,
        "RUNPOD_API_KEY": world.key,
        "RUNPOD_S3_ENDPOINT": f"http://127.0.0.1:{servers[1].server_port}/",
        "RUNPOD_S3_ACCESS_KEY": world.s3_access,
        "RUNPOD_S3_SECRET_KEY": world.s3_secret,
        "RUNPOD_VOLUMES": json.dumps([{"id": volume["id"], "data_center": volume["dataCenter"]}]),
    }
    if given.kohya:
        told |= standin(world.state / "kohya")
    print(json.dumps(told), flush=True)
    ended.wait()
    world.close()
    for server in servers:
        server.shutdown()


main()
