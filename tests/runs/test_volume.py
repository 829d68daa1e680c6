"""A network volume through S3: what is asked of it, and what is made of every answer."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from runs.backends import volume as volume_module
from runs.backends.volume import Volume, VolumeError, VolumeFullError

BUCKET, ACCESS, SECRET = "agv6w2qcg7", "user_A", "rps_SECRET"
CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def volume() -> Iterator[Volume]:
    made = Volume("https://s3api-eu-ro-1.runpod.io/", "EU-RO-1", BUCKET, ACCESS, SECRET)
    yield made
    made.close()


@pytest.fixture
def s3(volume: Volume) -> Iterator[Stubber]:
    """What S3 answers, in the order in which it is asked; a test ends with all of it asked for."""
    with Stubber(volume._client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


def body(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


def has(s3: Stubber, key: str, length: int | None) -> None:
    """The next question is how long `key` is."""
    if length is None:
        s3.add_client_error("head_object", "404", http_status_code=404)
    else:
        s3.add_response("head_object", {"ContentLength": length}, {"Bucket": BUCKET, "Key": key})


def part_of(s3: Stubber, content: bytes, begin: int, end: int | None) -> None:
    """The next question is for those bytes of `key`, which holds `content`."""
    span = f"bytes={begin}-{'' if end is None else end - 1}"
    piece = content[begin:end]
    s3.add_response(
        "get_object",
        {"Body": body(piece), "ContentRange": f"bytes {begin}-{begin + len(piece) - 1}/{len(content)}"},
        {"Bucket": BUCKET, "Key": "key", "Range": span},
    )


def failing(volume: Volume, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(volume._client, "_make_api_call", fail)


def test_the_client_is_set_up_as_the_document_says(volume) -> None:
    config = volume._client.meta.config
    assert (config.request_checksum_calculation, config.response_checksum_validation) == ("when_required",) * 2
    assert config.s3["addressing_style"] == "path"
    assert volume._client.meta.region_name == "EU-RO-1"


def test_a_file_that_is_put_is_looked_for_until_it_is_seen(volume, s3) -> None:
    s3.add_response("put_object", {"ETag": '"x"'}, {"Bucket": BUCKET, "Key": "key", "Body": CONTENT})
    for length in (None, 7, len(CONTENT)):
        has(s3, "key", length)
    volume.put("key", CONTENT)


def test_a_file_that_is_never_seen_is_a_fault(volume, s3, monkeypatch) -> None:
    monkeypatch.setattr(volume_module, "VISIBLE_AFTER", 0.3)
    s3.add_response("put_object", {})
    for _ in range(3):
        has(s3, "key", 7)
    with pytest.raises(VolumeError, match="was written to agv6w2qcg7 and is not there: try again"):
        volume.put("key", CONTENT)


def test_a_small_file_is_put_from_its_path(volume, s3, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    s3.add_response("put_object", {})
    has(s3, "key", len(CONTENT))
    volume.put("key", path)


def large(s3: Stubber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three parts, and the questions up to its last part."""
    monkeypatch.setattr(volume_module, "PART", 4096)
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    s3.add_response("create_multipart_upload", {"UploadId": "u"}, {"Bucket": BUCKET, "Key": "key"})
    for number in range(3):
        asked = {"Bucket": BUCKET, "Key": "key", "UploadId": "u", "PartNumber": number + 1}
        s3.add_response(
            "upload_part", {"ETag": f'"{number}"'}, asked | {"Body": CONTENT[number * 4096 : (number + 1) * 4096]}
        )
    return path


PARTS = {"Parts": [{"PartNumber": number + 1, "ETag": f'"{number}"'} for number in range(3)]}


def test_a_large_file_goes_in_parts(volume, s3, tmp_path, monkeypatch) -> None:
    path = large(s3, tmp_path, monkeypatch)
    asked = {"Bucket": BUCKET, "Key": "key", "UploadId": "u", "MultipartUpload": PARTS}
    s3.add_response("complete_multipart_upload", {}, asked)
    has(s3, "key", len(CONTENT))
    volume.put("key", path)


@pytest.mark.parametrize("status", [524, 502, 404])
def test_a_large_file_may_be_put_together_though_the_answer_says_otherwise(
    volume, s3, tmp_path, monkeypatch, status
) -> None:
    path = large(s3, tmp_path, monkeypatch)
    s3.add_client_error("complete_multipart_upload", str(status), http_status_code=status)
    for length in (None, None, len(CONTENT), len(CONTENT)):
        has(s3, "key", length)
    volume.put("key", path)


def test_a_large_file_that_does_not_come_about_leaves_no_parts(volume, s3, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(volume_module, "COMPLETE_AFTER", 0.1)
    path = large(s3, tmp_path, monkeypatch)
    s3.add_client_error("complete_multipart_upload", "524", http_status_code=524)
    has(s3, "key", None)
    has(s3, "key", None)
    s3.add_response("abort_multipart_upload", {}, {"Bucket": BUCKET, "Key": "key", "UploadId": "u"})
    with pytest.raises(VolumeError, match="is not there"):
        volume.put("key", path)


def test_a_part_that_finds_no_room_leaves_no_parts(volume, s3, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(volume_module, "PART", 4096)
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    s3.add_response("create_multipart_upload", {"UploadId": "u"})
    s3.add_client_error("upload_part", "InsufficientStorage", http_status_code=507)
    s3.add_client_error("abort_multipart_upload", "InternalError", http_status_code=500)
    with pytest.raises(VolumeFullError):
        volume.put("key", path)


def test_a_file_is_read_whole_or_its_beginning(volume, s3) -> None:
    s3.add_response("get_object", {"Body": body(CONTENT)}, {"Bucket": BUCKET, "Key": "key"})
    assert volume.get("key") == CONTENT
    part_of(s3, CONTENT, 0, 100)
    assert volume.get("key", most=100) == CONTENT[:100]
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert volume.get("key") is None
    s3.add_client_error("get_object", "InvalidRange", http_status_code=416)
    assert volume.get("key", most=100) == b""


@pytest.mark.parametrize(
    ("content", "found"),
    [(b'{"seq": 1}', {"seq": 1}), (b'{"seq": 1', None), (b"", None), (b"[1]", None), (b"\xff", None), (b"[" * 9999, None)],
)  # fmt: skip
def test_only_a_whole_json_object_is_one(volume, s3, content, found) -> None:
    s3.add_response("get_object", {"Body": body(content)})
    assert volume.get_json("key") == found


def test_a_json_file_that_is_not_there_is_none(volume, s3) -> None:
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert volume.get_json("key") is None


def test_a_growing_file_is_read_from_where_one_was(volume, s3) -> None:
    part_of(s3, CONTENT, 100, None)
    assert volume.read_from("key", 100) == CONTENT[100:]
    s3.add_response("get_object", {"Body": body(CONTENT)}, {"Bucket": BUCKET, "Key": "key"})
    assert volume.read_from("key", 0) == CONTENT
    for code, status in (("InvalidRange", 416), ("NoSuchKey", 404)):
        s3.add_client_error("get_object", code, http_status_code=status)
        assert volume.read_from("key", len(CONTENT)) == b""


def test_a_range_that_is_passed_over_gives_no_byte_twice(volume, s3) -> None:
    s3.add_response("get_object", {"Body": body(CONTENT)})
    assert volume.read_from("key", 100) == CONTENT[100:]
    s3.add_response("get_object", {"Body": body(CONTENT)})
    assert volume.get("key", most=9) == CONTENT[:9]


def test_a_download_is_checked_and_moved_into_place(volume, s3, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(volume_module, "PIECE", 4096)
    for begin in range(0, len(CONTENT), 4096):
        part_of(s3, CONTENT, begin, min(begin + 4096, len(CONTENT)))
    target = tmp_path / "deep" / "file"
    assert volume.download("key", target, size=len(CONTENT), sha256=DIGEST) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_download_goes_on_where_it_broke_off(volume, s3, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(volume_module, "PIECE", 4096)
    target = tmp_path / "file"
    part_of(s3, CONTENT, 0, 4096)
    s3.add_client_error("get_object", "InternalError", http_status_code=502)
    with pytest.raises(VolumeError, match="answers 502"):
        volume.download("key", target, size=len(CONTENT), sha256=DIGEST)
    assert not target.exists()
    part_of(s3, CONTENT, 4096, 8192)
    part_of(s3, CONTENT, 8192, len(CONTENT))
    volume.download("key", target, size=len(CONTENT), sha256=DIGEST)
    assert target.read_bytes() == CONTENT


def test_a_download_of_other_bytes_is_thrown_away(volume, s3, tmp_path) -> None:
    target = tmp_path / "file"
    for _ in range(2):
        part_of(s3, CONTENT, 0, len(CONTENT))
        with pytest.raises(VolumeError, match="does not hold what was written"):
            volume.download("key", target, size=len(CONTENT), sha256="0" * 64)
        assert not target.exists()
        assert not (tmp_path / ".file.part").exists()


def test_a_download_that_ends_early_is_kept_for_the_next_try(volume, s3, tmp_path) -> None:
    part_of(s3, CONTENT, 0, len(CONTENT) + 5)
    s3.add_client_error("get_object", "InvalidRange", http_status_code=416)
    with pytest.raises(VolumeError, match=f"ends at {len(CONTENT)} of {len(CONTENT) + 5} bytes"):
        volume.download("key", tmp_path / "file", size=len(CONTENT) + 5, sha256=DIGEST)
    assert (tmp_path / ".file.part").stat().st_size == len(CONTENT)


def test_a_part_longer_than_the_file_is_begun_anew(volume, s3, tmp_path) -> None:
    (tmp_path / ".file.part").write_bytes(CONTENT + b"more")
    part_of(s3, CONTENT, 0, len(CONTENT))
    volume.download("key", tmp_path / "file", size=len(CONTENT), sha256=DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_an_empty_file_is_downloaded_without_a_question(volume, s3, tmp_path) -> None:
    target = volume.download("key", tmp_path / "file", size=0, sha256=hashlib.sha256(b"").hexdigest())
    assert target.read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_full_or_closed_disk_here_is_said_as_such(volume, tmp_path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(PermissionError):
        volume.download("key", tmp_path / "file", size=0, sha256="")


def test_deleting_goes_key_by_key_and_forgives_absence(volume, s3) -> None:
    s3.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": "key"})
    volume.delete("key")
    s3.add_client_error("delete_object", "NoSuchKey", http_status_code=404)
    volume.delete("key")
    s3.add_client_error("delete_object", "NoSuchBucket", http_status_code=404)
    with pytest.raises(VolumeError, match="RUNPOD_VOLUMES names 'agv6w2qcg7'"):
        volume.delete("key")


def page(s3: Stubber, prefix: str, keys: list[str], folders: list[str], token: str = "", after: str = "") -> None:
    asked = {"Bucket": BUCKET, "Prefix": prefix, "Delimiter": "/", **({"ContinuationToken": after} if after else {})}
    s3.add_response(
        "list_objects_v2",
        {
            "Contents": [{"Key": key, "Size": 5} for key in keys],
            "CommonPrefixes": [{"Prefix": folder} for folder in folders],
            "IsTruncated": bool(token),
            **({"NextContinuationToken": token} if token else {}),
        },
        asked,
    )


def test_a_folder_is_listed_page_by_page(volume, s3) -> None:
    page(s3, "a/", ["a/", "a/1"], ["a/b/", "a/"], token="t")
    page(s3, "a/", ["a/1", "a/2"], ["a/c/"], after="t")
    assert volume.keys("a/") == [("a/1", 5), ("a/2", 5)]
    page(s3, "a/", ["a/1"], ["a/b/", "a/"], token="t")
    page(s3, "a/", [], ["a/b/", "a/c/"], after="t")
    assert volume.folders("a/") == ["a/b/", "a/c/"]


def test_a_token_that_comes_twice_ends_the_list(volume, s3) -> None:
    page(s3, "a/", ["a/1"], [], token="t")
    page(s3, "a/", ["a/2"], [], token="t", after="t")
    assert volume.keys("a/") == [("a/1", 5), ("a/2", 5)]


def test_a_folder_is_deleted_with_what_is_below_it(volume, s3) -> None:
    page(s3, "a/", ["a/1"], ["a/b/", "a/"])
    page(s3, "a/b/", ["a/b/2"], [])
    for key in ("a/b/2", "a/1"):
        s3.add_response("delete_object", {}, {"Bucket": BUCKET, "Key": key})
    volume.delete_folder("a/")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("InvalidAccessKeyId", 403, "does not accept RUNPOD_S3_ACCESS_KEY and RUNPOD_S3_SECRET_KEY"),
        ("SignatureDoesNotMatch", 403, "make an S3 API key in its console under Settings, S3 API Keys"),
        ("RequestTimeTooSkewed", 403, r"This machine's clock is wrong .* \(timedatectl\)"),
        ("NoSuchBucket", 404, "RUNPOD_VOLUMES names 'agv6w2qcg7', which is no network volume in that data centre"),
        ("InternalError", 500, "answers 500 InternalError"),
    ],
)
def test_what_is_wrong_is_told_apart(volume, s3, code, status, said) -> None:
    s3.add_client_error("list_objects_v2", code, http_status_code=status)
    with pytest.raises(VolumeError, match=said):
        volume.check()
    if status == 403:  # an answer to a HEAD has no body that could say why
        s3.add_client_error("head_object", "403", http_status_code=403)
        s3.add_client_error("list_objects_v2", code, http_status_code=status)
        with pytest.raises(VolumeError, match=said):
            volume.size("key")


def test_a_volume_that_answers_is_right(volume, s3) -> None:
    s3.add_response("list_objects_v2", {}, {"Bucket": BUCKET, "Delimiter": "/", "MaxKeys": 1})
    volume.check()


def test_a_head_that_alone_is_forbidden_is_said_too(volume, s3) -> None:
    s3.add_client_error("head_object", "403", http_status_code=403)
    s3.add_response("list_objects_v2", {})
    with pytest.raises(VolumeError, match="does not accept RUNPOD_S3_ACCESS_KEY"):
        volume.size("key")


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://s3api-eu-ro-1.runpod.io/"),
        ReadTimeoutError(endpoint_url="https://s3api-eu-ro-1.runpod.io/"),
        ResponseParserError("invalid XML received"),
        ConnectionResetError(104, "reset"),
    ],
)
def test_no_answer_is_a_fault_of_every_call(volume, error, monkeypatch, tmp_path) -> None:
    failing(volume, monkeypatch, error)
    calls = [
        volume.check,
        lambda: volume.put("key", b"x"),
        lambda: volume.get("key"),
        lambda: volume.get_json("key"),
        lambda: volume.read_from("key", 5),
        lambda: volume.download("key", tmp_path / "file", size=5, sha256=""),
        lambda: volume.size("key"),
        lambda: volume.delete("key"),
        lambda: volume.keys("a/"),
        lambda: volume.folders("a/"),
        lambda: volume.delete_folder("a/"),
    ]
    for call in calls:
        with pytest.raises(VolumeError, match="does not answer"):
            call()


def test_a_body_that_breaks_off_is_a_fault(volume, s3) -> None:
    s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"half"), 8)})
    with pytest.raises(VolumeError, match="does not answer"):
        volume.get("key")


@pytest.mark.parametrize("endpoint", ["", "s3api-eu-ro-1.runpod.io", "https://"])
def test_an_endpoint_that_is_none_is_named(endpoint) -> None:
    with pytest.raises(VolumeError, match="RUNPOD_S3_ENDPOINT"):
        Volume(endpoint, "EU-RO-1", BUCKET, ACCESS, SECRET)


def test_the_secret_is_in_no_message_and_no_log(volume, monkeypatch, caplog) -> None:
    failing(volume, monkeypatch, EndpointConnectionError(endpoint_url="https://s3api-eu-ro-1.runpod.io/"))
    with caplog.at_level(logging.DEBUG), pytest.raises(VolumeError) as caught:
        volume.get("key")
    other = Volume("http://127.0.0.1:1/", "EU-RO-1", BUCKET, ACCESS, SECRET)
    assert SECRET not in f"{caught.value!r} {volume!r} {vars(volume)!r} {other!r} {caplog.text}"


def test_several_threads_may_use_one_volume(volume, s3, monkeypatch) -> None:
    def answer(_: str, asked: dict[str, str]) -> dict[str, Any]:
        return {"Body": body(asked["Key"].encode())}

    monkeypatch.setattr(volume._client, "_make_api_call", answer)
    keys = [f"key{number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(volume.get, keys)) == [key.encode() for key in keys]
