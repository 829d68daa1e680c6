"""A network volume of RunPod's through its S3 interface: the bucket is the volume, a key is a path on it.

An ETag is never taken for a hash: what a file holds is known from the manifest of who wrote it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PIECE = 2**22  # bytes read at once
VISIBLE_AFTER = 5.0  # seconds within which a file that was put must be seen
_CONFIG = Config(
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",  # the trailer form is not documented at RunPod
    response_checksum_validation="when_required",
    retries={"max_attempts": 5, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
)
_KEYS = "RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY"


class VolumeError(Exception):
    """A volume could not be read or written; the message is a sentence with the mend."""


class VolumeFullError(VolumeError):
    """The volume has no room for it."""


class Volume:
    """One volume. Every method raises VolumeError; safe to use from several threads."""

    def __init__(self, endpoint: str, region: str, bucket: str, access_key: str, secret_key: str) -> None:
        self.bucket = bucket
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=_CONFIG,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put(self, key: str, content: bytes) -> None:
        """Write a file, and look that it is there in its whole length."""
        with self._saying(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        deadline = time.monotonic() + VISIBLE_AFTER
        while self.size(key) != len(content):
            if time.monotonic() > deadline:
                raise VolumeError(f"{key} was written to {self.bucket} and is not there: try again.")
            time.sleep(0.2)

    def get(self, key: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        return self._read(key)

    def read_from(self, key: str, offset: int) -> bytes:
        """What a growing file holds from `offset` on; b"" where there is nothing new."""
        if offset == 0:
            return self._read(key) or b""
        return self._read(key, f"bytes={offset}-") or b""

    def download(self, key: str, target: Path, *, size: int, sha256: str) -> None:
        """Bring a file here whole: goes on where an earlier try ended, checks length and SHA-256 ("" for none known).

        Raises VolumeError for other bytes than these, and OSError."""
        part = target.with_name(f".{target.name}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        with part.open("ab") as file:
            while (begun := file.tell()) < size:
                piece = self._read(key, f"bytes={begun}-{min(begun + PIECE, size) - 1}")
                if not piece:
                    raise VolumeError(f"{key} on {self.bucket} ends at {begun} of {size} bytes.")
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        with part.open("rb") as whole:
            found = hashlib.file_digest(whole, "sha256").hexdigest()
        if sha256 and found != sha256:
            part.unlink()
            raise VolumeError(
                f"{key} on {self.bucket} does not hold what was written (SHA-256 {found[:12]}, not {sha256[:12]})."
            )
        os.replace(part, target)

    def size(self, key: str) -> int | None:
        """A file's length in bytes; None where there is none."""
        with self._saying(key):
            try:
                return int(self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"])
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error."""
        with self._saying(key):
            try:
                self._client.delete_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if _status(error) != 404:
                    raise

    def keys(self, prefix: str) -> list[tuple[str, int]]:
        """Key and length of every file right in a folder (`prefix` ends in a slash), not in those below it."""
        return [(each["Key"], int(each["Size"])) for page in self._pages(prefix) for each in page.get("Contents", ())]

    def delete_folder(self, prefix: str) -> None:
        """Delete a folder with all that is in it, file by file: RunPod has no bulk delete."""
        pages = list(self._pages(prefix))
        for page in pages:
            for each in page.get("CommonPrefixes", ()):
                if each["Prefix"] != prefix:
                    self.delete_folder(each["Prefix"])
        for page in pages:
            for each in page.get("Contents", ()):
                self.delete(each["Key"])

    def _pages(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Pages of a listing by folder: listing all at once fails on large volumes. A token that comes twice ends it."""
        seen: set[str] = set()
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, "Delimiter": "/"}
        while True:
            with self._saying(prefix):
                page = self._client.list_objects_v2(**asked)
            yield page
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not token or token in seen:
                return
            seen.add(token)
            asked["ContinuationToken"] = token

    def _read(self, key: str, span: str = "") -> bytes | None:
        with self._saying(key):
            try:
                found = self._client.get_object(Bucket=self.bucket, Key=key, **({"Range": span} if span else {}))
                return bytes(found["Body"].read())
            except ClientError as error:
                if _status(error) in (404, 416):
                    return None
                raise

    @contextmanager
    def _saying(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._said(key, error) from None
        except (BotoCoreError, OSError) as error:
            raise VolumeError(f"The volume {self.bucket} does not answer ({type(error).__name__}): {key}.") from None

    def _said(self, key: str, error: ClientError) -> VolumeError:
        code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
        if status == 507:
            return VolumeFullError(f"The volume {self.bucket} is full: enlarge it in RunPod's console, or empty it.")
        if code == "RequestTimeTooSkewed":
            return VolumeError("This machine's clock is wrong by more than RunPod tolerates: set it (timedatectl).")
        if code == "NoSuchBucket":
            return VolumeError(f"RUNPOD_VOLUMES names {self.bucket!r}, which is no network volume in that data centre.")
        if status in (401, 403):
            return VolumeError(
                f"RunPod does not accept {_KEYS} for {self.bucket} ({code}): make an S3 API key in its console "
                "under Settings, S3 API Keys."
            )
        return VolumeError(f"The volume {self.bucket} answers {status} {code}: {key}.")


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
