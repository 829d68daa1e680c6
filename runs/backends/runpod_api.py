"""RunPod's REST API, version 2 (docs.runpod.io, "API reference v2", read in November 2026): pods, catalog, volumes, bills.

A create that was not answered may have been carried out: `Unanswered` says so, and nothing here repeats it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import httpx2

READ, CREATE, CONNECT = 30.0, 60.0, 5.0  # seconds
TRIES = 3  # of what may be repeated
PAUSE = 1.0  # seconds before the second try, doubled before the third
LONGEST_WAIT = 5.0  # seconds that a rate limit is waited out here; longer ones are told to the caller
NO_CAPACITY = "no longer any instances available"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class RunPodError(Exception):
    """RunPod could not do it; the message is a sentence that says what, why and what to do."""


class NoCapacityError(RunPodError):
    """No machine of that kind is free there."""


class RejectedError(RunPodError):
    """The request breaks a rule of the API's: the same would be rejected again."""


class NoFundsError(RunPodError):
    """The account's balance does not suffice."""


class ForbiddenError(RunPodError):
    """The account may not use that pool, or the key not that call."""


class WrongKeyError(RunPodError):
    """The API key is not accepted."""


class RetiredError(RunPodError):
    """The address answers for an interface that RunPod has retired."""


class RateLimitedError(RunPodError):
    """Too many requests; `seconds` until the next may be made."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class UnansweredError(RunPodError):
    """There was no answer that could be read: what was asked may have been done."""


class UnreachableError(UnansweredError):
    """No connection was made, so that nothing was asked."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod. `cost`: US dollars an hour now; `created_at`: ISO 8601."""

    id: str
    name: str
    status: str
    cost: Decimal
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A kind of GPU. `price`: US dollars an hour in the secure cloud; None: not to be had there."""

    id: str
    label: str
    price: Decimal | None


@dataclass(frozen=True, kw_only=True)
class NetworkVolume:
    """A network volume; `size_gb` is what is paid for."""

    id: str
    name: str
    data_center: str
    size_gb: int


@dataclass(frozen=True, kw_only=True)
class PodRequest:
    """A pod to be made: one GPU, one network volume, a start command of plain words."""

    name: str
    image: str
    gpu: str
    data_center: str
    volume: str
    mount: str
    disk: int  # GB
    args: str
    env: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return {
            "name": self.name,
            "image": self.image,
            "cloud": "SECURE",
            "gpu": {"id": self.gpu, "count": 1},
            "dataCenterIds": [self.data_center],
            "disk": self.disk,
            "mounts": {"network": [{"volumeId": self.volume, "path": self.mount}]},
            "ports": [],
            "args": self.args,
            "env": dict(self.env),
        }


class RunPod:
    """One account. Raises RunPodError from every method; the key appears in no message."""

    def __init__(self, url: str, key: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        """Raises RunPodError for an address that would send the key in the clear."""
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise RunPodError(f"RUNPOD_API_URL {url!r} is not https: the key would travel in the clear.")
        self._client = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=httpx2.Timeout(READ, connect=CONNECT),
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def pods(self) -> list[Pod]:
        """Every pod of the account."""
        return [_pod(each) for each in self._list("/pods", "pods")]

    def create(self, request: PodRequest) -> Pod:
        """Make a pod. Raises UnansweredError where it may have been made all the same."""
        return _pod(self._call("POST", "/pods", body=request.body(), timeout=CREATE))

    def delete(self, pod: str) -> bool:
        """Terminate a pod: True when it was, False when RunPod knows no such pod."""
        return self._call("DELETE", f"/pods/{pod}") is not None

    def log_lines(self, pod: str, *, tail: int) -> list[str]:
        """The last lines that a pod's container printed; empty when it is gone."""
        found = self._send("GET", f"/pods/{pod}/logs", params={"source": "container", "tail": str(tail)})
        if found.status_code == 404:
            return []
        self._raise_for(found)
        lines = []
        for line in found.text.splitlines():
            if line.startswith("data:"):
                try:
                    lines.append(str(json.loads(line[5:]).get("line", "")))
                except (ValueError, AttributeError):
                    continue
        return lines[-tail:]

    def gpus(self) -> list[Gpu]:
        """The kinds of GPU with their prices."""
        params = {"include": "AVAILABILITY", "product": "POD", "count": "1", "cloud": "SECURE"}
        return [
            Gpu(id=str(each["id"]), label=str(each.get("name", each["id"])), price=_money(each["price"].get("secure")))
            for each in self._list("/catalog/gpus", "gpus", params)
        ]

    def stock(self) -> dict[str, dict[str, str]]:
        """By data centre and GPU: NONE, LOW, MEDIUM or HIGH."""
        found = self._list("/catalog/datacenters", "dataCenters", {"include": "GPU_AVAILABILITY"})
        return {
            str(center["id"]): {
                str(each["id"]): str(each["availability"]) for each in center.get("gpuAvailability") or ()
            }
            for center in found
        }

    def volumes(self) -> list[NetworkVolume]:
        """The account's network volumes."""
        return [
            NetworkVolume(
                id=str(each["id"]),
                name=str(each["name"]),
                data_center=str(each["dataCenter"]),
                size_gb=int(each["size"]),
            )
            for each in self._list("/network-volumes", "networkVolumes")
        ]

    def billed(self, pod: str) -> Decimal | None:
        """US dollars that the bill names for a pod; None while it names none."""
        records = (self._call("GET", "/billing/pods", params={"podId": pod}) or {}).get("records") or ()
        amounts = [_money(each.get("totalAmount")) for each in records if each.get("podId") == pod]
        return sum((amount for amount in amounts if amount is not None), Decimal(0)) if amounts else None

    def _list(self, path: str, key: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """All pages of a list: the cursor is newer than the published document."""
        found: list[Any] = []
        asked = dict(params or {})
        while True:
            page = self._call("GET", path, params=asked) or {}
            if not isinstance(page.get(key), list):
                raise UnansweredError(f"RunPod's answer to GET {path} has no {key}.")
            found += page[key]
            pagination = page.get("pagination") or {}
            if not pagination.get("hasNextPage") or pagination.get("nextCursor") in (None, asked.get("cursor")):
                return found
            asked["cursor"] = str(pagination["nextCursor"])

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: float = READ,
    ) -> Any:
        """The parsed answer, {} for an empty one, None for 404. What may be repeated is."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._send(method, path, params=params, body=body, timeout=timeout)
                if answer.status_code == 404:
                    return None
                self._raise_for(answer)
                return _parsed(answer, f"{method} {path}")
            except UnansweredError:
                if method == "POST" or attempt == TRIES:
                    raise
                time.sleep(PAUSE * 2 ** (attempt - 1))
            except RateLimitedError as error:
                if attempt == TRIES or error.seconds > LONGEST_WAIT:
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
            return self._client.request(
                method, path, params=params, json=body, timeout=httpx2.Timeout(timeout, connect=CONNECT)
            )
        except httpx2.ConnectError as error:  # before anything was sent
            raise UnreachableError(
                f"RunPod cannot be reached ({error}): is the network up, and RUNPOD_API_URL right?"
            ) from None
        except httpx2.HTTPError as error:
            raise UnansweredError(f"RunPod did not answer {method} {path}: {type(error).__name__}.") from None

    def _raise_for(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        status, detail = answer.status_code, _detail(answer)
        if status == 429:
            raise RateLimitedError(f"RunPod asks for fewer requests: {detail}", _seconds(answer))
        if status == 400 and NO_CAPACITY in detail:
            raise NoCapacityError(f"RunPod has none free: {detail}")
        if status in _REFUSALS:
            kind, sentence = _REFUSALS[status]
            raise kind(sentence.format(detail=detail))
        if 400 <= status < 500:
            raise RejectedError(f"RunPod rejects the request ({status}): {detail}")
        raise UnansweredError(f"RunPod answers {status}: {detail}")


_REFUSALS: dict[int, tuple[type[RunPodError], str]] = {
    401: (
        WrongKeyError,
        "RunPod does not accept RUNPOD_API_KEY: make a restricted key in its console under Settings, API Keys.",
    ),
    402: (NoFundsError, "The RunPod account has no balance left: top it up in its console. ({detail})"),
    403: (ForbiddenError, "RunPod forbids it: {detail} Give the key the right, or choose another GPU."),
    410: (
        RetiredError,
        "RunPod has retired what RUNPOD_API_URL names ({detail}): punklab speaks REST version 2, https://api.runpod.io/v2.",
    ),
}


def _pod(raw: Any) -> Pod:
    try:
        return Pod(
            id=str(raw["id"]),
            name=str(raw["name"]),
            status=str(raw["status"]),
            cost=_money(raw.get("cost")) or Decimal(0),
            created_at=str(raw.get("createdAt") or ""),
        )
    except (KeyError, TypeError, AttributeError):
        raise UnansweredError("RunPod's answer holds no pod that can be read.") from None


def _money(raw: object) -> Decimal | None:
    try:
        return Decimal(str(raw)) if isinstance(raw, int | float) else None
    except InvalidOperation:
        return None


def _parsed(answer: httpx2.Response, what: str) -> Any:
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError:
        kind = answer.headers.get("content-type", "no type")
        raise UnansweredError(f"RunPod's answer to {what} is no JSON ({kind}).") from None


def _detail(answer: httpx2.Response) -> str:
    """What a problem report says (RFC 9457); a page of a proxy's is not repeated."""
    try:
        problem = answer.json()
    except ValueError:
        return f"an answer that is no JSON ({answer.headers.get('content-type', 'no type')})"
    if not isinstance(problem, dict):
        return "an answer without a reason"
    errors: Sequence[object] = problem.get("errors") or ()
    return "; ".join([str(problem.get("detail") or problem.get("title") or ""), *map(str, errors)])[:500]


def _seconds(answer: httpx2.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return LONGEST_WAIT * 2
