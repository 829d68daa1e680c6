"""A network volume of RunPod's through its S3 interface: the bucket is the volume, a key is a path on it.

An ETag is never taken for a hash: what a file holds is known from the manifest of who wrote it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from runs.backends.volume_errors import VolumeError, VolumeFullError, is_absent, sentence, status_of

__all__ = ["Volume", "VolumeError", "VolumeFullError"]

PIECE = 2**22  # bytes read at once
PART = 2**26  # bytes of one part of a large file; RunPod takes 500 MB at most in one request
VISIBLE_AFTER = 5.0  # seconds within which a file that was put must be seen
COMPLETE_AFTER = 60.0  # seconds within which a large file must be put together, whatever the answer said
_CONFIG = Config(
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",  # the trailer form is not documented at RunPod
    response_checksum_validation="when_required",
    retries={"max_attempts": 5, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
)
_making = threading.Lock()  # boto3's shared session may make one client at a time


class Volume:
    """One volume. Every method raises VolumeError; safe to use from several threads."""

    def __init__(self, endpoint: str, region: str, bucket: str, access_key: str, secret_key: str) -> None:
        """Asks nothing yet. `region`: the data centre."""
        self.bucket = bucket
        try:
            with _making:
                self._client: Any = boto3.client(
                    "s3",
                    endpoint_url=endpoint,
                    region_name=region,
                    aws_access_key_id=access_key,
                    aws_secret_access_key=secret_key,
                    config=_CONFIG,
                )
        except (ValueError, BotoCoreError) as error:  # AWS_PROFILE and the like are read too
            raise VolumeError(f"RUNPOD_S3_ENDPOINT {endpoint!r} cannot be used: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> None:
        """Ask for a little: raises VolumeError saying which setting is wrong, or that the clock is."""
        with self._saying(self.bucket):
            self._client.list_objects_v2(Bucket=self.bucket, Delimiter="/", MaxKeys=1)

    def put(self, key: str, content: bytes | Path) -> None:
        """Write a file, and look that it is there in its whole length. Raises OSError for a path that cannot be read."""
        length = len(content) if isinstance(content, bytes) else content.stat().st_size
        if isinstance(content, bytes):
            with self._saying(key):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        else:
            with content.open("rb") as file:
                self._put_file(key, file, length)
        self._await(key, length, VISIBLE_AFTER)

    def get(self, key: str, *, most: int | None = None) -> bytes | None:
        """A file's bytes, of a longer one the first `most`; None where there is none."""
        return self._read(key) if most is None else self._read(key, 0, most)

    def get_json(self, key: str) -> Mapping[str, Any] | None:
        """A file's JSON object; None where there is none, and for what is no whole one: it is written again soon."""
        try:
            parsed = json.loads(self._read(key) or b"null")
        except (ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def read_from(self, key: str, offset: int) -> bytes:
        """What a growing file holds from `offset` on; b"" where there is nothing new."""
        return self._read(key, offset) or b""

    def download(self, key: str, target: Path, *, size: int, sha256: str) -> Path:
        """Bring a file here whole: goes on where an earlier try ended, checks length and SHA-256 ("" for none known).

        Returns `target`. Raises VolumeError for other bytes than these, and OSError."""
        part = target.with_name(f".{target.name}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        with part.open("ab") as file:
            while (begun := file.tell()) < size:
                piece = self._read(key, begun, min(PIECE, size - begun))
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
        return target

    def size(self, key: str) -> int | None:
        """A file's length in bytes; None where there is none."""
        try:
            with self._asking():
                return int(self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if is_absent(error):
                return None
            if status_of(error) in (400, 403):  # the answer to a HEAD has no room for the reason: ask for it
                self.check()
            raise sentence(error, self.bucket, key) from None

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error."""
        try:
            with self._asking():
                self._client.delete_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if not is_absent(error):
                raise sentence(error, self.bucket, key) from None

    def keys(self, prefix: str) -> list[tuple[str, int]]:
        """Key and length of every file right in a folder (`prefix` ends in a slash), not in those below it."""
        found = {each["Key"]: int(each["Size"]) for page in self._pages(prefix) for each in page.get("Contents", ())}
        return [(key, size) for key, size in found.items() if not key.endswith("/")]

    def folders(self, prefix: str) -> list[str]:
        """The folders right in a folder (`prefix` ends in a slash or is ""), each ending in a slash."""
        found = [each["Prefix"] for page in self._pages(prefix) for each in page.get("CommonPrefixes", ())]
        return [each for each in dict.fromkeys(found) if each != prefix]

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

    def _put_file(self, key: str, file: IO[bytes], length: int) -> None:
        if length <= PART:
            with self._saying(key):
                self._client.put_object(Bucket=self.bucket, Key=key, Body=file)
            return
        named = {"Bucket": self.bucket, "Key": key}
        with self._saying(key):
            named["UploadId"] = self._client.create_multipart_upload(**named)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            while piece := file.read(PART):
                number = len(parts) + 1
                with self._saying(key):
                    tag = self._client.upload_part(**named, PartNumber=number, Body=piece)["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
            self._complete(named, parts, length)
        except BaseException:
            self._abort(named)
            raise

    def _complete(self, named: Mapping[str, str], parts: list[dict[str, Any]], length: int) -> None:
        """Putting the parts together may outlast the answer: then the file itself says whether it was done."""
        key = named["Key"]
        try:
            with self._asking():
                self._client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        except ClientError as error:  # a second Complete, of a retry, finds no upload any more
            if status_of(error) < 500 and status_of(error) != 404:
                raise sentence(error, self.bucket, key) from None
            self._await(key, length, COMPLETE_AFTER)
        except VolumeError:
            self._await(key, length, COMPLETE_AFTER)

    def _abort(self, named: Mapping[str, str]) -> None:
        """Parts that stay use room on the volume; that they cannot be removed is no second fault."""
        try:
            self._client.abort_multipart_upload(**named)
        except (ClientError, BotoCoreError, ResponseParserError, OSError):
            pass

    def _await(self, key: str, length: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.size(key) != length:
            if time.monotonic() > deadline:
                raise VolumeError(f"{key} was written to {self.bucket} and is not there: try again.")
            time.sleep(0.2)

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

    def _read(self, key: str, offset: int = 0, most: int | None = None) -> bytes | None:
        """A part of a file, empty beyond its end; None where there is none."""
        whole, end = offset == 0 and most is None, None if most is None else offset + most
        span = {} if whole else {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        try:
            with self._asking():
                found = self._client.get_object(Bucket=self.bucket, Key=key, **span)
                with closing(found["Body"]) as body:
                    content = bytes(body.read())
        except ClientError as error:
            if status_of(error) == 416:
                return b""
            if is_absent(error):
                return None
            raise sentence(error, self.bucket, key) from None
        return content if whole or found.get("ContentRange") else content[offset:end]  # the range was passed over

    @contextmanager
    def _saying(self, key: str) -> Iterator[None]:
        """Turn every fault into a VolumeError."""
        try:
            with self._asking():
                yield
        except ClientError as error:
            raise sentence(error, self.bucket, key) from None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what is no answer into a VolumeError."""
        try:
            yield
        except (BotoCoreError, ResponseParserError, OSError) as error:
            raise VolumeError(
                f"The volume {self.bucket} does not answer ({type(error).__name__}): try again."
            ) from None
