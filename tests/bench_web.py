"""The web process: start to first response under 2 s, under 200 MB, without torch."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil

STARTS = 5
SECONDS = 2.0
MEGABYTES = 200.0


def main() -> int:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)
    runs = [one_start() for _ in range(STARTS)]
    seconds = statistics.median(run[0] for run in runs)
    megabytes = max(run[1] for run in runs)
    torch = any(run[2] for run in runs)
    sys.stdout.write(f"start to first response: {seconds:.2f} s, median of {STARTS} (bound {SECONDS} s)\n")
    sys.stdout.write(f"memory after it, master and worker: {megabytes:.0f} MB at most (bound {MEGABYTES:.0f} MB)\n")
    sys.stdout.write(f"torch mapped: {'yes' if torch else 'no'}\n")
    return int(seconds > SECONDS or megabytes > MEGABYTES or torch)


def one_start() -> tuple[float, float, bool]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "punklab.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.01)
        seconds = time.perf_counter() - began
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        unique = sum(process.memory_full_info().uss for process in processes) / 1e6
        torch = any("torch" in mapped.path for process in processes for mapped in process.memory_maps())
        return seconds, unique, torch
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
