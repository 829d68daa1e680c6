"""RunPod's REST API as the client speaks it: what it sends, what it makes of every answer, and that the key stays in it."""

from __future__ import annotations

import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import jsonschema
import pytest

from runs.backends import runpod_api
from runs.backends.runpod_api import (
    ForbiddenError,
    Gpu,
    LogLine,
    NetworkVolume,
    NoCapacityError,
    NoFundsError,
    Pod,
    PodRequest,
    RateLimitedError,
    RejectedError,
    RetiredError,
    RunPod,
    RunPodError,
    UnansweredError,
    UnreachableError,
    WrongKeyError,
)
from runs.models import Controller

URL, KEY = "https://api.runpod.io/v2", "rpa_ABCDEF0123456789"
REQUEST = PodRequest(
    name="lora-1f2e3d4c-17-a1",
    image="runpod/pytorch:tag",
    gpu="NVIDIA GeForce RTX 4090",
    data_center="EU-RO-1",
    volume="agv6w2qcg7",
    mount="/workspace",
    disk=40,
    args="python3 /workspace/programs/0.pyz",
    env={"LORA_JOB": "1f2e3d4c-17"},
)
POD = {"id": "p1", "name": "lora-1", "status": "RUNNING", "cost": 0.69, "createdAt": "2026-11-27T20:00:00Z",
       "gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 1}, "dataCenterId": "EU-RO-1", "runtime": {}, "new": [1]}  # fmt: skip
THE_POD = Pod(
    id="p1",
    name="lora-1",
    status="RUNNING",
    cost=Decimal("0.69"),
    created_at="2026-11-27T20:00:00Z",
    gpu="NVIDIA GeForce RTX 4090",
    data_center="EU-RO-1",
)
CAPACITY = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


class Api:
    """RunPod, which gives the answers of a list and keeps the requests; the last answer is given again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.client = RunPod(URL, KEY, transport=httpx2.MockTransport(self.answer))

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            return answer
        return httpx2.Response(200, json=answer)


def problem(status: int, detail: str = "for some reason", **headers: str) -> httpx2.Response:
    body = {"title": "Problem", "status": status, "detail": detail}
    return httpx2.Response(status, json=body, headers={"Content-Type": "application/problem+json", **headers})


def html() -> httpx2.Response:
    return httpx2.Response(502, text=f"<html>Bearer {KEY}</html>", headers={"Content-Type": "text/html"})


def test_a_pod_is_asked_for_as_the_contract_says() -> None:
    api = Api(httpx2.Response(201, json=POD))
    assert api.client.create(REQUEST) == THE_POD
    (request,) = api.requests
    assert (request.method, str(request.url)) == ("POST", f"{URL}/pods")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.extensions["timeout"] == {"connect": 5.0, "read": 60.0, "write": 60.0, "pool": 60.0}
    assert json.loads(request.content) == {
        "name": "lora-1f2e3d4c-17-a1",
        "image": "runpod/pytorch:tag",
        "cloud": "SECURE",
        "gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 1},
        "dataCenterIds": ["EU-RO-1"],
        "disk": 40,
        "mounts": {"network": [{"volumeId": "agv6w2qcg7", "path": "/workspace"}]},
        "ports": [],
        "args": "python3 /workspace/programs/0.pyz",
        "env": {"LORA_JOB": "1f2e3d4c-17"},
    }


def test_a_list_is_read_to_its_last_page() -> None:
    more = {"hasNextPage": True, "nextCursor": "two&"}
    api = Api({"pods": [POD], "pagination": more}, {"pods": [POD | {"id": "p2"}], "pagination": {"hasNextPage": False}})
    assert [pod.id for pod in api.client.pods()] == ["p1", "p2"]
    assert [request.url.params.get("cursor") for request in api.requests] == [None, "two&"]


@pytest.mark.parametrize("pagination", [None, {}, [], {"hasNextPage": True}, {"hasNextPage": False, "nextCursor": "x"}])
def test_a_list_without_a_next_page_is_asked_for_once(pagination) -> None:
    api = Api({"pods": [POD], "pagination": pagination})
    assert len(api.client.pods()) == len(api.requests) == 1


def test_a_cursor_that_comes_again_ends_the_list() -> None:
    api = Api({"pods": [POD], "pagination": {"hasNextPage": True, "nextCursor": "x"}})
    assert len(api.client.pods()) == 2


def test_one_pod_and_none() -> None:
    assert Api(POD).client.pod("p1") == THE_POD
    assert Api(problem(404)).client.pod("p1") is None


def test_deleting_says_whether_there_was_one() -> None:
    api = Api(httpx2.Response(204))
    assert api.client.delete("p/../1") is True
    assert api.requests[0].url.raw_path == b"/v2/pods/p%2F..%2F1"
    assert Api(problem(404)).client.delete("p1") is False


REFUSALS = [
    (problem(400, CAPACITY), NoCapacityError, "none free: There are no longer any"),
    (problem(400, "Registry auth not found"), RejectedError, r"rejects POST /pods \(400\): Registry auth not found"),
    (problem(422), RejectedError, "422"),
    (problem(409), RejectedError, "409"),
    (problem(402), NoFundsError, "no balance left: top it up in its console"),
    (problem(403), ForbiddenError, "Give RUNPOD_API_KEY the right to it, or choose another GPU"),
    (problem(404), RejectedError, "is RUNPOD_API_URL right"),
    (problem(401, KEY), WrongKeyError, "make a restricted key in its console under Settings, API Keys"),
    (problem(410), RetiredError, "punklab speaks REST version 2, https://api.runpod.io/v2"),
]
UNKNOWN = [
    problem(500),
    problem(408),
    problem(524),
    html(),
    httpx2.Response(201, text="<html>"),
    httpx2.Response(201),
    httpx2.Response(201, json=[POD]),
    httpx2.Response(201, json={"id": None, "name": "x", "status": "RUNNING"}),
    httpx2.Response(301, headers={"Location": "https://elsewhere.example"}),
    httpx2.ReadTimeout("read"),
    httpx2.WriteError("write"),
    httpx2.RemoteProtocolError("peer closed connection"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), REFUSALS)
def test_a_refused_create_says_why_and_is_not_repeated(answer, kind, said, slept) -> None:
    api = Api(answer)
    with pytest.raises(kind, match=said) as caught:
        api.client.create(REQUEST)
    assert (type(caught.value), len(api.requests), slept) == (kind, 1, [])


@pytest.mark.parametrize("answer", UNKNOWN)
def test_a_create_without_an_answer_is_unknown_and_never_repeated(answer) -> None:
    api = Api(answer)
    with pytest.raises(UnansweredError) as caught:
        api.client.create(REQUEST)
    assert (type(caught.value), len(api.requests)) == (UnansweredError, 1)


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow")])
def test_a_create_that_did_not_leave_this_machine_is_known_not_to_have_been_asked(error) -> None:
    with pytest.raises(UnreachableError, match="is the network up, and RUNPOD_API_URL right"):
        Api(error).client.create(REQUEST)


def test_a_create_waits_out_a_short_rate_limit_and_tells_of_a_long_one(slept) -> None:
    api = Api(problem(429, **{"Retry-After": "2"}), httpx2.Response(201, json=POD))
    assert api.client.create(REQUEST) == THE_POD
    assert slept == [2.0]
    for header, seconds in (("600", 600.0), ("soon", 10.0), ("-3", 0.0)):
        with pytest.raises(RateLimitedError) as caught:
            Api(problem(429, **{"Retry-After": header})).client.create(REQUEST)
        assert caught.value.seconds == seconds


@pytest.mark.parametrize("fault", [problem(500), html(), httpx2.ReadTimeout("read"), httpx2.ConnectError("no")])
def test_reading_and_deleting_are_tried_again(fault, slept) -> None:
    api = Api(fault, fault, {"pods": []})
    assert api.client.pods() == []
    assert slept == [1.0, 2.0]
    api = Api(fault, httpx2.Response(204))
    assert api.client.delete("p1") is True
    api = Api(fault)
    with pytest.raises(UnansweredError):
        api.client.pods()
    assert len(api.requests) == 3


def test_nothing_is_tried_again_after_twenty_seconds(monkeypatch) -> None:
    clock = iter(range(0, 1000, 21))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    api = Api(problem(500))
    with pytest.raises(UnansweredError):
        api.client.pods()
    assert len(api.requests) == 1


@pytest.mark.parametrize("answer", [{}, [], "pods", {"pods": None}, {"pods": [{}]}, {"pods": [None]}])
def test_a_list_that_cannot_be_read_is_no_empty_list(answer) -> None:
    with pytest.raises(UnansweredError):
        Api(answer).client.pods()


@pytest.mark.parametrize("cost", [None, True, "1", float("nan"), float("inf")])
def test_a_cost_that_is_no_number_is_none(cost) -> None:
    raw = json.dumps(POD | {"cost": cost}).encode()
    api = Api(httpx2.Response(200, content=raw, headers={"Content-Type": "application/json"}))
    found = api.client.pod("p1")
    assert found is not None
    assert found.cost == 0


def test_the_catalog_names_prices_memory_and_stock() -> None:
    gpu = {"id": "NVIDIA GeForce RTX 4090", "name": "RTX 4090", "memory": 24, "secure": True, "availability": "HIGH"}
    api = Api({"gpus": [gpu | {"price": {"secure": 0.44}}, {"id": "B", "secure": False, "price": {"secure": 0.1}},
                        {"id": "C", "price": {"secure": 0}}, {"id": "D", "price": None}]})  # fmt: skip
    first, *others = api.client.gpus()
    assert first == Gpu(
        id="NVIDIA GeForce RTX 4090", label="RTX 4090", memory_gb=24, price=Decimal("0.44"), stock="HIGH"
    )
    assert [(each.id, each.price) for each in others] == [("B", None), ("C", None), ("D", None)]
    assert dict(api.requests[0].url.params) == {
        "include": "AVAILABILITY",
        "product": "POD",
        "count": "1",
        "cloud": "SECURE",
    }


def test_stock_is_told_by_data_centre() -> None:
    centers = [{"id": "EU-RO-1", "gpuAvailability": [{"id": "A", "availability": "LOW"}, {"id": "B"}]}, {"id": "X"}]
    found = Api({"dataCenters": centers}).client.stock()
    assert found == {"EU-RO-1": {"A": "LOW", "B": "NONE"}, "X": {}}


def test_volumes_are_listed_made_and_grown() -> None:
    raw = {"id": "v1", "name": "lab", "size": 50, "dataCenter": "EU-RO-1", "type": "STANDARD"}
    volume = NetworkVolume(id="v1", name="lab", data_center="EU-RO-1", size_gb=50)
    assert Api({"networkVolumes": [raw]}).client.volumes() == [volume]
    api = Api(raw)
    assert api.client.create_volume("lab", size_gb=50, data_center="EU-RO-1") == volume
    assert api.client.grow_volume("v1", size_gb=60) == volume
    sent = [(request.method, request.url.path, json.loads(request.content)) for request in api.requests]
    assert sent == [
        ("POST", "/v2/network-volumes", {"name": "lab", "size": 50, "dataCenter": "EU-RO-1"}),
        ("PATCH", "/v2/network-volumes/v1", {"size": 60}),
    ]
    with pytest.raises(UnansweredError):
        (dropped := Api(httpx2.ReadError("gone"))).client.create_volume("lab", size_gb=50, data_center="EU-RO-1")
    assert len(dropped.requests) == 1


def test_a_bill_is_the_sum_of_the_pods_records() -> None:
    records = [
        {"podId": "p1", "totalAmount": 0.25},
        {"podId": "p1", "totalAmount": 0.5},
        {"podId": "p2", "totalAmount": 9},
    ]
    api = Api({"records": records, "metadata": {}})
    assert api.client.billed("p1", datetime(2026, 11, 27, 20, 30, tzinfo=UTC)) == Decimal("0.75")
    assert api.client.billed("p3") is None
    first, second = (dict(request.url.params) for request in api.requests)
    assert first == {"podId": "p1", "bucketSize": "hour", "startTime": "2026-11-27T20:30:00Z"}
    assert "startTime" not in second


def stream(*lines: str, then: Exception | None = None) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        yield "".join(f"{line}\n" for line in lines).encode()
        if then is not None:
            raise then

    return body


class Stream(httpx2.SyncByteStream):
    def __init__(self, body: Callable[[], Iterator[bytes]]) -> None:
        self.body = body

    def __iter__(self) -> Iterator[bytes]:
        return self.body()


EVENTS = [
    ": keep-alive",
    'id: 1\ndata: {"ts":"t1","source":"container","line":"one"}\n',
    "data: {torn",
    'data: {"ts":"t2","source":"container","line":"two"}\n',
]


@pytest.mark.parametrize("tail", [2, 100])
def test_a_log_whose_stream_does_not_end_is_read_all_the_same(tail) -> None:
    """With tail=2 the wanted lines are there before the silence; with 100 the silence ends it."""
    api = Api(httpx2.Response(200, stream=Stream(stream(*EVENTS, then=httpx2.ReadTimeout("quiet")))))
    found = api.client.log_lines("p1", tail=tail)
    assert found == [LogLine(source="container", text=each, at=at) for each, at in (("one", "t1"), ("two", "t2"))]
    assert dict(api.requests[0].url.params) == {"source": "container", "tail": str(tail)}
    assert api.requests[0].extensions["timeout"]["read"] <= 5


def test_a_log_that_goes_on_and_on_is_left(monkeypatch) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b": keep-alive\n"

    clock = iter(range(10**6))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert Api(httpx2.Response(200, stream=Stream(endless))).client.log_lines("p1", tail=5) == []


def test_a_log_of_no_pod_is_empty_and_a_refusal_is_said() -> None:
    assert Api(problem(404)).client.log_lines("p1", tail=5) == []
    with pytest.raises(WrongKeyError):
        Api(problem(401)).client.log_lines("p1", tail=5)
    with pytest.raises(UnansweredError):
        Api(httpx2.ReadTimeout("quiet")).client.log_lines("p1", tail=5)


@pytest.mark.parametrize("url", ["http://api.runpod.io/v2", "ftp://127.0.0.1/v2", "api.runpod.io/v2", ""])
def test_an_address_that_would_show_the_key_is_refused(url) -> None:
    with pytest.raises(RunPodError, match="is not https"):
        RunPod(url, KEY)


def test_the_loopback_needs_no_https() -> None:
    for url in ("http://127.0.0.1:8000/v2", "http://localhost/v2", "http://[::1]:1/v2"):
        RunPod(url, KEY).close()


@pytest.mark.parametrize("key", ["", "two words", "ends\n", "schlüssel", "a\x00b"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(key) -> None:
    with pytest.raises(WrongKeyError, match="make a restricted key") as caught:
        RunPod(URL, key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("answer", [*(each for each, _, _ in REFUSALS if each.status_code != 401), *UNKNOWN])
def test_the_key_is_in_no_message_no_log_and_no_repr(answer, caplog) -> None:
    api = Api(answer)
    with caplog.at_level(logging.DEBUG), pytest.raises(RunPodError) as caught:
        api.client.create(REQUEST)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    for text in (str(caught.value), repr(caught.value), shown, caplog.text, repr(api.client), repr(REQUEST)):
        assert KEY not in text
    assert KEY.encode() not in pickle.dumps(caught.value.args)


def test_a_key_is_checked_by_what_the_site_asks_for() -> None:
    api = Api({"pods": []})
    api.client.check_key()
    assert api.requests[0].url.path == "/v2/pods"
    with pytest.raises(WrongKeyError):
        Api(problem(401)).client.check_key()


def test_what_it_sends_and_reads_fits_the_published_document(shared) -> None:
    document = json.loads((shared / "runpod" / "openapi-v2.json").read_text())

    def check(schema: str, value: Any) -> Any:
        rules = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        jsonschema.Draft202012Validator(rules).validate(value)
        return value

    def example(path: str, status: str = "200") -> Any:
        answer = document["paths"][path]["get"]["responses"][status]["content"]["application/json"]
        return next(iter(answer["examples"].values()))["value"]

    api = Api({"id": "v", "name": "n", "size": 10, "dataCenter": "EU-RO-1"})
    api.client.create_volume("n", size_gb=10, data_center="EU-RO-1")
    api.client.grow_volume("v", size_gb=20)
    for request, schema in zip(api.requests, ("CreateNetworkVolumeRequest", "UpdateNetworkVolumeRequest"), strict=True):
        check(schema, json.loads(request.content))
    check("CreatePodRequest", REQUEST.body())
    with pytest.raises(jsonschema.ValidationError):
        check("CreatePodRequest", REQUEST.body() | {"entrypoint": ["sh"]})
    assert Api(check("ListPodsResponse", example("/v2/pods"))).client.pods()[0].id
    gpu = Api(check("ListGpuTypesResponse", example("/v2/catalog/gpus"))).client.gpus()[0]
    assert (gpu.price, gpu.memory_gb, gpu.stock) == (Decimal("0.44"), 24, "HIGH")
    stock = Api(check("ListDataCentersResponse", example("/v2/catalog/datacenters"))).client.stock()
    assert stock["US-KS-2"]["NVIDIA GeForce RTX 4090"] == "HIGH"
    assert Api(check("ListNetworkVolumesResponse", example("/v2/network-volumes"))).client.volumes()[0].size_gb == 100
    bill = Api(check("ListPodBillingResponse", example("/v2/billing/pods")))
    assert bill.client.billed("7h9k2m4n6p") == Decimal("12.34")
    logs = document["paths"]["/v2/pods/{id}/logs"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    text = logs["examples"]["logLine"]["value"]
    assert [each.text for each in Api(httpx2.Response(200, text=text)).client.log_lines("p", tail=9)] == [
        "Model loaded."
    ]
    paths = {"/pods", "/pods/{id}", "/pods/{id}/logs", "/network-volumes", "/network-volumes/{id}", "/billing/pods"}
    assert {f"/v2{path}" for path in paths} <= set(document["paths"])


def test_the_waits_fit_the_time_that_a_controller_is_held() -> None:
    assert Controller.HELD.total_seconds() > runpod_api.PATIENCE + runpod_api.READ + runpod_api.CONNECT
    assert Controller.HELD.total_seconds() > runpod_api.CREATE + runpod_api.CONNECT
