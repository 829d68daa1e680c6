from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runs import caption_folder
from runs.caption_folder import FolderError, read_folder

CAPTION = "portrait of bespoke punk lad, lips, slight smile"


def png(size: int = 24, mode: str = "RGB", seed: int = 0) -> bytes:
    cells = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((size, size), Image.Resampling.NEAREST)
    out = io.BytesIO()
    (picture.quantize(256) if mode == "P" else picture.convert(mode)).save(out, "PNG")
    return out.getvalue()


def pair(folder: Path, stem: str, picture: bytes | None = None, text: bytes = CAPTION.encode()) -> None:
    (folder / f"{stem}.png").write_bytes(png() if picture is None else picture)
    (folder / f"{stem}.txt").write_bytes(text)


def header_only(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    return out.getvalue()


def problems(folder: Path) -> list[tuple[str, str, str]]:
    return [(problem.file, problem.code, problem.detail) for problem in read_folder(folder).problems]


def test_pairs_of_any_size_and_pixel_format_are_read_from_a_folder_with_spaces(tmp_path):
    folder = tmp_path / "my captions (v2)"
    folder.mkdir()
    for stem, size, mode in (("a b", 24, "RGB"), ("c", 512, "RGBA"), ("d", 96, "P")):
        pair(folder, stem, png(size, mode))
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.md").write_text("not a caption")
    read = read_folder(folder)
    assert read.problems == []
    assert [(one.pair.stem, one.width) for one in read.pairs] == [("a b", 24), ("c", 512), ("d", 96)]
    first, second, _ = (one.pair.cells for one in read.pairs)
    assert first is not None
    assert second is not None
    assert np.array_equal(first, second)
    assert read.pairs[0].pair.text == CAPTION


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"GIF89a" + b"x" * 60, "no PNG"),
        (png()[:-40], "damaged"),
        (animated(), "animated"),
        (header_only(60_000, 60_000), "60000x60000"),
        (header_only(48, 24), "square"),
        (header_only(16, 16), "smaller"),
    ],
    ids=["empty", "gif", "truncated", "animated", "huge", "oblong", "tiny"],
)
def test_a_picture_that_cannot_be_used_is_named_with_the_reason(tmp_path, content, said):
    pair(tmp_path, "good")
    pair(tmp_path, "bad", content)
    ((file, code, detail),) = problems(tmp_path)
    assert (file, code) == ("bad.png", "unreadable")
    assert said in detail


@pytest.mark.parametrize(
    ("text", "said"),
    [(b" \n", "empty"), ("caf\u00e9 lips".encode("latin-1"), "0xe9 at position 3"), (b"li\0ps", "zero byte")],
    ids=["empty", "latin-1", "zero byte"],
)
def test_a_caption_that_cannot_be_used_is_named_with_the_reason(tmp_path, text, said):
    pair(tmp_path, "bad", text=text)
    ((file, code, detail),) = problems(tmp_path)
    assert (file, code) == ("bad.txt", "unreadable")
    assert said in detail


def test_a_file_without_its_partner_is_named_whichever_half_is_there(tmp_path):
    pair(tmp_path, "whole")
    (tmp_path / "picture.png").write_bytes(png())
    (tmp_path / "text.txt").write_text(CAPTION)
    assert problems(tmp_path) == [
        ("picture.png", "missing_partner", "picture.txt is missing"),
        ("text.txt", "missing_partner", "text.png is missing"),
    ]


def test_a_link_out_of_the_folder_is_not_followed_and_one_inside_is(tmp_path):
    folder = tmp_path / "captions"
    folder.mkdir()
    pair(folder, "own")
    secret = tmp_path / "secret.txt"
    secret.write_text("password")
    (folder / "alias.png").symlink_to("own.png")
    (folder / "alias.txt").symlink_to("own.txt")
    (folder / "leak.txt").symlink_to(secret)
    (folder / "leak.png").symlink_to(folder / "own.png")
    found = {file: detail for file, _, detail in problems(folder)}
    assert "out of the folder" in found["leak.txt"]
    assert "leak.png" in found
    assert [one.pair.stem for one in read_folder(folder).pairs] == ["alias", "own"]


def test_what_is_no_plain_file_is_never_opened(tmp_path):
    pair(tmp_path, "good")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    found = {file: detail for file, code, detail in problems(tmp_path) if code == "unreadable"}
    assert set(found) == {"pipe.txt", "folder.png", "gone.txt"}
    assert all("no file" in detail for detail in found.values())


def test_a_file_larger_than_any_caption_is_not_read_whole(tmp_path):
    pair(tmp_path, "long", text=b"lips, " * 20_000)
    ((file, _, detail),) = problems(tmp_path)
    assert (file, detail) == ("long.txt", "is larger than 65536 bytes")


def test_other_picture_formats_and_names_that_collide_are_refused(tmp_path):
    pair(tmp_path, "one")
    (tmp_path / "one.PNG").write_bytes(png())
    (tmp_path / "two.jpg").write_bytes(b"x")
    if not (tmp_path / "one.png").samefile(tmp_path / "one.PNG"):
        assert any("same name" in detail for _, _, detail in problems(tmp_path))
    assert ("two.jpg", "unreadable", "is no PNG; training pictures are PNG files") in problems(tmp_path)


def test_a_name_that_is_not_utf8_is_shown_and_not_opened(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text(CAPTION)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    ((file, code, detail),) = problems(tmp_path)
    assert file == "\\udcff.txt"
    assert code == "unreadable"
    assert "rename" in detail


def test_too_many_files_stop_with_the_limit_and_a_missing_folder_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(caption_folder, "MOST_FILES", 5)
    for i in range(3):
        pair(tmp_path, str(i))
    with pytest.raises(FolderError, match="more than 5 files"):
        read_folder(tmp_path)
    with pytest.raises(FolderError, match="nowhere"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(FolderError, match="no PNG and no TXT"):
        read_folder(tmp_path / "hollow")
