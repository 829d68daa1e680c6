"""What RunPod's REST API refuses, and the sentences for it: what, why, and what mends it. No message holds the key."""

from __future__ import annotations

import httpx2

LONG_WAIT = 10.0  # seconds, where a rate limit does not say how long
# A 400 is a broken rule or a lack of machines; only its words tell them apart (docs.runpod.io names no code for it).
NO_CAPACITY = ("no longer any instances available", "does not have the resources")


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


WRONG_KEY = "RunPod does not accept RUNPOD_API_KEY: make a restricted key in its console under Settings, API Keys."
_REFUSALS: dict[int, tuple[type[RunPodError], str]] = {
    401: (WrongKeyError, WRONG_KEY),
    402: (NoFundsError, "The RunPod account has no balance left: top it up in its console. ({detail})"),
    403: (
        ForbiddenError,
        "RunPod forbids {what}: {detail} Give RUNPOD_API_KEY the right to it, or choose another GPU.",
    ),
    404: (
        RejectedError,
        "RunPod knows no {what} ({detail}): is RUNPOD_API_URL right? It is https://api.runpod.io/v2 unless you changed it.",
    ),
    410: (
        RetiredError,
        "RunPod has retired what RUNPOD_API_URL names ({detail}): punklab speaks REST version 2, https://api.runpod.io/v2.",
    ),
}


def refusal(answer: httpx2.Response, what: str) -> RunPodError | None:
    """The error that an answer to `what` ("GET /pods") stands for; None for a success. The answer has been read."""
    if answer.is_success:
        return None
    status, detail = answer.status_code, _detail(answer)
    if status == 429:
        return RateLimitedError(f"RunPod asks for fewer requests: {detail}", _seconds(answer))
    if status == 400 and any(words in detail for words in NO_CAPACITY):
        return NoCapacityError(f"RunPod has none free: {detail}")
    if status in _REFUSALS:
        kind, sentence = _REFUSALS[status]
        return kind(sentence.format(what=what, detail=detail))
    if 400 <= status < 500 and status != 408:  # 408: it did not get the whole request, or says so
        return RejectedError(f"RunPod rejects {what} ({status}): {detail}")
    return UnansweredError(f"RunPod answers {status} to {what}: {detail}")


def _detail(answer: httpx2.Response) -> str:
    """What a problem report says (RFC 9457); a page of a proxy's is not repeated."""
    try:
        problem = answer.json()
    except ValueError:
        return f"an answer that is no JSON ({answer.headers.get('content-type', 'no type')})"
    if not isinstance(problem, dict):
        return "an answer without a reason"
    errors = problem.get("errors")
    said = [problem.get("detail") or problem.get("title") or "", *(errors if isinstance(errors, list) else ())]
    return "; ".join(map(str, said))[:500]


def _seconds(answer: httpx2.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return LONG_WAIT
