"""Which machines could be rented, in which order, and why there are none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from runs.backends.base import Offer
from runs.backends.runpod_api import Gpu

_STOCK = ("HIGH", "MEDIUM", "LOW")
_NO_VOLUME = (
    "RUNPOD_VOLUMES names no volume: make a network volume in RunPod's console under Storage and name it, "
    '[{"id": "...", "data_center": "EU-RO-1"}].'
)


def offers_from(
    gpus: Sequence[Gpu],
    stock: Mapping[str, Mapping[str, str]],
    volumes: Sequence[Mapping[str, str]],
    wanted: Sequence[str],
) -> list[Offer]:
    """The machines that are free where a volume of ours lies: in the order of `wanted`, then of stock, then of price."""
    known = {gpu.id: gpu for gpu in gpus}
    found = [
        (rank, _STOCK.index(level), Offer(gpu=name, data_center=place, volume=volume["id"], price=price, stock=level))
        for rank, name in enumerate(dict.fromkeys(wanted))
        if name in known and (price := known[name].price) is not None
        for volume in volumes
        if (level := stock.get(place := volume["data_center"], {}).get(name, "NONE")) in _STOCK
    ]
    return [offer for _, _, offer in sorted(found, key=lambda each: (each[0], each[1], each[2].price))]


def no_offer_sentence(
    gpus: Sequence[Gpu],
    stock: Mapping[str, Mapping[str, str]],
    volumes: Sequence[Mapping[str, str]],
    wanted: Sequence[str],
) -> str:
    """Why there are no offers, and what would mend it."""
    if not volumes:
        return _NO_VOLUME
    unknown = unknown_gpus_sentence(gpus, wanted)
    to_have = [gpu.id for gpu in gpus if gpu.id in wanted and gpu.price is not None]
    if not to_have:
        return unknown or f"RunPod's secure cloud has none of {_listed(wanted)}: name others in RUNPOD_GPUS."
    ours = {volume["data_center"] for volume in volumes}
    elsewhere = sorted(
        place
        for place, levels in stock.items()
        if place not in ours and any(levels.get(name, "NONE") in _STOCK for name in to_have)
    )
    here = ", ".join(sorted(ours))
    if elsewhere:
        why = (
            f"None of RUNPOD_GPUS is free in {here}, where the volumes are; there are some in {', '.join(elsewhere)}: "
            "a volume there would make them usable."
        )
    else:
        why = f"None of RUNPOD_GPUS is free in {here}, nor anywhere else, just now."
    return f"{why} {unknown}".strip()


def unknown_gpus_sentence(gpus: Sequence[Gpu], wanted: Sequence[str]) -> str:
    """What RUNPOD_GPUS names that RunPod does not know, and what may have been meant; "" where it knows all."""
    unknown = [name for name in wanted if name not in {gpu.id for gpu in gpus}]
    if not wanted:
        return f"RUNPOD_GPUS is empty: name GPUs, {_listed([gpu.id for gpu in gpus[:3]])} for example."
    if not unknown:
        return ""
    meant = dict.fromkeys(each for name in unknown for each in _near(name, gpus))
    question = f" did you mean {', '.join(meant)}?" if meant else " its console lists them under Pods."
    return f"RUNPOD_GPUS names {_listed(unknown)}, which RunPod does not know:{question}"


def _near(name: str, gpus: Sequence[Gpu]) -> list[str]:
    """The ids whose id or label is most like a name, three at most."""
    spelt = {text.casefold(): gpu.id for gpu in gpus for text in (gpu.id, gpu.label)}
    near = difflib.get_close_matches(name.casefold(), spelt, n=3, cutoff=0.7)
    return list(dict.fromkeys(spelt[each] for each in near))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
