"""The upload field of the Runs page: a hostile archive is refused in words or imported safely."""

from __future__ import annotations

from tests.support import hostile_archives
from tests.support.pages import visit
from trainer.run.transfer.archive import export_run
from trainer.run.transfer.moving import delete_run
from trainer.store.reader import list_runs


def test_every_hostile_archive_is_refused_in_words_by_the_upload_field(
    tiny_run, state_dir, tmp_path
):
    """The page stays as it is, shows the reason as plain text, and keeps working."""
    export_run(tiny_run, tmp_path / "tiny.zip")
    (tmp_path / "hostile").mkdir()
    app = visit("runs")
    for name, path, phrase in hostile_archives.gallery(tmp_path / "tiny.zip", tmp_path / "hostile"):
        app.file_uploader(key="import_file").upload("tiny.zip", path.read_bytes()).run()
        app.button(key="import").click().run()
        assert not app.exception, name
        shown = [error.value.replace("\\", "") for error in app.error]
        if phrase:
            assert phrase in shown[0], name
            assert [entry.name for entry in state_dir.iterdir()] == [], name
        else:
            assert shown == [], name
            assert [run.name for run in list_runs(state_dir)] == ["tiny"], name
            delete_run(state_dir / "tiny")
