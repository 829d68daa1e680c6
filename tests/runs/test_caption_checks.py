from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from punklab.diffusion import tokens
from runs.caption_checks import check
from runs.caption_folder import read_folder
from runs.caption_pairs import Pair, Problem

GOOD = (
    "pixel art, 24x24, portrait of bespoke punk lady, brown hair (#663300), golden necklace, green eyes (#228b22), "
    "lips (#cc6666), slight smile, light skin (#f0c090), solid blue background (#0066ff), palette: #663300, #0066ff, "
    "#000000, #111111, #222222, #333333, #444444, #555555, #666666, #777777"
)
COLOURS = ["663300", "228b22", "cc6666", "f0c090", "0066ff", "000000", "444444", "777777"]


def cells(seed: int = 0) -> np.ndarray:
    chosen = np.random.default_rng(seed).integers(0, len(COLOURS), (24, 24))
    return np.array([list(bytes.fromhex(code)) for code in COLOURS], np.uint8)[chosen]


def findings(text: str, **options) -> dict[str, str]:
    found = check([Pair("punk", text, cells()), *(Pair(f"other{i}", GOOD, cells(i + 1)) for i in range(3))], **options)
    return {finding.code: finding.detail for finding in found if finding.file.startswith("punk.")}


def without_length(found: dict[str, str]) -> dict[str, str]:
    return {code: detail for code, detail in found.items() if not code.startswith("over_")}


def test_a_good_caption_has_no_finding_but_its_length():
    assert list(findings(GOOD)) == ["over_75_tokens"]


@pytest.mark.parametrize(
    ("code", "old", "new", "said"),
    [
        ("no_lips", "lips (#cc6666)", "mouth (#cc6666)", "lips"),
        ("no_expression", "slight smile", "smile", "slight smile"),
        ("no_trigger_phrase", "portrait of bespoke punk lady", "portrait of a lady", "portrait of bespoke punk"),
        ("few_hex_codes", "#444444, #555555, #666666, #777777", "#000000, #111111", "9 distinct"),
        ("shared_hex", "lips (#cc6666)", "lips (#663300)", "#663300: hair, lips"),
        ("foreign_hex", "#777777", "#ff00ff", "#ff00ff"),
        ("word_against_hex", "blue background", "green background", "which is no green"),
        ("unfinished_phrase", "golden necklace", "wearing a necklace with", "breaks off"),
        ("unfinished_phrase", "golden necklace", "golden (necklace", "bracket"),
        ("unfinished_phrase", "#777777", "#777777, #7788", "'#7788'"),
        ("doubled_comma", "slight smile,", "slight smile, ,", "commas"),
        ("likely_typo", "necklace", "necklance", "'necklace', which stands here 3 times"),
        ("bad_characters", "golden", "golden\u200b", "ZERO WIDTH SPACE"),
        ("bad_characters", "golden", "lady\u00e2\u20ac\u2122s", "encoding"),
        ("bad_characters", "slight smile, ", "slight smile,\n", "first line"),
    ],
)
def test_each_fault_is_found_and_nothing_else_is(code, old, new, said):
    assert old in GOOD
    found = without_length(findings(GOOD.replace(old, new)))
    assert list(found) == [code]
    assert said in found[code]


def test_hair_in_the_colour_of_the_background_is_said():
    detail = findings(GOOD.replace("blue background (#0066ff)", "brown background (#663300)"))["shared_hex"]
    assert detail == "#663300: hair, background; the first code of hair is the first of background"


def test_codes_are_not_asked_of_a_version_that_has_none():
    plain = "portrait of bespoke punk lad, black hair, lips, neutral expression"
    assert check([Pair(f"punk{i}", plain, cells(i)) for i in range(3)]) == []


def test_what_a_token_limit_would_cut_is_shown():
    long = GOOD + ", #888888" * 10
    found = findings(long)
    for limit in (75, 225):
        cut = found[f"over_{limit}_tokens"].split("stands: ")[1]
        assert long.endswith(cut)
        assert tokens.count([long.removesuffix(cut)]) == [limit]


def test_pictures_that_come_twice_are_named_with_the_first():
    nearly = cells().copy()
    nearly[3, 4] = (255, 255, 255)
    pairs = [Pair("a", GOOD, cells()), Pair("b", GOOD, cells()), Pair("c", GOOD, nearly), Pair("d", GOOD, cells(9))]
    found = [(each.file, each.code, each.detail) for each in check(pairs) if each.file.endswith(".png")]
    assert [(file, code) for file, code, _ in found] == [
        ("b.png", "duplicate_image"),
        ("c.png", "near_duplicate_image"),
    ]
    assert all("a.png" in detail for _, _, detail in found)


def test_the_profile_says_what_blocks():
    pairs = [Pair("punk", GOOD.replace("slight smile, ", ""), cells())]
    problems = [Problem("left.txt", "missing_partner", "left.png is missing")]
    usual = {each.code for each in check(pairs, problems) if each.blocking}
    assert usual == {"no_expression", "missing_partner"}
    assert {each.code for each in check(pairs, problems, blocking={"over_75_tokens"}) if each.blocking} == {
        "over_75_tokens"
    }


def test_a_folder_without_a_single_pair_still_reports_its_files():
    (finding,) = check([], [Problem("left.txt", "missing_partner", "left.png is missing")])
    assert (finding.file, finding.code, finding.blocking) == ("left.txt", "missing_partner", True)


def test_captions_without_their_pictures_are_checked_as_texts():
    found = check([Pair(f"punk{i}", GOOD.replace("lips", "mouth")) for i in range(2)])
    assert {each.code for each in found if each.blocking} == {"no_lips"}


def test_many_different_pictures_in_one_shade_are_not_taken_for_each_other():
    pairs = [Pair(f"punk{i}", GOOD, cells(i)) for i in range(40)]
    assert not [each for each in check(pairs) if each.file.endswith(".png")]


def test_the_real_captions_have_the_faults_that_the_lab_counted(shared):
    folder = read_folder(shared / "punks" / "final_corrected_v1", shared / "punks" / "images")
    assert (len(folder.pairs), folder.problems) == (203, [])
    found = check([one.pair for one in folder.pairs])
    counts = Counter(each.code for each in found)
    assert (counts["over_75_tokens"], counts["over_225_tokens"], counts["shared_hex"]) == (203, 25, 202)
    assert sum("first code of hair is the first of background" in each.detail for each in found) == 144
    assert not any(each.blocking for each in found)
    typos = [each.detail.split("'")[1] for each in found if each.code == "likely_typo"]
    assert {"borown", "sutubble", "translcuent"} <= set(typos)
    assert not {"creme", "shirts", "brownish", "periwinkle", "seafoam"} & set(typos)


def test_the_real_captions_without_codes_are_not_asked_for_any(shared):
    folder = read_folder(shared / "punks" / "caption_fix_v1", shared / "punks" / "images")
    counts = Counter(each.code for each in check([one.pair for one in folder.pairs]))
    assert (counts["over_75_tokens"], counts["over_225_tokens"], counts["few_hex_codes"]) == (33, 0, 0)
