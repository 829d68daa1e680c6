"""RunPod's REST API, version 2 (docs.runpod.io, "API reference v2", read in November 2026): pods, catalog, volumes, bills.

A create that was not answered may have been carried out: `UnansweredError` says so, and nothing here repeats it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from runs.backends.runpod_errors import (
    WRONG_KEY,
    ForbiddenError,
    NoCapacityError,
    NoFundsError,
    RateLimitedError,
    RejectedError,
    RetiredError,
    RunPodError,
    UnansweredError,
    UnreachableError,
    WrongKeyError,
    refusal,
)
from runs.backends.runpod_records import (
    Gpu,
    LogLine,
    NetworkVolume,
    Pod,
    PodRequest,
    gpu_from,
    line_from,
    money_from,
    pod_from,
    stock_from,
    volume_from,
)

__all__ = [
    "ForbiddenError",
    "Gpu",
    "LogLine",
    "NetworkVolume",
    "NoCapacityError",
    "NoFundsError",
    "Pod",
    "PodRequest",
    "RateLimitedError",
    "RejectedError",
    "RetiredError",
    "RunPod",
    "RunPodError",
    "UnansweredError",
    "UnreachableError",
    "WrongKeyError",
]

READ, CREATE, CONNECT = 30.0, 60.0, 5.0  # seconds
TRIES = 3  # of what may be repeated
PAUSE = 1.0  # seconds before the second try, doubled before the third
PATIENCE = 20.0  # seconds after which nothing is tried once more
LONGEST_WAIT = 5.0  # seconds that a rate limit is waited out here; longer ones are told to the caller
QUIET = 3.0  # seconds without a line after which a log, whose stream never ends, is taken for read
LOG_TIME = 15.0  # seconds that reading a log may take
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class RunPod:
    """One account. Raises RunPodError from every method; the key appears in no message. For several threads."""

    def __init__(self, url: str, key: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        """Raises RunPodError for an address that would send the key in the clear, and for what cannot be a key."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise RunPodError(f"RUNPOD_API_URL {url!r} is not https: the key would travel in the clear.")
        if not (key.isascii() and key.isprintable() and key) or " " in key:
            raise WrongKeyError(WRONG_KEY)
        self._client = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=_within(READ),
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check_key(self) -> None:
        """Ask for what the site asks for all the time: a restricted key may lack rights to anything else."""
        self.pods()

    def pods(self) -> list[Pod]:
        """Every pod of the account."""
        return [pod_from(each) for each in self._list("/pods", "pods")]

    def pod(self, pod: str) -> Pod | None:
        """One pod; None where RunPod knows none of that id, which just after its making proves nothing."""
        found = self._call("GET", f"/pods/{quote(pod, safe='')}", absent_is_none=True)
        return None if found is None else pod_from(found)

    def create(self, request: PodRequest) -> Pod:
        """Make a pod. Raises UnansweredError where it may have been made all the same."""
        return pod_from(self._call("POST", "/pods", body=request.body(), timeout=CREATE))

    def delete(self, pod: str) -> bool:
        """Terminate a pod: True when it was, False when RunPod knows no such pod."""
        return self._call("DELETE", f"/pods/{quote(pod, safe='')}", absent_is_none=True) is not None

    def log_lines(self, pod: str, *, tail: int, source: str = "container") -> list[LogLine]:
        """The last lines of a pod's log, its container's or the `system`'s; empty when the pod is gone.

        The stream stays open for lines to come, so that it is left when the tail is read or nothing more comes."""
        path, found = f"/pods/{quote(pod, safe='')}/logs", list[LogLine]()
        until = time.monotonic() + LOG_TIME
        asked = {"source": source, "tail": str(tail)}
        try:
            with self._client.stream("GET", path, params=asked, timeout=_within(QUIET)) as answer:
                if answer.status_code == 404:
                    return []
                if not answer.is_success:
                    answer.read()
                    self._raise_for(answer, f"GET {path}")
                for line in answer.iter_lines():
                    if line.startswith("data:") and (read := line_from(_json_or_none(line[5:]))):
                        found.append(read)
                    if len(found) == tail or time.monotonic() > until:
                        break
        except httpx2.HTTPError as error:
            if not found:
                raise _unanswered(error, f"GET {path}") from None
        return found

    def gpus(self) -> list[Gpu]:
        """The kinds of GPU with their prices."""
        params = {"include": "AVAILABILITY", "product": "POD", "count": "1", "cloud": "SECURE"}
        return [gpu_from(each) for each in self._list("/catalog/gpus", "gpus", params)]

    def stock(self) -> dict[str, dict[str, str]]:
        """By data centre and GPU: NONE, LOW, MEDIUM or HIGH."""
        return dict(map(stock_from, self._list("/catalog/datacenters", "dataCenters", {"include": "GPU_AVAILABILITY"})))

    def volumes(self) -> list[NetworkVolume]:
        """The account's network volumes."""
        return [volume_from(each) for each in self._list("/network-volumes", "networkVolumes")]

    def create_volume(self, name: str, *, size_gb: int, data_center: str) -> NetworkVolume:
        """Make a network volume, which costs money until it is deleted. Raises UnansweredError as `create` does."""
        body = {"name": name, "size": size_gb, "dataCenter": data_center}
        return volume_from(self._call("POST", "/network-volumes", body=body, timeout=CREATE))

    def grow_volume(self, volume: str, *, size_gb: int) -> NetworkVolume:
        """Make a network volume larger; RunPod rejects a smaller size."""
        path = f"/network-volumes/{quote(volume, safe='')}"
        return volume_from(self._call("PATCH", path, body={"size": size_gb}))

    def billed(self, pod: str, since: datetime | None = None) -> Decimal | None:
        """US dollars that the bill names for a pod since then (None: 30 days ago); None while it names none."""
        asked = {"podId": pod, "bucketSize": "hour"}
        if since is not None:
            asked["startTime"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        records = [each for each in self._list("/billing/pods", "records", asked) if isinstance(each, dict)]
        amounts = [money_from(each.get("totalAmount")) for each in records if each.get("podId") == pod]
        known = [amount for amount in amounts if amount is not None]
        return sum(known, Decimal(0)) if known else None

    def exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        """One request and its answer as they are, whatever it says: for looking at RunPod itself."""
        return self._send(method, path, body=body, timeout=CREATE if method == "POST" else READ)

    def _list(self, path: str, key: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """All pages of a list: the cursor is newer than the published document. A cursor that comes twice ends it."""
        found: list[Any] = []
        asked, seen = dict(params or {}), {""}
        while True:
            page = self._call("GET", path, params=asked)
            if not isinstance(page, dict) or not isinstance(page.get(key), list):
                raise UnansweredError(f"RunPod's answer to GET {path} has no {key}.")
            found += page[key]
            cursor = _next_cursor(page.get("pagination"))
            if cursor in seen:
                return found
            seen.add(cursor)
            asked["cursor"] = cursor

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: float = READ,
        absent_is_none: bool = False,
    ) -> Any:
        """The parsed answer, {} for an empty one, where asked for None for a 404. What may be repeated is."""
        what, begun = f"{method} {path}", time.monotonic()
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                answer = self._send(method, path, params=params, body=body, timeout=timeout)
                if answer.status_code == 404 and absent_is_none:
                    return None
                self._raise_for(answer, what)
                return _parsed(answer, what)
            except UnansweredError:
                if method == "POST" or last or time.monotonic() - begun > PATIENCE:
                    raise
                time.sleep(PAUSE * 2 ** (attempt - 1))
            except RateLimitedError as error:
                if last or error.seconds > LONGEST_WAIT:
                    raise
                time.sleep(error.seconds)
        raise AssertionError("unreachable")

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: float = READ,
    ) -> httpx2.Response:
        try:
            return self._client.request(method, path, params=params, json=body, timeout=_within(timeout))
        except httpx2.HTTPError as error:
            raise _unanswered(error, f"{method} {path}") from None

    def _raise_for(self, answer: httpx2.Response, what: str) -> None:
        if error := refusal(answer, what):
            raise error


def _within(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=CONNECT)


def _unanswered(error: httpx2.HTTPError, what: str) -> UnansweredError:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):  # before anything was sent
        return UnreachableError(
            f"RunPod cannot be reached ({type(error).__name__}): is the network up, and RUNPOD_API_URL right?"
        )
    return UnansweredError(f"RunPod did not answer {what}: {type(error).__name__}.")


def _parsed(answer: httpx2.Response, what: str) -> Any:
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError:
        kind = answer.headers.get("content-type", "no type")
        raise UnansweredError(f"RunPod's answer to {what} is no JSON ({kind}).") from None


def _next_cursor(pagination: object) -> str:
    """ "" where no page follows."""
    if not isinstance(pagination, dict) or not pagination.get("hasNextPage", True):
        return ""
    return str(pagination.get("nextCursor") or "")


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
