"""The S3 interface of network volumes: the bucket is the volume's folder. What RunPod lacks is refused here too."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.simulators.runpod.world import World

LONGEST = 500 * 10**6  # bytes of one PUT
HOUR = 3600


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *_):
        pass

    def do(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        world = self.world
        with world.lock:
            world.requests["S3 " + self.command] = world.requests.get("S3 " + self.command, 0) + 1
            fault = next(
                (each for each in world.faults if each.strikes("S3 " + self.command, parts.path, world.rng)), None
            )
        if fault and fault.do == "drop_before":
            self.close_connection = True
            return
        if fault and fault.do == "status":
            self._refuse(fault.status, "InternalError")
            return
        try:
            self._verify(parts, raw)
            answer = self._answer(parts, raw)
        except Refused as refused:
            self._refuse(refused.status, refused.code)
            return
        if fault and fault.do == "drop_after":
            self.close_connection = True
            return
        self._write(*answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815

    def _verify(self, parts, raw):
        """Signature version 4, computed once more by botocore over what arrived."""
        given = self.headers.get("authorization") or ""
        fields = dict(
            part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256").split(",") if "=" in part
        )
        access, _, rest = fields.get("Credential", "").partition("/")
        if access != self.world.s3_access:
            raise Refused(403, "InvalidAccessKeyId")
        stamp = self.headers.get("x-amz-date", "")
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - sent).total_seconds()) > HOUR:
            raise Refused(403, "RequestTimeTooSkewed")
        claimed = self.headers.get("x-amz-content-sha256", "")
        if claimed not in ("UNSIGNED-PAYLOAD", hashlib.sha256(raw).hexdigest()):
            raise Refused(400, "XAmzContentSHA256Mismatch")
        region = rest.split("/")[1]
        signed = fields["SignedHeaders"].split(";")
        request = AWSRequest(
            method=self.command, url=f"http://{self.headers['host']}{self.path}",
            headers={name: self.headers[name] for name in signed if name != "host"}, data=raw,
        )  # fmt: skip
        request.context["timestamp"] = stamp
        auth = S3SigV4Auth(Credentials(access, self.world.s3_secret), "s3", region)
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        if expected != fields.get("Signature"):
            raise Refused(403, "SignatureDoesNotMatch")

    def _answer(self, parts, raw):
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if bucket not in self.world.volumes:
            raise Refused(404, "NoSuchBucket")
        root = self.world.folder(bucket).resolve()
        path = (root / key).resolve()
        if path != root and root not in path.parents:
            raise Refused(400, "InvalidKey")
        if "delete" in query or (not key and self.command != "GET"):
            raise Refused(501, "NotImplemented")
        if not key:
            return self._list(root, query)
        if "uploads" in query or "uploadId" in query:
            return self._multipart(root, path, key, query, raw)
        return getattr(self, f"_{self.command.lower()}")(root, path, raw)

    def _head(self, root, path, raw):
        if not path.is_file():
            raise Refused(404, "NoSuchKey")
        return 200, b"", {"Content-Length": str(path.stat().st_size), "ETag": '"not-a-hash"'}

    def _get(self, root, path, raw):
        if not path.is_file():
            raise Refused(404, "NoSuchKey")
        content = path.read_bytes()
        span = self.headers.get("range")
        if not span:
            return 200, content, {"ETag": '"not-a-hash"'}
        first, _, last = span.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        if begin >= len(content):
            raise Refused(416, "InvalidRange")
        return 206, content[begin : end + 1], {"Content-Range": f"bytes {begin}-{end}/{len(content)}"}

    def _put(self, root, path, raw):
        if len(raw) > LONGEST:
            raise Refused(400, "EntityTooLarge")
        self._room(root, len(raw))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        draft.write_bytes(raw)
        os.replace(draft, path)
        return 200, b"", {"ETag": '"not-a-hash"'}

    def _delete(self, root, path, raw):
        if path.is_file():
            path.unlink()
        for folder in path.parents:
            if folder == root or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
        return 204, b"", {}

    def _room(self, root, length):
        quota = root / ".quota"
        if quota.exists():
            used = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
            if used + length > int(quota.read_text()):
                raise Refused(507, "InsufficientStorage")

    def _multipart(self, root, path, key, query, raw):
        drafts = root / ".s3compat_uploads"
        if self.command == "POST" and "uploads" in query:
            upload = secrets.token_hex(8)
            (drafts / upload).mkdir(parents=True)
            return (
                200,
                f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode(),
                {},
            )
        folder = drafts / query["uploadId"]
        if not folder.is_dir():
            raise Refused(404, "NoSuchUpload")
        if self.command == "PUT":
            self._room(root, len(raw))
            (folder / f"{int(query['partNumber']):05d}").write_bytes(raw)
            return 200, b"", {"ETag": f'"{query["partNumber"]}"'}
        if self.command == "POST":
            content = b"".join(part.read_bytes() for part in sorted(folder.iterdir()))
            shutil.rmtree(folder)
            self._put(root, path, content)
            return (
                200,
                f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key></CompleteMultipartUploadResult>".encode(),
                {},
            )
        shutil.rmtree(folder)
        return 204, b"", {}

    def _list(self, root, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        files, folders = [], []
        for key in keys:
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folder = prefix + rest.split(delimiter, 1)[0] + delimiter
                if folder not in folders:
                    folders.append(folder)
            else:
                files.append(key)
        begin = int(query.get("continuation-token") or 0)
        page = files[begin : begin + 1000]
        more = begin + 1000 < len(files)
        xml = ["<ListBucketResult>", f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"]
        if more:
            xml.append(f"<NextContinuationToken>{begin + 1000}</NextContinuationToken>")
        xml += [
            f"<Contents><Key>{escape(key)}</Key><Size>{(root / key).stat().st_size}</Size></Contents>"
            for key in page
            if (root / key).exists()
        ]
        xml += [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders]
        return 200, "".join([*xml, "</ListBucketResult>"]).encode(), {"Content-Type": "application/xml"}

    def _refuse(self, status, code):
        content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self._write(status, b"" if self.command == "HEAD" else content, {"Content-Type": "application/xml"})

    def _write(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True
