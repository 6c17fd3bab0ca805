"""The documents: the command line's page is its help, links lead somewhere, README is short."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from docs import command_line
from tests.docs.documents import PAGES, PROJECT, commands
from trainer import __version__

MAX_WORDS = 700


def test_the_page_of_the_command_line_is_its_help():
    """After a change of an option: python -m docs.command_line."""
    assert command_line.PAGE.read_text(encoding="utf-8") == command_line.render()


def test_the_readme_is_read_in_a_minute():
    """At most 700 words; the rest is in docs/."""
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").split()) <= MAX_WORDS


def test_both_readmes_have_the_same_commands():
    """A command that changes is changed in both languages."""
    japanese = commands(PROJECT / "README.ja.md")
    assert japanese == commands(PROJECT / "README.md")
    assert len(japanese) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files(page):
    """Relative links and pictures exist; their anchors are headings of the target."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings]
            assert anchor in anchors, f"{page.name}: {target}"


def test_every_page_of_docs_is_linked_from_the_readme_or_from_another_page():
    """Nobody finds a page that no page links to."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for page in PROJECT.glob("docs/*.md"):
        others = [text for other, text in texts.items() if other != page]
        assert any(re.search(rf"[(/]{re.escape(page.name)}[)#]", text) for text in others), page


def test_the_version_is_the_same_everywhere():
    """trainer.__version__, the citation and the newest entry of the changelog."""
    citation = (PROJECT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    changelog = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == __version__


def test_the_lock_has_a_hash_of_every_package_and_keeps_to_requirements():
    """Every requirement is locked to a version that it allows; every version has a hash."""
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:\w{64})+)$", text, re.MULTILINE
    )
    locked = {name: Version(version) for name, version, _ in blocks}
    assert len(locked) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))
    for line in (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        assert locked[requirement.name] in requirement.specifier, line
