"""What visitors may choose: the phrases of a release's own captions, found once, frozen, and put together as a prompt.

Nothing a visitor types reaches a prompt: a choice is one of the phrases offered here or it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from punklab.pixels.asked import EXPRESSIONS

TRIGGER = "pixel art, 24x24, portrait of bespoke punk"
PUNKS = ("lady", "lad")
# The order of a prompt: the lab's captions name hair first, then what is worn, then the face, the background last.
WORN = ("headwear", "eyewear", "earrings", "necklace", "facial_hair", "other")
KINDS = ("punk", "hair", *WORN, "eyes", "expression", "skin", "background")
# What a caption says of a part that it says nothing about.
PLAIN = {"hair": "hair", "eyes": "eyes", "skin": "skin", "background": "solid background"}

Choices = dict[str, str]


class ChoiceError(ValueError):
    """A choice that the release does not offer."""


@dataclass(frozen=True)
class Option:
    """One phrase of the captions: as it goes into the prompt, as visitors read it, and what its colours look like."""

    phrase: str
    label: str
    swatches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traits:
    """What a release offers: kind to options, the most frequent first; whether its prompts carry colour codes."""

    options: Mapping[str, tuple[Option, ...]]
    lips: str = "lips"
    codes: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "codes": self.codes,
            "lips": self.lips,
            "options": {kind: [asdict(option) for option in options] for kind, options in self.options.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Traits:
        """The traits that `to_json` wrote and the database kept."""
        options = {
            kind: tuple(Option(each["phrase"], each["label"], tuple(each["swatches"])) for each in found)
            for kind, found in value.get("options", {}).items()
        }
        return cls(options=options, lips=value.get("lips", "lips"), codes=value.get("codes", False))

    def check(self, choices: Mapping[str, str]) -> Choices:
        """The choices in the prompt's order, empty ones left out.

        Raises ChoiceError for an unknown kind, a phrase that is not offered, or a missing lady or lad.
        """
        unknown = sorted(set(choices) - set(KINDS))
        if unknown:
            raise ChoiceError(f"There is nothing called {unknown[0]!r} to choose; there are {', '.join(KINDS)}.")
        checked = {kind: choices[kind] for kind in KINDS if choices.get(kind)}
        for kind, phrase in checked.items():
            if self.find(kind, phrase) is None:
                raise ChoiceError(f"{phrase!r} is not offered as {kind.replace('_', ' ')}; choose from the list.")
        if "punk" not in checked:
            raise ChoiceError("Choose a lady or a lad.")
        return checked

    def find(self, kind: str, phrase: str) -> Option | None:
        """The option with that phrase; None when it is not offered."""
        return next((option for option in self.options.get(kind, ()) if option.phrase == phrase), None)

    def prompt(self, choices: Mapping[str, str]) -> str:
        """The prompt for choices, in the grammar of the captions. Raises ChoiceError as `check` does."""
        chosen = self.check(choices)
        worn = [self._phrase(kind, chosen) for kind in WORN if kind in chosen]
        return ", ".join(
            [
                f"{TRIGGER} {chosen['punk']}",
                self._phrase("hair", chosen),
                *worn,
                self._phrase("eyes", chosen),
                self.lips,
                chosen.get("expression", EXPRESSIONS[1]),
                self._phrase("skin", chosen),
                self._phrase("background", chosen),
            ]
        )

    def _phrase(self, kind: str, chosen: Choices) -> str:
        option = self.find(kind, chosen[kind]) if kind in chosen else None
        if option is None:
            return PLAIN[kind]
        if self.codes and kind in PLAIN and option.swatches:
            return f"{option.phrase} ({option.swatches[0]})"
        return option.phrase


def fixed(phrases: Sequence[str]) -> tuple[Option, ...]:
    """Options that every release has, whatever its captions say."""
    return tuple(Option(phrase, phrase.removesuffix(" expression")) for phrase in phrases)
