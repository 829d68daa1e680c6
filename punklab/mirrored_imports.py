"""The pages that read and write the lab's five tables as files: CSV, XLSX, JSON; all of a file or nothing of it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from import_export.admin import ImportExportModelAdmin
from import_export.formats.base_formats import CSV, JSON, XLSX
from import_export.results import Result


class MirroredFilesAdmin(ImportExportModelAdmin):
    """The part of a ModelAdmin that imports and exports; a preview first, and every wrong row by its number."""

    formats = (CSV, XLSX, JSON)

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        """Say what was imported; where a row became wrong after its preview, that nothing was."""
        wrong = [f"row {row.number}: {row.error}" for row in [*result.invalid_rows, *result.error_rows][:1]]
        if wrong or result.base_errors:
            problem = wrong[0] if wrong else str(result.base_errors[0].error)
            messages.error(request, f"Nothing was imported: {problem}. Look at the preview again.")
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_import"))
        answer: HttpResponse = super().process_result(result, request)
        return answer
