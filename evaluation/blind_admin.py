"""The rows of blind pairs in the console's lists. What was voted for is on the results page alone: see `blind.look`."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from evaluation.blind_models import BlindTest, Pair, Unblinding, Vote
from punklab.acts import ReadOnlyAdmin
from punklab.badges import badge


@admin.register(BlindTest)
class BlindTestAdmin(ReadOnlyAdmin, admin.ModelAdmin[BlindTest]):
    list_display = ("__str__", "state", "n_identical", "by", "created_at", "note")
    list_select_related = ("checkpoint_a__run", "checkpoint_b__run", "by")
    search_fields = ("checkpoint_a__run__run_name", "checkpoint_b__run__run_name", "note")
    date_hierarchy = "created_at"

    @admin.display(description="state", ordering="withdrawn_at")
    def state(self, test: BlindTest) -> SafeString | str:
        return badge("cancelled", "withdrawn") if test.withdrawn_at else badge("open")


@admin.register(Pair)
class PairAdmin(ReadOnlyAdmin, admin.ModelAdmin[Pair]):
    list_display = ("__str__", "prompt", "seed", "sha256_a", "sha256_b")
    list_select_related = ("test",)
    search_fields = ("prompt", "sha256_a", "sha256_b")


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin, admin.ModelAdmin[Vote]):
    list_display = ("__str__", "is_blind", "voted_at", "withdrawn_at")
    list_select_related = ("pair", "by")
    list_filter = ("is_blind",)
    search_fields = ("by__username",)
    date_hierarchy = "voted_at"
    fields = ("pair", "by", "is_blind", "voted_at", "withdrawn_at")


@admin.register(Unblinding)
class UnblindingAdmin(ReadOnlyAdmin, admin.ModelAdmin[Unblinding]):
    list_display = ("__str__", "looked_at")
    list_select_related = ("test", "by")
    search_fields = ("by__username",)
