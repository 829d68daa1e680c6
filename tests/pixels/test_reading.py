"""Picture files of every kind: measured, or refused in words that say what to do; and many of them at once."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punklab.pixels.collection import learn, shipped
from punklab.pixels.many import Job, measure_files
from punklab.pixels.measures import Measures, measure
from punklab.pixels.reading import MOST_BYTES, PictureError, read_picture
from tests.pixels.drawing import enlarged, punk

PROMPT = "lady, brown hair, solid blue background (#0066ff)"
BLUE, GREEN = (0, 102, 255), (60, 180, 90)
PUNK, OTHER = enlarged(punk(BLUE), 192), enlarged(punk(GREEN), 192)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colours: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def png_16_bits(pixels: np.ndarray, colours: int) -> bytes:
    height, width = pixels.shape[:2]
    rows = (pixels.astype(np.uint16) * 257).astype(">u2")
    return png(width, height, 16, colours, b"".join(b"\0" + row.tobytes() for row in rows))


def with_alpha(over: int) -> Image.Image:
    """The punk with its background `over` of 255 opaque."""
    pixels = np.asarray(PUNK.convert("RGBA")).copy()
    pixels[np.all(pixels[..., :3] == BLUE, axis=-1), 3] = over
    return Image.fromarray(pixels)


def measured(data: bytes | Path, prompt: str | None = PROMPT) -> tuple[Measures, list[str]]:
    image, notes = read_picture(data)
    return measure(image, prompt), notes


@contextmanager
def little_memory(spare: int = 256 * 2**20) -> Iterator[None]:
    """Within it, an allocation beyond `spare` bytes fails."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(PUNK), id="png"),
        pytest.param(encoded(with_alpha(255)), id="opaque alpha"),
        pytest.param(encoded(PUNK.quantize(32)), id="palette"),
        pytest.param(png_16_bits(np.asarray(PUNK), colours=2), id="16 bit rgb"),
        pytest.param(encoded(PUNK.convert("CMYK"), "JPEG", quality=95), id="cmyk jpeg"),
        pytest.param(encoded(PUNK, "BMP"), id="bmp"),
        pytest.param(encoded(PUNK, "TIFF"), id="tiff"),
    ],
)
def test_a_picture_is_measured_alike_in_every_format_and_depth(data):
    found, notes = measured(data)
    assert (found.background.matches, found.hair.matches, found.pixel_art.is_pixel_art) == (True, True, True)
    assert found.background.observed["word"] == "blue"
    assert (found.background.delta_e or 0) < 1
    assert notes == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(with_alpha(0)), id="alpha"),
        pytest.param(encoded(PUNK.quantize(32), transparency=PUNK.quantize(32).getpixel((0, 0))), id="palette"),
    ],
)
def test_what_is_transparent_is_measured_as_white(data):
    found, _ = measured(data, "brown hair, white background")
    assert found.background.observed == {"word": "white", "hex": "#ffffff"}
    assert (found.background.matches, found.hair.matches) == (True, True)


@pytest.mark.parametrize("written_by", ["Pillow", "hand"])
def test_a_grey_of_16_bits_is_divided_and_not_cut_off(written_by):
    grey = np.asarray(PUNK.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    found, _ = measured(encoded(deep) if written_by == "Pillow" else png_16_bits(grey, colours=0), "gray background")
    assert found.background.observed == {"word": "gray", "hex": "#595959"}
    assert found.background.matches is True
    assert found.pixel_art.is_pixel_art is True


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_of_an_animation_the_first_frame_is_measured_and_said_so(kind, options):
    moving = encoded(PUNK, kind, save_all=True, append_images=[OTHER, PUNK], **options)
    found, notes = measured(moving)
    assert found.background.observed["hex"] == "#0066ff"
    assert notes == ["the first of 3 frames or pages is measured"]
    assert measured(encoded(PUNK, kind, **options))[1] == []


def test_a_picture_20000_pixels_wide_is_measured():
    began = time.process_time()
    found, _ = measured(encoded(Image.fromarray(punk(BLUE)).resize((20_000, 240), Image.Resampling.NEAREST)))
    assert found.background.matches is True
    assert time.process_time() - began < 5


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (13_000, 13_000), (20_000, 2_501)])
def test_a_picture_far_too_large_is_refused_before_it_is_decoded(width, height):
    with little_memory(), pytest.raises(PictureError, match="at most 50,000,000 are read: make it smaller"):
        read_picture(png(width, height, 8, 2, b"\0" * 1000))


def test_a_file_far_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with little_memory(MOST_BYTES // 2), pytest.raises(PictureError, match=r"100,000,001 bytes.*make it smaller"):
        read_picture(path)


@pytest.mark.parametrize("size", [(1, 1), (23, 24), (20_000, 23)])
def test_a_picture_smaller_than_a_punk_is_refused(size):
    with pytest.raises(PictureError, match=f"is {size[0]}x{size[1]} pixels; .* at least 24x24 pixels are needed"):
        read_picture(encoded(Image.new("RGB", size)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "APNG", "GIF"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow's TIFF reader
def test_a_truncated_file_is_measured_or_refused_wherever_it_ends(kind):
    options = {"save_all": True, "append_images": [OTHER]} if kind in ("GIF", "APNG") else {}
    whole = encoded(enlarged(punk(), 24), "PNG" if kind == "APNG" else kind, **options)
    refusals = []
    for end in range(0, len(whole), max(1, len(whole) // 400)):
        try:
            read_picture(whole[:end])
        except PictureError as error:
            refusals.append(str(error))
    told = {text for text in refusals if text.endswith(("save or copy it again", "save it as PNG or JPEG"))}
    assert len(refusals) > 50
    assert told == set(refusals)


@pytest.mark.parametrize(
    ("name", "content", "mend"),
    [
        ("notes.png", b"The hair should be pinker.\n", "is no picture .*; save it as PNG or JPEG"),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is no picture .*; save it as PNG or JPEG"),
        ("empty.png", b"", "is no picture .*; save it as PNG or JPEG"),
        ("half.png", encoded(PUNK)[:300], "is damaged .*; save or copy it again"),
        ("missing.png", None, "is not there; check the name"),
        (".", None, "is a folder; name picture files"),
        ("nul\0.png", None, "null"),
        ("x" * 300 + ".png", None, "cannot be read: File name too long"),
    ],
)
def test_a_file_that_is_no_picture_is_refused_with_the_mend(tmp_path, name, content, mend):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=mend) as refused:
        read_picture(path)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1"])
def test_a_picture_of_one_colour_is_measured_and_shows_no_raster(mode):
    found, _ = measured(encoded(Image.new(mode, (192, 192))))
    assert found.pixel_art.is_pixel_art is None
    assert "all of one colour" in found.pixel_art.why
    assert found.hair.matches is False
    assert found.pixel_art.colours_merged == 1


@pytest.mark.parametrize(
    ("prompt", "notes"),
    [
        ("zorblax quuxon hair, flimber background", []),
        ("braune Haare, blauer Hintergrund, rote Lippen", ["nothing that can be judged is asked for"]),
        ("茶色の髪、青い背景、赤い唇", ["nothing that can be judged is asked for"]),
        ("", []),
        (" \n\t,,,\0", []),
        ("hair (#78), green background (#00ff0g)", ["#78 is no colour code", "#00ff0g is no colour code"]),
        ("茶色の髪 #12345、青い背景", ["#12345 is no colour code"]),
        (
            "red background, green background",
            ["background is asked for more than once (red background, green background): keep one"],
        ),
        ("brown hair (#78461e), pink hair (#ff66cc)", ["hair is asked for more than once"]),
        ("brown hair, " * 834, []),
        ("#" * 10_000, ["# is no colour code"]),
        ("red background, blue background, " * 300, ["background is asked for more than once"]),
        ("(" * 10_000, []),
        ("wearing a red hat and " * 450, []),
        ("earrings, " * 1000, []),
    ],
)
def test_no_prompt_breaks_a_measurement_and_what_cannot_be_read_is_noted(prompt, notes):
    began = time.process_time()
    found = measure(PUNK, prompt)
    assert time.process_time() - began < 2
    assert all(any(told.startswith(note) for told in found.notes) for note in notes)
    assert found.background.observed["word"] == "blue"


@pytest.mark.parametrize("prompt", [None, PROMPT, "hair (#78461E), red and green gradient background, (#663300)"])
def test_a_prompt_that_can_be_read_whole_has_no_notes(prompt):
    assert measure(PUNK, prompt).notes == ()


@pytest.mark.parametrize(
    "prompt", ["zorblax hair, flimber background", "braune Haare, blauer Hintergrund", "", "青い背景"]
)
def test_what_a_prompt_does_not_say_readably_is_not_judged(prompt):
    found = measure(PUNK, prompt)
    assert (found.background.matches, found.hair.matches, found.suggested.prompt) == (None, None, None)
    assert found.background.reason


def test_many_pictures_over_two_processes_give_what_one_gives_in_order(tmp_path):
    jobs = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        enlarged(punk(background=(6 * number, 102, 255 - 6 * number)), 96).save(path)
        jobs.append(Job(path, PROMPT if number % 2 else None))
    jobs[7].path.write_bytes(b"no picture")
    moving = encoded(enlarged(punk(), 96), save_all=True, append_images=[OTHER.resize((96, 96))])
    jobs[8].path.write_bytes(moving)
    collection = learn([("lady_001", "a lady", punk(background=(6 * 9, 102, 255 - 6 * 9)))], shipped())
    found = list(measure_files(jobs, collection, processes=2))
    assert found == list(measure_files(iter(jobs), collection, processes=1))
    assert found[7] == {"error": "is no picture that can be read; save it as PNG or JPEG"}
    assert [place for place, each in enumerate(found) if "error" in each] == [7]
    assert found[8]["notes"] == ["the first of 2 frames or pages is measured"]
    assert found[9]["copy"]["distance"] == 0
    assert [each["background"]["asked"] is not None for each in found[9:]] == [
        number % 2 == 1 for number in range(9, 40)
    ]
    seen = [each["background"]["observed"]["hex"] for each in found[9:]]
    assert seen == [f"#{6 * number:02x}66{255 - 6 * number:02x}" for number in range(9, 40)]
    assert [len(row) for row in found[9]["parts"].split("\n")] == [24] * 24


def test_pictures_are_measured_one_after_the_other_as_they_are_asked_for(tmp_path):
    path = tmp_path / "punk.png"
    PUNK.save(path)
    found = measure_files([Job(path), Job(tmp_path / "gone.png")], shipped())
    assert next(found)["background"]["observed"]["word"] == "blue"
    assert next(found) == {"error": "is not there; check the name"}
    assert list(measure_files([], shipped())) == []
