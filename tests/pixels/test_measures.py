from __future__ import annotations

import io
import json
import random

import numpy as np
import pytest
from PIL import Image

from punklab.diffusion.miniature.artist import draw
from punklab.diffusion.miniature.teach import _PART
from punklab.diffusion.miniature.traits import random_traits
from punklab.pixels.collection import Collection, learn, shipped
from punklab.pixels.colour import ciede2000, parse_hex, to_lab, to_oklab
from punklab.pixels.copies import CopyIndex
from punklab.pixels.measures import VERSION, measure
from punklab.pixels.portrait import INDEX, PARTS
from tests.accuracy import judged_by_a_person
from tests.pixels.drawing import degraded, enlarged, photograph, punk

PROMPT = "lady, {hair} hair, brown eyes, lips (#cc6666), skin (#f0c090), solid {background} background"
GREEN, BLUE, PINK = (60, 180, 90), (0, 102, 255), (255, 102, 204)


def measured(cells: np.ndarray, prompt: str | None = None, **kwargs):
    return measure(enlarged(cells, 512), prompt, **kwargs)


@pytest.mark.parametrize(
    "picture", [enlarged(punk(), 24), enlarged(punk(), 96), enlarged(punk(), 512), degraded(punk(), 576)]
)
def test_a_punk_as_asked_matches_at_any_size(picture):
    seen = measure(picture, PROMPT.format(hair="brown", background="blue"))
    for part in ("background", "hair", "skin", "eyes", "lips"):
        assert getattr(seen, part).matches is True, part
        assert getattr(seen, part).confidence > 0.5, part
    assert seen.background.solid
    assert seen.hair.two_toned is False
    assert seen.pixel_art.is_pixel_art is True
    assert seen.suggested.prompt == 8


def test_other_colours_than_asked_do_not_match():
    seen = measured(punk(GREEN, PINK, skin=(120, 200, 110)), PROMPT.format(hair="black", background="purple"))
    assert (seen.background.matches, seen.hair.matches, seen.skin.matches) == (False, False, False)
    assert seen.background.observed == {"word": "green", "hex": "#3cb45a"}
    assert (seen.skin.delta_e or 0) > 20
    assert seen.suggested.prompt is not None
    assert seen.suggested.prompt < 5
    assert "background green #3cb45a, asked purple" in seen.suggested.reasons


def test_what_is_not_asked_is_not_judged():
    seen = measured(punk(), "portrait of a punk, unknownish wooly background")
    assert [getattr(seen, part).matches for part in ("background", "hair", "skin", "eyes", "lips")] == [None] * 5
    assert seen.hair.reason == "not asked for"
    assert seen.suggested.prompt is None
    assert measured(punk()).background.observed["word"] == "blue"


@pytest.mark.parametrize("pattern", ["split", "gradient", "checkered"])
def test_a_background_of_several_colours_is_not_solid_and_matches_none(pattern):
    cells = punk(GREEN)
    plain = np.all(cells == GREEN, axis=-1)
    down, across = np.mgrid[:24, :24]
    purple = {"split": across >= 12, "checkered": (down // 2 + across // 2) % 2 == 0, "gradient": across > 30}[pattern]
    cells[plain & purple] = (120, 50, 180)
    if pattern == "gradient":
        share = (across / 23)[..., None]
        cells = np.where(plain[..., None], GREEN * (1 - share) + np.array((120, 50, 180)) * share, cells).astype(
            np.uint8
        )
    seen = measured(cells, "green background")
    assert not seen.background.solid
    assert seen.background.matches is False


def test_hair_in_two_hues_is_two_toned_and_shades_of_one_are_not():
    cells = punk(hair=PINK)
    hair = np.all(cells == PINK, axis=-1)
    rows = np.mgrid[:24, :24][0]
    shaded = cells.copy()
    shaded[hair & (rows % 2 == 0)] = (200, 60, 150)
    assert measured(shaded).hair.two_toned is False
    cells[hair & (rows > 10)] = (70, 150, 110)
    assert measured(cells).hair.two_toned is True


def test_a_bald_head_has_no_hair_to_judge():
    bald = punk(hair=BLUE)
    assert measured(bald, "black hair").hair.matches is False
    assert measured(bald, "lad, bald").hair.matches is True
    assert measured(punk(), "lad, bald").hair.matches is False
    assert measured(bald).hair.two_toned is None


def test_accessories_that_are_asked_for_are_looked_for():
    cells = punk()
    cells[10, 8:17] = cells[11, [8, 11, 12, 13, 16]] = cells[12, [8, 11, 13, 16]] = cells[13, 8:17] = (200, 20, 30)
    worn, asked = measured(cells, "red glasses, hoop earrings, wings").accessories, "red glasses"
    assert (worn[0].kind, worn[0].present, worn[0].matches) == ("eyewear", True, True)
    assert worn[2].matches is None
    assert "not looked for" in worn[2].reason
    assert measured(cells, "blue glasses").accessories[0].matches is False
    bare = measured(punk(), asked).accessories[0]
    assert (bare.present, bare.matches) == (False, False)


@pytest.mark.parametrize(
    ("name", "picture", "is_art", "reason"),
    [
        ("punk", enlarged(punk(), 512), True, "24x24 cells"),
        ("raw", Image.fromarray(punk()), True, "24x24 pixels"),
        ("photograph", photograph(), False, "no raster"),
        ("small photograph", photograph(24), False, "made smaller"),
        ("smooth", Image.fromarray(punk()).resize((512, 512), Image.Resampling.BICUBIC), False, "no raster"),
        (
            "finer",
            photograph(48).quantize(16).convert("RGB").resize((480, 480), Image.Resampling.NEAREST),
            False,
            "48x48",
        ),
        ("32 pixels", enlarged(punk(), 512).resize((32, 32)), False, "32x32 pixels"),
        ("flat", Image.new("RGB", (512, 512), "teal"), None, "one colour"),
    ],
)
def test_pixel_art_is_what_lies_on_24_cells(name, picture, is_art, reason):
    seen = measure(picture).pixel_art
    assert seen.is_pixel_art is is_art, name
    assert reason in seen.why, name
    assert seen.photorealistic is (name == "photograph"), name


def test_stray_cells_eyes_off_their_place_and_eyes_like_hair_are_defects():
    assert measured(punk(eyes=(51, 153, 255))).defects == ()
    stray = punk(eyes=(51, 153, 255))
    stray[4, 2] = (120, 70, 30)
    (found,) = measured(stray).defects
    assert (found.kind, found.cells) == ("stray_cells", ((4, 2),))
    high = punk(eyes=(51, 153, 255))
    high[9:13, 9:16] = np.roll(high[9:13, 9:16], -2, axis=0)
    assert [each.kind for each in measured(high).defects] == ["eyes_off_template"]
    (alike,) = measured(punk(hair=(102, 51, 0))).defects
    assert alike.kind == "eyes_like_hair"
    assert measured(punk(hair=(102, 51, 0)), "brown eyes").defects == (), "they were asked for"


def test_copies_are_found_though_mirrored_moved_or_encoded_again():
    rng = random.Random(1)
    punks = [draw(random_traits(rng)).cells for _ in range(40)]
    collection = Collection(shipped().prior, shipped().bands, {}, tuple(map(str, range(40))), np.stack(punks))
    buffer = io.BytesIO()
    enlarged(punks[7], 512).save(buffer, "JPEG", quality=70)
    for copy in (
        Image.open(buffer),
        enlarged(punks[7][:, ::-1], 512),
        enlarged(np.roll(punks[7], (1, -1), (0, 1)), 480),
    ):
        found = measure(copy, None, collection).copy
        assert (found.nearest, found.is_copy) == ("7", True)
    other = measure(enlarged(draw(random_traits(rng)).cells, 512), None, collection).copy
    assert other.is_copy is False
    assert (other.distance or 0) > (other.threshold or 1)
    nobody = measured(punk()).copy
    assert (nobody.is_copy, nobody.nearest) == (None, None)
    assert "import the captions" in nobody.reason


def test_a_near_duplicate_in_the_collection_does_not_lower_the_threshold():
    rng = random.Random(2)
    punks = [draw(random_traits(rng)).cells for _ in range(20)]
    alone = CopyIndex(np.stack(punks)).threshold
    twin = punks[0].copy()
    twin[0, 0] = 255 - twin[0, 0]
    twin[12, 9] = 255
    assert CopyIndex(np.stack([*punks, twin])).threshold == pytest.approx(alone)


def _slow_distances(pictures, query):
    """To each picture over mirroring and shifts, as the definition says it."""
    there, here = to_oklab(np.maximum(pictures, 8)), to_oklab(np.maximum(query, 8))
    return np.min(
        [
            np.sqrt(((there[:, y : y + 22, x : x + 22] - side[1:-1, 1:-1]) ** 2).sum(axis=(1, 2, 3))) / 22
            for side in (here, here[:, ::-1])
            for y in range(3)
            for x in range(3)
        ],
        axis=0,
    )


@pytest.mark.parametrize("kind", ["noise", "punk", "copy"])
def test_the_search_gives_the_exact_distance(kind):
    rng, other = np.random.default_rng(0), random.Random(5)
    pictures = np.stack([draw(random_traits(other)).cells for _ in range(120)])
    query = {
        "noise": rng.integers(0, 256, (24, 24, 3), dtype=np.uint8),
        "punk": draw(random_traits(other)).cells,
        "copy": np.roll(pictures[70][:, ::-1], 1, axis=0),
    }[kind]
    found = CopyIndex(pictures).nearest(query)
    assert found is not None
    distances = _slow_distances(pictures, query)
    assert found.place == int(distances.argmin())
    assert found.distance == pytest.approx(float(distances.min()), abs=1e-6)
    assert CopyIndex(pictures[:0]).nearest(query) is None


def test_a_collection_learns_its_own_bands_words_and_places_and_comes_back_from_bytes():
    rng = random.Random(3)
    pairs = []
    for number in range(40):
        traits = random_traits(rng)
        cells = draw(traits).cells
        pairs.append((f"punk_{number}", f"lad, {'hat, ' if traits.headwear else ''}green background", cells))
    learned = learn(pairs)
    again = Collection.from_bytes(learned.to_bytes())
    assert again.names == tuple(f"punk_{number}" for number in range(40))
    assert np.array_equal(again.cells, learned.cells)
    assert again.bands == learned.bands != shipped().bands
    assert measured(pairs[3][2], None, collection=again).copy.is_copy
    assert learn(pairs[:5]).bands == shipped().bands, "too few to learn from"
    assert len(learn(pairs[:5]).cells) == 5
    with pytest.raises(ValueError, match="not a collection"):
        Collection.from_bytes(b"nonsense")


def test_the_dictionary_is_plain_and_carries_its_version():
    found = measured(punk(), PROMPT.format(hair="brown", background="blue") + ", crown, (#12)")
    told = json.loads(json.dumps(found.to_json()))
    assert told["version"] == VERSION
    assert set(told) == {
        "version", "pixel_art", "background", "hair", "skin", "eyes", "lips", "accessories", "worn", "defects", "copy",
        "suggested", "notes",
    }  # fmt: skip
    assert set(told["pixel_art"]["lattice"]) == {"score", "columns", "rows", "phase"}
    assert "#12 is no colour code" in told["notes"][0]
    rows = found.labels().splitlines()
    assert [len(row) for row in rows] == [24] * 24
    assert rows[0][0] == "b"
    assert rows[14][12] == "s"


def test_the_procedural_artists_colours_are_seen_through_jpeg_blur_and_noise():
    rng = random.Random(4)
    off: dict[str, list[float]] = {part: [] for part in ("background", "hair", "skin", "eyes", "lips")}
    for number in range(60):
        drawn = draw(random_traits(rng))
        seen = measure(degraded(drawn.cells, (512, 576)[number % 2], number))
        labels = _PART[drawn.labels]
        for part, distances in off.items():
            if part in drawn.colours and (labels == INDEX[part]).sum() >= 3:
                code = getattr(seen, part).observed["hex"]
                truth = to_lab(drawn.colours[part])
                distances.append(float(ciede2000(to_lab(parse_hex(code)), truth)) if code else 100)
    pooled = [distance for distances in off.values() for distance in distances]
    assert np.mean(np.array(pooled) <= 5) >= 0.95
    for part, distances in off.items():
        assert np.mean(np.array(distances) <= 5) >= 0.85, part


def test_the_labs_rendered_pictures_are_judged_as_people_judged_them(shared):
    for name, what, known, said in judged_by_a_person(shared / "generated"):
        assert said == known, (name, what)


def test_every_real_punk_is_pixel_art_and_only_near_duplicates_copy_another(shared):
    paths = sorted((shared / "punks" / "images").iterdir())
    pictures = [Image.open(path) for path in paths]
    seen = [measure(picture) for picture in pictures]
    assert all(each.pixel_art.is_pixel_art for each in seen)
    index = CopyIndex(np.stack([each.cells for each in seen]))
    for place in range(len(paths)):
        found = index._left_out(place)
        assert found is not None
        assert found.distance > index.threshold, paths[place].name
    for each in seen[::5]:
        again = measure(degraded(each.cells, 512)).cells
        found = index.nearest(again)
        assert found is not None
        assert found.distance < index.threshold


def test_parts_are_told_apart_in_real_punks(shared):
    for path in sorted((shared / "punks" / "images").iterdir())[::7]:
        labels = measure(Image.open(path)).reading.portrait.labels
        seen = [PARTS[label] for label in np.unique(labels)]
        assert {"background", "skin"} <= set(seen), path.name
        assert 0.2 < (labels == INDEX["background"]).mean() < 0.85, path.name


def test_a_dark_picture_with_noise_is_still_a_copy():
    rng = random.Random(6)
    punks = [draw(random_traits(rng)).cells for _ in range(20)]
    dark = punks[0] // 255
    index = CopyIndex(np.stack([dark, *punks[1:]]))
    noisy = np.clip(dark + np.abs(np.random.default_rng(0).normal(0, 4, dark.shape)), 0, 255).astype(np.uint8)
    found = index.nearest(noisy)
    assert found is not None
    assert found.place == 0
    assert found.distance < index.threshold


def test_eyes_too_low_are_a_defect_though_they_look_like_eyewear():
    low = punk(eyes=(51, 153, 255))
    eyes = low[11:13, 9:16].copy()
    low[11:13, 9:16] = low[14, 12]
    low[13:15, 9:16] = eyes
    assert [each.kind for each in measured(low).defects] == ["eyes_off_template"]


def test_light_grey_behind_glasses_is_shown_and_not_judged():
    cells = punk(eyes=(225, 225, 225))
    cells[10, 8:17] = cells[11, [8, 11, 12, 13, 16]] = cells[12, [8, 11, 13, 16]] = cells[13, 8:17] = (200, 20, 30)
    eyes = measured(cells, "blue eyes, red glasses").eyes
    assert eyes.matches is None
    assert "gleam" in eyes.reason
    assert eyes.observed["hex"] is not None
    cells[11, [9, 10, 14, 15]] = cells[12, [10, 15]] = (51, 153, 255)
    assert measured(cells, "blue eyes, red glasses").eyes.matches is True
