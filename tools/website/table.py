"""The table: one static page with a row for every name, member, parameter and change.

The rows are in the page itself, so that it reads without JavaScript;
``assets/table.js`` hides those that were not asked for. A row says the releases three
times: as a strip, in words, and in ``data-on``, a hexadecimal number in which bit N is
the Nth release. What a parameter shares with its name is not said again: such
parameters are one line.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any

from nnx_compat import facts
from nnx_compat.facts import Interval
from nnx_compat.matrix import grid

from .data import AREAS, GIVEN

#: An interval as the document has it.
Noted = Mapping[str, str | None]

#: The class of a bar, in one letter: there are thousands of them.
_BARS = {"native": "n", "replaced": "r", "backported": "b", "refused": "x",
         "changed": "c"}  # fmt: skip
_TREATED = {
    "replaced": "Replaced",
    "refused": "Refused",
    "patched": "<code>install()</code> widens it",
    "deprecated": "On its way out",
}


class Table:
    """The page over one document.

    Args:
        document: what ``data.document`` gives.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.versions = [row["version"] for row in document["releases"]]
        self._members: dict[str, list[Mapping[str, Any]]] = {}
        for row in document["names"]:
            if row["path"].count(".") > 1:
                owner = row["path"].rpartition(".")[0]
                self._members.setdefault(owner, []).append(row)

    # -- intervals ------------------------------------------------------------------

    def ends(self, intervals: Iterable[Noted]) -> list[tuple[int, int]]:
        """The first and last release of each interval, as places in the order."""
        found = []
        for one in intervals:
            interval = Interval(str(one["first"]), one["last"])
            # it may end with a release that was withdrawn, and is no column
            having = [at for at, v in enumerate(self.versions) if v in interval]
            found += [(having[0], having[-1])] if having else []
        return found

    def mask(self, intervals: Iterable[Noted]) -> str:
        """Bit N says whether the Nth release is within."""
        number = 0
        for first, last in self.ends(intervals):
            number |= ((1 << (last - first + 1)) - 1) << first
        return f"{number:x}"

    def strip(self, intervals: Iterable[Noted], kind: str = "native") -> str:
        """The bars of a strip: a cell of its grid is a release."""
        return "".join(
            f'<i class={_BARS[kind]} style="grid-column:{first + 1}/{last + 2}"></i>'
            for first, last in self.ends(intervals)
        )

    def badge(self, intervals: Iterable[Noted]) -> str:
        """On all, from X, newest only, gone, come and gone; then in words."""
        some = list(intervals)
        ends, end = self.ends(some), len(self.versions) - 1
        said = worded(some)
        match ends:
            case [(0, last)] if last == end:
                return '<b class="on all">on all</b>'
            case [(first, last)] if last == end and first == end:
                return '<b class="on newest">newest only</b>'
            case [(_, last)] if last == end:
                return f'<b class="on from">{said}</b>'
            case [_]:
                return f'<b class="on gone">gone</b> ({said})'
        return f'<b class="on holes">come and gone</b> ({said})'

    # -- rows -----------------------------------------------------------------------

    def name(self, row: Mapping[str, Any]) -> str:
        """The row of a public name, with what is below it."""
        path, having = row["path"], row["releases"]
        bars = self.strip(having)
        for kind in GIVEN[1:]:
            bars += self.strip(row["gives"].get(kind, ()), kind)
        below = self._below(row)
        shown = f"<span class=d>nnx.</span>{path[4:]}"
        head = self._head(path, shown, self.badge(having), bars)
        text = "".join(f"<p>{line}</p>" for line in self._given(row))
        return f"<li id={path} {self._data(having)}>{head}{text}{below}</li>\n"

    @staticmethod
    def _head(id: str, shown: str, badge: str, bars: str) -> str:
        return (
            f'<div class=r><a href="#{id}">{shown}</a>'
            f"<span class=s aria-hidden=true>{bars}</span>"
            f"<span class=w>{badge}</span></div>"
        )

    def _data(self, having: list[Noted]) -> str:
        return f"data-on={self.mask(having)}"

    def _below(self, row: Mapping[str, Any]) -> str:
        members = self._members.get(row["path"], [])
        parameters = row["parameters"]
        if not members and not parameters:
            return ""
        said = [_number(len(parameters), "parameter"), _number(len(members), "member")]
        title = ", ".join(filter(None, said))
        body = self._parameters(row) + "".join(map(self._member, members))
        return f"<details><summary>{title}</summary><ul>{body}</ul></details>"

    def _member(self, row: Mapping[str, Any]) -> str:
        path = row["path"]
        having = row["releases"]
        short = "." + path.rpartition(".")[2]
        head = self._head(path, short, self.badge(having), self.strip(having))
        text = "".join(f"<p>{line}</p>" for line in self._given(row))
        below = self._parameters(row)
        below = f"<ul>{below}</ul>" if below else ""
        return f"<li id={path} {self._data(having)}>{head}{text}{below}</li>"

    def _parameters(self, row: Mapping[str, Any]) -> str:
        """A row for each parameter that came or went, one line for the others."""
        path, having = row["path"], row["releases"]
        always = [p for p, on in row["parameters"].items() if on == having]
        line = ", ".join(f"<code>{escape(parameter)}</code>" for parameter in always)
        some = [p for p in row["parameters"] if p not in always]
        word = "as long as the name" if some else "parameters"
        text = f"<li class=p>{word}: {line}</li>" if always else ""
        for parameter in some:
            on = row["parameters"][parameter]
            id, shown = f"{path}:{escape(parameter)}", escape(parameter) + "="
            shown = escape(parameter) if parameter.startswith("*") else shown
            head = self._head(id, shown, self.badge(on), self.strip(on))
            text += f"<li id={id} {self._data(on)}>{head}</li>"
        return text

    def _given(self, row: Mapping[str, Any]) -> Iterator[str]:
        """What ``nnx_compat.nnx`` gives, in words: a line each."""
        if built := row["gives"].get("backported"):
            yield f"Built by nnx-compat: {worded(built)}."
        for note in row["notes"]:
            where = worded(note["releases"])
            about = f"<code>{note['about']}</code>: " if note["about"] else ""
            treated = _TREATED[note["treatment"]]
            line = f"{about}{treated} ({where}): {_marked(note['why'])}."
            if note["instead"]:
                line += f" Instead: {_marked(note['instead'])}"
            yield line

    def behaviour(self, row: Mapping[str, Any]) -> str:
        """The row of a change of meaning."""
        id, having = row["id"], row["releases"]
        bars = self.strip(having, "changed")
        head = self._head(id, id, f'<b class="on holds">{worded(having)}</b>', bars)
        jax = f" With jax {escape(row['jax'])}." if row["jax"] else ""
        text = f"<p>{_marked(row['text'])}{jax}</p>"
        text += f"<p>nnx-compat: {_marked(row['remedy'])}</p>"
        return f"<li id={id} class=c {self._data(having)}>{head}{text}</li>\n"

    # -- sections -------------------------------------------------------------------

    def areas(self) -> str:
        """A section for each area: its names, then its changes of meaning."""
        text = ""
        for at, area in enumerate(AREAS):
            names = [
                self.name(row)
                for row in self.document["names"]
                if row["area"] == area and row["path"].count(".") == 1
            ]
            changes = [
                self.behaviour(row)
                for row in self.document["behaviours"]
                if row["area"] == area
            ]
            if names or changes:
                rows = "".join(names + changes)
                text += (
                    f"<section data-area={at} aria-labelledby=area-{at}>"
                    f"<h2 id=area-{at}>{escape(area)}</h2>\n<ul>{rows}</ul></section>\n"
                )
        return text

    def options(self) -> str:
        """The areas, to choose one."""
        return "".join(
            f"<option value={at}>{escape(area)}</option>"
            for at, area in enumerate(AREAS)
        )

    def choices(self) -> str:
        """The releases, to choose one."""
        return "".join(f"<option>{version}</option>" for version in self.versions)

    def axis(self) -> str:
        """The releases above the strips: a mark each, the series in words."""
        text, at = "", 0
        for series, some in groupby(self.versions, key=_series):
            width = len(list(some))
            # a series of one release has no room for all of its name
            shown = series if width > 1 else series[series.index(".") :]
            columns = f"{at + 1}/{at + width + 1}"
            text += f'<span style="grid-column:{columns}">{shown}</span>'
            at += width
        marks = "".join(
            f'<i data-release="{row["version"]}" title="flax {row["version"]}, '
            f'{row["date"]}, Python {row["python"]} or later"></i>'
            for row in self.document["releases"]
        )
        return text + marks

    def style(self) -> str:
        """How many releases there are, and where a series begins, for the strips."""
        count = len(self.versions)
        lines, at = [], 0
        for _, some in groupby(self.versions, key=_series):
            at += len(list(some))
            here = f"{100 * at / count:.3f}%"
            lines.append(f"transparent {here}")
            if at < count:
                lines.append(f"var(--edge) {here} calc({here} + 1px)")
                lines.append(f"transparent calc({here} + 1px)")
        return (
            f":root{{--releases:{count};"
            f"--series:linear-gradient(to right,{','.join(lines)})}}"
        )

    def band(self) -> str:
        """The pairs of Flax and jax as a table, newest release first."""
        columns = grid.jax_versions()
        signs = {
            (row["flax"], row["jax"]): row["sign"]
            for row in self.document["band"]["pairs"]
        }
        meaning = self.document["band"]["meaning"]
        heads = "".join(
            f"<th scope=colgroup colspan={len(list(some))}>{series}</th>"
            for series, some in groupby(columns, key=_series)
        )
        patches = "".join(
            f'<th scope=col><abbr title="jax {jax}">{jax.split(".", 2)[2]}</abbr></th>'
            for jax in columns
        )
        text = (
            "<thead><tr><th scope=col rowspan=2>flax</th>"
            "<th scope=col rowspan=2>date</th><th scope=col rowspan=2>Python</th>"
            f"{heads}</tr><tr>{patches}</tr></thead><tbody>"
        )
        for row in reversed(self.document["releases"]):
            cells = ""
            for jax in columns:
                sign = signs.get((row["version"], jax))
                cells += (
                    f'<td class={_class(meaning[sign])} title="flax {row["version"]}, '
                    f'jax {jax}: {meaning[sign]}">{sign}</td>'
                    if sign
                    else "<td></td>"
                )
            text += (
                f"<tr><th scope=row>{row['version']}</th><td>{row['date']}</td>"
                f"<td>{row['python']}+</td>{cells}</tr>\n"
            )
        return f"<table>{text}</tbody></table>"


def page(document: Mapping[str, Any], template: str) -> str:
    """The whole page.

    Args:
        document: what ``data.document`` gives.
        template: ``assets/table.html``; each ``{{word}}`` in it is replaced.
    """
    table = Table(document)
    names = document["names"]
    newest = document["releases"][-1]
    values = {
        "areas": table.areas(),
        "axis": table.axis(),
        "band": table.band(),
        "choices": table.choices(),
        "newest": newest["version"],
        "date": f"{datetime.date.fromisoformat(newest['date']):%-d %B %Y}",
        "oldest": document["releases"][0]["version"],
        "options": table.options(),
        "names": f"{len(names):,}",
        "changes": str(len(document["behaviours"])),
        "parameters": f"{sum(len(row['parameters']) for row in names):,}",
        "releases": str(len(document["releases"])),
        "style": table.style(),
    }
    for word, value in values.items():
        template = template.replace("{{" + word + "}}", value)
    return template


def worded(intervals: Iterable[Noted]) -> str:
    """Intervals of the document, as every text of ours words them.

    Example:
        >>> worded([{"first": facts.releases()[0].version, "last": None}])
        'every release'
    """
    return facts.worded(Interval(str(i["first"]), i["last"]) for i in intervals)


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}" if count else ""


def _class(meaning: str) -> str:
    return meaning.replace(" ", "-")


def _marked(text: str) -> str:
    """A sentence of the facts, whose code stands between backquotes, as HTML."""
    parts = escape(text, quote=False).rstrip(".").split("`")
    return "".join(
        f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts)
    )
