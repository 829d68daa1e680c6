"""What a volume refuses, and the sentences for it."""

from __future__ import annotations

from botocore.exceptions import ClientError

_KEYS = "RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY"


class VolumeError(Exception):
    """A volume could not be read or written; the message is a sentence with the mend."""


class VolumeFullError(VolumeError):
    """The volume has no room for it."""


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_absent(error: ClientError) -> bool:
    """Whether an answer says that there is no such file, and not that there is no such volume."""
    return status_of(error) == 404 and error.response.get("Error", {}).get("Code") != "NoSuchBucket"


def sentence(error: ClientError, bucket: str, key: str) -> VolumeError:
    """The error that a refusal stands for: which setting is wrong, where it is made, or what else mends it."""
    code, status = str(error.response.get("Error", {}).get("Code", "")), status_of(error)
    if status == 507:
        return VolumeFullError(f"The volume {bucket} is full: enlarge it in RunPod's console, or empty it.")
    if code == "RequestTimeTooSkewed":
        return VolumeError("This machine's clock is wrong by more than RunPod tolerates: set it (timedatectl).")
    if code == "NoSuchBucket":
        return VolumeError(
            f"RUNPOD_VOLUMES names {bucket!r}, which is no network volume in that data centre: see RunPod's console "
            "under Storage."
        )
    if status in (401, 403):
        return VolumeError(
            f"RunPod does not accept {_KEYS} for {bucket} ({code}): make an S3 API key in its console under "
            "Settings, S3 API Keys."
        )
    return VolumeError(f"The volume {bucket} answers {status} {code}: {key}.")
