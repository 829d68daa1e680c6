"""The lab's own test prompts and settings, as they were when punklab took over."""

from __future__ import annotations

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


# In the order of the suite: the first is the quick one.
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


def put_in_place(prompt_model: Any, place_model: Any) -> None:
    """Put the six prompts into the suite, in their order; rows that she has under these names stay as they are.

    Takes the models of `test_prompts` and `punklab_suite_prompt`, since a migration brings its own."""
    for each in COMPARISON:
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
