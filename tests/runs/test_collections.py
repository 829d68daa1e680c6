from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from punklab.diffusion.miniature.demo import write_demo_set
from punklab.pixels.collection import Collection, shipped
from runs import collections
from runs.collections import collection_for, collection_of, most_colours, newest_collection
from runs.models import Caption, CaptionCollection, CaptionVersion
from tests.factories import make_caption_version, make_run


@pytest.fixture(autouse=True)
def _new_process() -> None:
    collections._loaded.clear()


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    write_demo_set(folder, 30, seed=3)
    return folder


def version_of(folder: Path) -> CaptionVersion:
    call_command("import_captions", str(folder), name="demo", stdout=StringIO())
    return CaptionVersion.objects.get(version_name="demo")


@pytest.mark.django_db
def test_what_a_version_teaches_is_learned_once_and_kept_with_it(demo, django_assert_num_queries):
    version = version_of(demo)
    learned = collection_of(version)
    assert len(learned.names) == 30
    assert learned.bands != shipped().bands
    kept = CaptionCollection.objects.get()
    assert Collection.from_bytes(bytes(kept.data)).names == learned.names
    with django_assert_num_queries(1):
        assert collection_of(version) is learned
    assert newest_collection() is learned
    assert collection_for(make_run(caption_version="demo")) is learned


@pytest.mark.django_db
def test_it_is_learned_again_when_a_caption_changes_and_an_unreadable_row_is_replaced(demo):
    version = version_of(demo)
    before = collection_of(version)
    Caption.objects.filter(version=version).first().delete()
    after = collection_of(version)
    assert len(after.names) == len(before.names) - 1
    assert CaptionCollection.objects.get().learned_at is not None
    caption = Caption.objects.filter(version=version).first()
    caption.text = "lad, red hat, green background"
    caption.save()
    CaptionCollection.objects.update(data=b"an older format")
    assert collection_of(version) is not after
    assert Collection.from_bytes(bytes(CaptionCollection.objects.get().data)).names == after.names


@pytest.mark.django_db
def test_what_ships_stands_in_where_no_pictures_are_at_hand():
    assert newest_collection() is shipped()
    assert collection_for(None) is shipped()
    assert collection_for(make_run(caption_version="never imported")) is shipped()
    empty = CaptionVersion.objects.create(version_name="her row")
    assert collection_of(empty) is shipped()
    few = make_caption_version(pairs=4)
    assert collection_of(few).bands == shipped().bands
    assert len(collection_of(few).names) == 4


@pytest.mark.django_db
def test_the_most_colours_are_those_of_what_the_run_learned_from(demo, django_assert_num_queries):
    version_of(demo)
    run = make_run(caption_version="demo")
    most = most_colours(run)
    assert most == int(collection_for(run).bands["colours"].high) != most_colours(None)
    with django_assert_num_queries(1):
        assert most_colours(run) == most
    CaptionCollection.objects.update(data=b"an older format")
    assert most_colours(run) == most


def test_what_ships_can_be_built_anew_without_any_picture_in_it(demo, tmp_path):
    out = tmp_path / "collection.npz"
    call_command("build_collection", str(demo), out=out, stdout=StringIO())
    built = Collection.from_bytes(out.read_bytes())
    assert (built.names, built.cells.size) == ((), 0)
    assert built.prior.examples.keys() == shipped().prior.examples.keys()
    assert not np.array_equal(built.prior.bare, shipped().prior.bare)


def test_a_folder_with_too_few_pairs_teaches_nothing(tmp_path):
    with pytest.raises(CommandError, match="no PNG and no TXT"):
        call_command("build_collection", str(tmp_path), out=tmp_path / "out.npz")
    write_demo_set(tmp_path / "few", 5)
    with pytest.raises(CommandError, match="5 pairs; 20 is the least"):
        call_command("build_collection", str(tmp_path / "few"), out=tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
