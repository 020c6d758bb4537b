"""Fetching QM9."""

import pooch
import pytest
from typer.testing import CliRunner

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from datasets import qm9
from tests.data.test_qm9 import archive


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A site that has both files."""
    site = tmp_path / "site"
    site.mkdir()
    archive(site / "dsgdb9nsd.xyz.tar.bz2")
    (site / "uncharacterized.txt").write_text("1\tC\tC\tC\n")
    sources = {name: (f"file://{site / name}", f"md5:{pooch.file_hash(site / name, 'md5')}") for name in qm9.SOURCES}
    monkeypatch.setattr(qm9, "SOURCES", sources)
    return site


def put(site, folder):
    folder.mkdir()
    for file in site.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_files_that_are_there_are_converted(tmp_path, published):
    options = ["--output", str(tmp_path / "qm9.h5"), "--folder", str(put(published, tmp_path / "here"))]
    result = CliRunner().invoke(qm9.app, options, catch_exceptions=False)
    assert "1 molecules of 1 compositions" in result.stdout
    assert [group.frame_properties["gdb"].tolist() for group in read_reference_data(tmp_path / "qm9.h5").groups] == [[3.0]]


def test_without_a_network_it_says_where_to_put_the_file(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(InputError, match=r"could not be fetched \(no network\); get it from https://ndownloader.* and put it into .*here"):
        qm9.fetch("dsgdb9nsd.xyz.tar.bz2", tmp_path / "here")


def test_another_file_is_refused(tmp_path, published):
    folder = put(published, tmp_path / "here")
    (folder / "uncharacterized.txt").write_text("2\tC\tC\tC\n")
    with pytest.raises(InputError, match="is not the published file"):
        qm9.fetch("uncharacterized.txt", folder)
