"""The suite's test prompts: the lab's own six as they were when punklab took over, and those that we added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SEED = 42
NEGATIVE_PROMPT = (
    "blurry, smooth, gradients, antialiased, photography, realistic, 3d render, full body, character sprite"
)


@dataclass(frozen=True, kw_only=True)
class LabPrompt:
    name: str
    text: str
    purpose: str
    expected: str


# In the order of the suite, which begins with them: the first is the quick one, the first three the medium one.
COMPARISON = (
    LabPrompt(
        name="lady_pink_hair_crown",
        text="pixel art, 24x24, portrait of bespoke punk lady, pink hair (#ff66cc), crown, hoop earrings, "
        "eyes (#663300), lips (#cc6666), neutral expression, skin (#f0c090), solid green background (#00ff00)",
        purpose="Quick check of every epoch: a vivid hair colour against a vivid background, with a crown on top.",
        expected="A lady with pink hair under a crown, hoop earrings, brown eyes, on one flat green background.",
    ),
    LabPrompt(
        name="lad_purple_hair_cap",
        text="pixel art, 24x24, portrait of bespoke punk lad, purple hair (#9966ff), purple cap, eyes (#663300), "
        "lips (#cc9999), neutral expression, skin (#f0c090), solid blue background (#0066ff)",
        purpose="Hair and cap of one colour: whether the two stay apart, and purple stays apart from the blue behind.",
        expected="A lad with purple hair under a purple cap, brown eyes, on one flat blue background.",
    ),
    LabPrompt(
        name="lady_brown_afro",
        text="pixel art, 24x24, portrait of bespoke punk lady, brown afro hair (#663300), hoop earrings, "
        "eyes (#663300), lips (#cc6666), slight smile, skin (#d0a070), solid orange background (#ff9900)",
        purpose="A hair shape instead of an accessory, darker skin and a smile: whether brown hair keeps its volume.",
        expected="A smiling lady with a full brown afro, hoop earrings, brown eyes, on one flat orange background.",
    ),
    LabPrompt(
        name="lad_blonde_sunglasses",
        text="pixel art, 24x24, portrait of bespoke punk lad, blonde hair (#ffcc66), black stunner shades with "
        "white reflection, lips (#cc9999), neutral expression, skin (#f0c090), solid blue background (#0066ff)",
        purpose="Eyewear instead of eyes: whether the shades cover them, and light hair stays apart from the skin.",
        expected="A lad with blonde hair and black shades with a white reflection, on one flat blue background.",
    ),
    LabPrompt(
        name="lady_red_hair_bow",
        text="pixel art, 24x24, portrait of bespoke punk lady, red hair (#ff3333), red bow in hair, stud earrings, "
        "eyes (#3399ff), lips (#ff6666), slight smile, skin (#ffccaa), solid pink background (#ff99cc)",
        purpose="Warm colours close to each other, and blue eyes: whether red, pink and skin bleed into one another.",
        expected="A smiling lady with red hair and a red bow, stud earrings, blue eyes, on one flat pink background.",
    ),
    LabPrompt(
        name="lad_green_hair_headband",
        text="pixel art, 24x24, portrait of bespoke punk lad, green hair (#33cc33), green headband, eyes (#663300), "
        "lips (#cc9999), neutral expression, skin (#f0c090), solid yellow background (#ffcc00)",
        purpose="An unusual hair colour with a headband of the same: whether the band shows, and yellow stays yellow.",
        expected="A lad with green hair and a green headband, brown eyes, on one flat yellow background.",
    ),
)


# Added to the lab's six for the full suite: what those leave out.
FURTHER = (
    LabPrompt(
        name="lad_black_mohawk_scowl",
        text="pixel art, 24x24, portrait of bespoke punk lad, black mohawk hair (#1a1a1a), stubble, eyes (#1f1f1f), "
        "lips (#a05a5a), angry expression, skin (#c68642), solid grey background (#808080)",
        purpose="An expression other than the two of the captions, and black hair with black eyes on a colourless ground.",
        expected="A scowling lad with a black mohawk and stubble, dark eyes, tan skin, on one flat grey background.",
    ),
    LabPrompt(
        name="lady_white_bob_dark_skin",
        text="pixel art, 24x24, portrait of bespoke punk lady, white bob hair (#f2f2f2), gold hoop earrings, "
        "eyes (#4d2e1a), lips (#803344), neutral expression, skin (#4a2c1d), solid light blue background (#99d6ff)",
        purpose="Very dark skin beside white hair: whether dark features keep their outlines and the skin its tone.",
        expected="A lady with a white bob, gold hoops, very dark skin, on one flat light blue background.",
    ),
    LabPrompt(
        name="lad_grey_beard_beanie",
        text="pixel art, 24x24, portrait of bespoke punk lad, grey hair (#8c8c8c), teal beanie, full beard, "
        "eyes (#4d6680), lips (#b37a7a), neutral expression, skin (#e8b98d), solid dark red background (#660d1a)",
        purpose="A beard and a hat together: whether beard, lips and chin stay apart, on a dark background.",
        expected="A lad with a grey beard under a teal beanie, blue-grey eyes, on one flat dark red background.",
    ),
    LabPrompt(
        name="lady_blue_space_buns_glasses",
        text="pixel art, 24x24, portrait of bespoke punk lady, blue hair in space buns (#3355dd), red rimmed glasses, "
        "eyes (#2b6b3a), lips (#d96680), slight smile, skin (#ffe0cc), solid cream background (#fff3d6)",
        purpose="Glasses that do not hide the eyes, and very pale skin on a pale background: whether the face keeps its edge.",
        expected="A smiling, very pale lady with blue space buns, green eyes behind red glasses, on a flat cream background.",
    ),
    LabPrompt(
        name="lad_bald_earring_necklace",
        text="pixel art, 24x24, portrait of bespoke punk lad, bald, silver stud earrings, gold chain necklace, "
        "eyes (#3a2010), lips (#8f4d40), slight smile, skin (#8d5524), solid turquoise background (#20c9b0)",
        purpose="No hair at all, and jewellery at ear and neck: whether hair is left out when it is not asked for.",
        expected="A smiling, bald lad with brown skin, silver studs and a gold chain, on one flat turquoise background.",
    ),
    LabPrompt(
        name="lady_orange_braids_flower",
        text="pixel art, 24x24, portrait of bespoke punk lady, orange hair in braids (#ff7a1a), white flower in hair, "
        "green hoodie, eyes (#805500), lips (#e05c5c), slight smile, skin (#f5c9a0), "
        "checkered background of black and white",
        purpose="A patterned background: whether it is drawn as one, and leaves the portrait in front of it alone.",
        expected="A smiling lady with orange braids, a white flower and a green hoodie before black and white checks.",
    ),
    LabPrompt(
        name="lad_brown_hair_night",
        text="pixel art, 24x24, portrait of bespoke punk lad, dark brown hair (#2e1a0f), navy suit with white tie, "
        "eyes (#2e1a0f), lips (#99594d), neutral expression, skin (#d9a066), solid black background (#000000)",
        purpose="Dark hair and dark clothes on black: whether the figure stays readable where everything is dark.",
        expected="A lad with dark brown hair in a navy suit with a white tie, readable on one flat black background.",
    ),
    LabPrompt(
        name="lad_pink_curls_tiara",
        text="pixel art, 24x24, portrait of bespoke punk lad, curly pink hair (#ff80bf), tiara, eye patch, full beard, "
        "eyes (#7a3fa0), lips (#c76b6b), slight smile, skin (#c68642), solid lime background (#b3ff00)",
        purpose="A combination that no caption has: each part is known, their meeting is new.",
        expected="A smiling lad with pink curls, a tiara, an eye patch and a beard, on one flat lime background.",
    ),
    LabPrompt(
        name="lady_green_afro_wizard",
        text="pixel art, 24x24, portrait of bespoke punk lady, green afro hair (#1f9950), purple wizard hat with yellow "
        "ribbon, party glasses, hoop earrings, lips (#40264d), angry expression, skin (#b07040), "
        "solid white background (#ffffff)",
        purpose="As many accessories as fit, in a new combination: which of them are dropped first.",
        expected="A scowling lady with a green afro, purple wizard hat, party glasses and hoops, on flat white.",
    ),
    LabPrompt(
        name="no_trigger_lady_brown_hair",
        text="portrait of a lady, brown hair (#663300), red beret, eyes (#663300), lips (#cc6666), neutral expression, "
        "skin (#f0c090), solid blue background (#0066ff)",
        purpose="Without the trigger phrase: how far the style reaches when it is not called by name.",
        expected="A lady with brown hair under a red beret on flat blue; pixel art only if the style has spread.",
    ),
    LabPrompt(
        name="no_trigger_red_house",
        text="a red house (#cc3322) with a grey roof under a blue sky, solid green background (#33aa33)",
        purpose="Without the trigger phrase and without a person: a portrait here means that the LoRA forgot the rest.",
        expected="A house, as the base model draws it. A face in the picture is a sign of overtraining.",
    ),
)
SUITE = (*COMPARISON, *FURTHER)


def put_in_place(prompt_model: Any, place_model: Any, prompts: Sequence[LabPrompt] = SUITE) -> None:
    """Put prompts into the suite behind what is there, in their order; rows under these names stay as they are.

    Takes the models of `test_prompts` and `punklab_suite_prompt`, since a migration brings its own."""
    for each in prompts:
        # Her table may have lost the constraint that makes a name unique
        known = prompt_model.objects.filter(prompt_name=each.name).order_by("id").first()
        prompt = known or prompt_model.objects.create(
            prompt_name=each.name,
            prompt_text=each.text,
            negative_prompt=NEGATIVE_PROMPT,
            purpose=each.purpose,
            expected_result=each.expected,
        )
        if not place_model.objects.filter(test_prompt=prompt).exists():
            last = place_model.objects.order_by("-position").first()
            place_model.objects.create(test_prompt=prompt, position=last.position + 1 if last else 1, seed=SEED)
