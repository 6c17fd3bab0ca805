"""Texts of others that a page must show as written: links, markup, icons, formulas.

In: a folder. Out: recordings whose gestures, subjects and ids are such texts, a run of them.
"""

from __future__ import annotations

import polars as pl

from tests.support.builders import make_table
from tests.support.run_folders import write_notes
from tests.support.tiny_runs import tiny_config, train
from trainer.store.names import RunPaths

HOST = "foreign.example"
TEXTS = (
    f"http://{HOST}/a",
    f"www.{HOST}",
    f"me@{HOST}",
    f"mailto:me@{HOST}",
    f"HTTPS://{HOST}",
    f"WWW.{HOST}",
    f"xmpp:me@{HOST}",
    f"[a](http://{HOST})",
    f"![a](http://{HOST}/a.png)",
    f"<http://{HOST}>",
    f"<a href=http://{HOST}>b</a>",
    f'<span style="color:red" href="http://{HOST}">c</span>',
    f"[a]: http://{HOST}",
    ":material/home:",
    ":streamlit:",
    ":smile:",
    ":red[x]",
    ":blue-badge[x]",
    "$x^2$",
    "**x** __y__ ~~z~~ `c`",
    "[^1]",
    "&lt;b&gt; &copy;",
    "<b>x</b><br>",
    "# x\n- y\n> z\n| a |\n",
)
LINKS = tuple(text for text in TEXTS if HOST in text)
GESTURES = (
    (f"see http://{HOST}/g", "Target"),
    (f"<a href=http://{HOST}>g</a> me@{HOST}", "Target"),
    (f"[g](http://{HOST}) :material/home:", "Non-Target"),
    (f"www.{HOST} **g** $x$ https://{HOST}", "Non-Target"),
)


def write_source(folder):
    """Write a small labelled table whose every name is an address; return its path."""
    table = make_table(gestures=GESTURES, groups=("acc", "rot")).with_columns(
        ("http://" + pl.lit(HOST) + "/" + pl.col("sequence_id")).alias("sequence_id"),
        (pl.col("subject") + "@" + pl.lit(HOST)).alias("subject"),
    )
    path = folder / "recordings.parquet"
    table.write_parquet(path)
    return path


def make_run(folder, state):
    """Train a run on such recordings; its title and note are such texts too."""
    root = state / "foreign"
    train(root, tiny_config(write_source(folder)))
    write_notes(RunPaths(root), f"http://{HOST}/title me@{HOST}", " ".join(LINKS))
    return root
