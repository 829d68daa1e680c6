"""The cells of a matrix: a page has a thousand of them, which a template's loop is too slow for."""

from __future__ import annotations

from collections.abc import Iterator

from django import template
from django.template.defaultfilters import truncatechars
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from evaluation.matrix import Row

register = template.Library()


@register.filter
def cells(row: Row, pictures: str) -> SafeString:
    """Return the row's cells as table cells; `pictures` is the address below which pictures lie."""
    return SafeString("".join(_cells(row, conditional_escape(row.title), conditional_escape(pictures))))


def _cells(row: Row, title: str, pictures: str) -> Iterator[str]:
    """All that is not escaped here is a number or a word of ours."""
    for cell in row.cells:
        if cell is None or not cell.finished:
            words = truncatechars(cell.words, 90) if cell else "not queued"
            yield format_html('<td><span class="cell no-picture">{}</span></td>', words)
            continue
        yield f'<td><a class="cell" href="{pictures}{cell.raw_path}" data-code="{cell.code}">'
        yield f'<img class="punk" src="{pictures}{cell.path}" width="96" height="96" alt="{title}" loading="lazy"></a>'
        yield f'<span class="missed">✗ {cell.missed}</span></td>' if cell.missed else "</td>"
