"""The form on the public page: a visitor picks phrases that the live release offers, and types nothing but a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django import forms

from deployment.generation import surprise
from deployment.models import Generation
from deployment.traits import KINDS, WORN, Choices, Option, Traits

TITLES = {
    "punk": "Lady or lad", "hair": "Hair", "eyes": "Eyes", "skin": "Skin", "background": "Background",
    "expression": "Expression", "headwear": "On the head", "eyewear": "On the nose", "earrings": "Earrings",
    "necklace": "Around the neck", "facial_hair": "Facial hair", "other": "And also",
}  # fmt: skip
# How the page lays the kinds out: the first as cards, those with colours as chips, things worn as lists.
CARDED = ("punk", "expression")
SWATCHED = ("hair", "eyes", "skin", "background")
SHOWN = 10  # chips of a kind before the others fold away


@dataclass(frozen=True)
class Choice:
    """One option as the page shows it."""

    option: Option
    id: str
    selected: bool


@dataclass(frozen=True)
class Group:
    """One kind as the page shows it."""

    kind: str
    title: str
    choices: tuple[Choice, ...]

    @property
    def first(self) -> tuple[Choice, ...]:
        return self.choices[:SHOWN]

    @property
    def rest(self) -> tuple[Choice, ...]:
        return self.choices[SHOWN:]

    @property
    def open(self) -> bool:
        """Whether what is chosen would be out of sight otherwise."""
        return any(choice.selected for choice in self.rest)

    @property
    def selected(self) -> Option | None:
        return next((choice.option for choice in self.choices if choice.selected), None)


class PunkForm(forms.Form):
    """Choices among the traits of a release, and an optional seed."""

    seed = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=Generation.SEEDS - 1,
        error_messages={"invalid": f"The seed must be a whole number from 0 to {Generation.SEEDS - 1}."},
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "placeholder": "any", "min": 0}),
    )

    def __init__(
        self, traits: Traits, data: Mapping[str, str] | None = None, initial: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self.traits = traits
        for kind in KINDS:
            if traits.options.get(kind):
                phrases = [(option.phrase, option.label) for option in traits.options[kind]]
                self.fields[kind] = forms.ChoiceField(
                    choices=phrases,
                    required=kind == "punk",
                    label=TITLES[kind],
                    error_messages={
                        "required": "Choose a lady or a lad.",
                        "invalid_choice": f"{TITLES[kind]}: “%(value).60s” is not on offer any more; choose again.",
                    },
                )

    @property
    def choices(self) -> Choices:
        """What was chosen, of a valid form."""
        return {kind: self.cleaned_data[kind] for kind in KINDS if self.cleaned_data.get(kind)}

    def surprise(self) -> Choices:
        """Everything at random but a lady or a lad, where that was chosen."""
        punk = self.data.get("punk", "")
        kept = {"punk": punk} if self.traits.find("punk", punk) else {}
        return surprise(self.traits, kept)

    def group(self, kind: str) -> Group:
        """A kind with what is chosen now: as sent or linked to, else the first that shows a colour."""
        options = self.traits.options.get(kind, ())
        wanted = self.data.get(kind) if self.is_bound else self.initial.get(kind)
        if not (self.is_bound or self.initial):
            wanted = _suggested(kind, options)
        choices = tuple(
            Choice(option, f"{kind}-{number}", option.phrase == wanted) for number, option in enumerate(options)
        )
        return Group(kind, TITLES[kind], choices)

    @property
    def carded(self) -> list[Group]:
        return [self.group(kind) for kind in CARDED if self.traits.options.get(kind)]

    @property
    def swatched(self) -> list[Group]:
        return [self.group(kind) for kind in SWATCHED if self.traits.options.get(kind)]

    @property
    def worn(self) -> list[Group]:
        return [self.group(kind) for kind in WORN if self.traits.options.get(kind)]

    @property
    def sketch(self) -> dict[str, str]:
        """What the sketch beside the form begins with."""
        chosen = {group.kind: group.selected for group in self.swatched}
        return sketch(self.traits, {kind: option.phrase for kind, option in chosen.items() if option})


def sketch(traits: Traits, choices: Mapping[str, str]) -> dict[str, str]:
    """Kind to the colour of what was chosen, for those that have one."""
    found = {kind: traits.find(kind, choices.get(kind, "")) for kind in SWATCHED}
    return {kind: option.swatches[0] for kind, option in found.items() if option and option.swatches}


def _suggested(kind: str, options: tuple[Option, ...]) -> str | None:
    if kind in WORN or not options:
        return None
    coloured = [option for option in options if option.swatches] or list(options)
    # Brown eyes are the commonest, and an unusual first punk would puzzle.
    return next(
        (option.phrase for option in coloured if kind == "eyes" and "brown" in option.label), coloured[0].phrase
    )
