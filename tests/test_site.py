"""The table of the site says what the facts say, row by row, and its JSON has its schema.

About this repository rather than about a release of Flax: the matrix leaves it to ``nox``.
How the page behaves in a browser is tools/website/browser.
"""

from __future__ import annotations

import gzip
import json
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from nnx_compat import facts
from nnx_compat.matrix import grid

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tools.website import data, table  # noqa: E402

ASSETS = ROOT / "tools" / "website" / "assets"
VERSIONS = [release.version for release in facts.releases()]
LIMIT = 150_000


class Rows(HTMLParser):
    """The rows of the page by id, with the text and the parameters that are in each."""

    EMPTY = frozenset({"meta", "link", "input"})

    def __init__(self):
        super().__init__()
        self.rows = {}
        self.bars = {}
        self.open = []
        self.ids = []
        self.links = []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        if "data-on" in found:
            self.rows[found["id"]] = {"on": found["data-on"], "text": ""}
        if tag == "i" and "style" in found and self.within():
            first, after = found["style"].partition(":")[2].split("/")
            bars = self.bars.setdefault(self.within()[-1], {})
            bars.setdefault(found["class"], []).extend(
                range(int(first) - 1, int(after) - 1)
            )
        if tag not in self.EMPTY:
            self.open.append((tag, found.get("id") if "data-on" in found else None))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, text):
        for row in self.within():
            self.rows[row]["text"] += text

    def within(self):
        return [id for _, id in self.open if id]


@cache
def document():
    return data.document()


@cache
def html():
    return table.page(document(), (ASSETS / "table.html").read_text(encoding="utf-8"))


@cache
def parsed():
    parser = Rows()
    parser.feed(html())
    assert parser.open == []
    return parser


def having(row):
    number = int(row["on"], 16)
    return [version for at, version in enumerate(VERSIONS) if number >> at & 1]


def test_the_document_has_its_schema():
    schema = json.loads((ASSETS / "nnx.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document(), schema)


def test_the_schema_refuses_a_document_that_lacks_something():
    schema = json.loads((ASSETS / "nnx.schema.json").read_text(encoding="utf-8"))
    broken = json.loads(json.dumps(document()))
    del broken["names"][0]["releases"][0]["last"]
    with pytest.raises(jsonschema.ValidationError, match="'last' is a required"):
        jsonschema.validate(broken, schema)


def test_every_name_and_member_has_a_row_with_its_releases():
    rows = parsed().rows
    for path in facts.names():
        assert having(rows[path]) == [v for v in VERSIONS if facts.name(path).on(v)], (
            path
        )


def test_every_parameter_is_under_its_name_with_its_releases():
    rows = parsed().rows
    for path in facts.names():
        name = facts.name(path)
        for parameter, intervals in name.parameters.items():
            row = rows.get(f"{path}:{parameter}")
            if row is None:  # said in one line of the name's, whose releases it has
                assert intervals == name.intervals, (path, parameter)
                assert parameter in rows[path]["text"]
            else:
                assert having(row) == [v for v in VERSIONS if name.on(v, parameter)]


def test_every_change_of_meaning_has_a_row_with_its_releases_and_its_remedy():
    rows = parsed().rows
    for behaviour in facts.behaviours():
        row = rows[behaviour.id]
        assert having(row) == [v for v in VERSIONS if behaviour.holds(v)]
        for text in (behaviour.text, behaviour.remedy):
            assert text.replace("`", "").rstrip(".") in row["text"]


def test_no_row_is_about_anything_else():
    rows = parsed().rows
    changes = {behaviour.id for behaviour in facts.behaviours()}
    for id in rows:
        path, colon, parameter = id.partition(":")
        assert id in changes or path in facts.names()
        assert not colon or parameter in facts.name(path).parameters


def test_the_bars_of_a_row_are_its_releases_and_what_we_give():
    kinds = {"native": "n", "replaced": "r", "backported": "b", "refused": "x"}
    for path in facts.names():
        bars = parsed().bars[path]
        name = facts.name(path)
        assert [VERSIONS[at] for at in bars["n"]] == [v for v in VERSIONS if name.on(v)]
        for kind in data.GIVEN[1:]:
            drawn = [VERSIONS[at] for at in bars.get(kinds[kind], [])]
            top = path.count(".") == 1
            assert drawn == [v for v in VERSIONS if top and data.given(path, v) == kind]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_we_give_is_what_the_drop_in_namespace_has(version):
    newest = VERSIONS[-1]
    public = [
        p for p in facts.names() if p.count(".") == 1 and facts.name(p).on(newest)
    ]
    given = [
        p[4:]
        for p in public
        if data.given(p, version) in ("native", "replaced", "backported")
    ]
    assert tuple(given) == facts.resolved(version)


def test_a_reason_is_given_for_what_is_replaced_or_refused():
    rows = parsed().rows
    for path, treatments in facts.treatments().items():
        row = rows.get(path) or rows[path.rpartition(".")[0]]
        for one in treatments:
            assert one.why.replace("`", "").rstrip(".") in row["text"]


def test_a_badge_says_whether_a_name_stayed():
    page = table.Table(document())
    first, second, *_, last = VERSIONS
    for intervals, word in (
        ([(first, None)], "on all"),
        ([(second, None)], f"from {second}"),
        ([(last, None)], "newest only"),
        ([(first, second)], f"gone</b> (up to {second})"),
        (
            [(first, first), (last, None)],
            f"come and gone</b> ({first} and from {last})",
        ),
    ):
        noted = [{"first": a, "last": b} for a, b in intervals]
        assert word in page.badge(noted)


def test_ids_are_unique_and_links_within_the_page_lead_to_one():
    ids = parsed().ids
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in parsed().links if link.startswith("#")} <= set(ids)


def test_the_grid_has_every_pair_that_was_measured():
    assert html().count("<td class=") == grid.counts().pairs
    signs = [pair["sign"] for pair in document()["band"]["pairs"]]
    assert signs.count("+") == grid.counts().native


def test_the_page_is_small():
    assert len(gzip.compress(html().encode())) <= LIMIT
