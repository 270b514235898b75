"""Finds what an erasure has to take away: what holds the text, and what came from that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Kind
from mira_ltmemory.services.erasure_plan import BlockLine, ErasedRow, excerpt
from mira_ltmemory.store.erasable import (
    BLOCK_COLUMNS,
    CONVERSATION,
    GRAPH_TABLES,
    HELD,
    IN_PLACE,
    LINKS,
    ROW_TABLES,
    WHOLE_ROWS,
    is_vocabulary,
)
from mira_ltmemory.store.erasure import BlockText
from mira_ltmemory.store.scan import Needle, Place
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

_TEXTS = (Kind.MESSAGE.value, Kind.PASSAGE.value)
_FOLLOWED = (*_TEXTS, *(kind.value for kind in GRAPH_TABLES))
_BLOCK = Kind.BLOCK.value


@dataclass(slots=True)
class Found:
    """What was found for one request. ``rows`` tells by kind and id why each row goes."""

    needle: Needle
    rows: dict[str, dict[UUID, str]] = field(default_factory=dict)
    kept: dict[str, dict[UUID, str]] = field(default_factory=dict)
    blocks: set[UUID] = field(default_factory=set)
    emptied: set[UUID] = field(default_factory=set)
    labelled: set[UUID] = field(default_factory=set)
    unspoken: set[UUID] = field(default_factory=set)
    links: set[UUID] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    places: list[Place] = field(default_factory=list)
    block_places: list[Place] = field(default_factory=list)
    left: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, ids: Iterable[UUID], why: str) -> list[UUID]:
        """Let rows go, unless they do already; return those that are new."""
        known = self.rows.setdefault(kind, {})
        fresh = [id for id in dict.fromkeys(ids) if id not in known]
        known.update(dict.fromkeys(fresh, why))
        return fresh

    def every_id(self) -> set[UUID]:
        """The ids of all rows that go."""
        return {id for ids in self.rows.values() for id in ids}

    def lines_of(self, text: BlockText) -> list[int]:
        """Numbers, from 1, of the lines of a block's version that go."""
        if text.id in self.emptied:
            return list(range(1, text.content.count("\n") + 2)) if text.content else []
        return self.needle.lines(text.content)


def find(unit: SqlUnitOfWork, *, subject: str | None, ids: Sequence[UUID] = (), with_sources: bool = False) -> Found:
    """Find what goes, for a subject or for ids. Raises ``InvalidArgument`` for ids that are not there."""
    if subject is not None:
        found = Found(Needle(subject=subject))
        for place in unit.scan.places(found.needle):
            _sort(found, place, copies=False)
        _follow(unit, found, with_sources=with_sources)
        return found
    found = Found(Needle())
    _resolve(unit, found, list(dict.fromkeys(ids)))
    _follow(unit, found, with_sources=with_sources)
    texts = {text for kind in _TEXTS for text in unit.erasure.texts(kind, list(found.rows.get(kind, {})))}
    found.needle = Needle(texts=texts)
    for place in unit.scan.places(found.needle):
        _sort(found, place, copies=True)
    return found


def _resolve(unit: SqlUnitOfWork, found: Found, ids: Sequence[UUID]) -> None:
    missing = set(ids)
    for kind in ROW_TABLES:
        known = list(unit.erasure.facts(kind, ids))
        missing -= set(known)
        if kind == _BLOCK:
            found.emptied.update(known)
            found.blocks.update(known)
        elif known:
            found.add(kind, known, "chosen")
        if kind == CONVERSATION and known:
            found.add(Kind.MESSAGE.value, unit.erasure.messages_of(known), "belongs to a chosen conversation")
    if missing:
        gone = {id: at for kind in ROW_TABLES for id, at in unit.erasure.tombstoned(kind, list(missing)).items()}
        told = [
            f"{id} (erased on {gone[id].date().isoformat()})" if id in gone else str(id) for id in sorted(missing)[:10]
        ]
        raise InvalidArgument(f"There is no row of memory with the id {', '.join(told)}; nothing was changed.")


def _sort(found: Found, place: Place, *, copies: bool) -> None:
    """Put a value that holds the text where it belongs. ``copies``: other rows that hold it stay, and are told."""
    table, row_id = place.live_table, place.key.get("id")
    if is_vocabulary(place):
        return
    if table in WHOLE_ROWS and isinstance(row_id, UUID):
        kind = WHOLE_ROWS[table].value
        if not copies:
            found.add(kind, [row_id], f"holds it in {place.column}")
        elif row_id not in found.rows.get(kind, {}):
            found.kept.setdefault(kind, {})[row_id] = "holds the same text"
    elif table == LINKS and isinstance(row_id, UUID):
        found.links.add(row_id)
    elif table == HELD:
        found.held.add(place.key["id"])
    elif table == "blocks" and place.column in BLOCK_COLUMNS and isinstance(row_id, UUID):
        found.blocks.add(row_id)
        if place.column == "label":
            found.labelled.add(row_id)
        elif place.column != "content":
            found.block_places.append(place)
    elif table == "conversations" and row_id in found.rows.get(CONVERSATION, {}):
        return
    elif place.column in IN_PLACE.get(table, ()):
        found.places.append(place)
    else:
        found.left.append(place)


def _follow(unit: SqlUnitOfWork, found: Found, *, with_sources: bool) -> None:
    """Add what came from the rows, from what came from them, and so on; tell or add what they came from."""
    frontier = found.every_id()
    while frontier:
        reached = _reach(unit, found, unit.erasure.linked(frontier), "came from {}")
        if with_sources:
            reached |= _reach(unit, found, unit.erasure.linked(frontier, upwards=True), "is what {} came from")
        frontier = reached | _reach_graph(unit, found)
    for kind, whys in _by_kind(unit.erasure.linked(found.every_id(), upwards=True), "is what {} came from").items():
        there = unit.erasure.facts(kind, [id for id in whys if id not in found.rows.get(kind, {})])
        found.kept.setdefault(kind, {}).update({id: whys[id] for id in there})


def _reach_graph(unit: SqlUnitOfWork, found: Found) -> set[UUID]:
    """Add what the graph knows from rows that go: mentions, and entities with all that is known of them.

    An entity that only loses its last mention leaves those that it was merged with.
    """
    reached: set[UUID] = set()
    for kind in (Kind.MESSAGE, Kind.PASSAGE, Kind.ALIAS, Kind.MENTION, Kind.ENTITY):
        for akin_kind, id, akin in unit.erasure.in_graph(kind, list(found.rows.get(kind.value, {}))):
            if kind is akin_kind and akin in found.unspoken:
                continue
            fresh = found.add(akin_kind.value, [id], f"belongs to {kind.value} {akin}")
            reached.update(fresh)
            if kind is Kind.MENTION:
                found.unspoken.update(fresh)
    return reached


def _by_kind(links: Iterable[tuple[str, UUID, UUID]], why: str) -> dict[str, dict[UUID, str]]:
    by_kind: dict[str, dict[UUID, str]] = {}
    for kind, id, akin in links:
        by_kind.setdefault(kind, {})[id] = why.format(akin)
    return by_kind


def _reach(unit: SqlUnitOfWork, found: Found, links: Iterable[tuple[str, UUID, UUID]], why: str) -> set[UUID]:
    reached: set[UUID] = set()
    for kind, whys in _by_kind(links, why).items():
        facts = unit.erasure.facts(kind, [id for id in whys if id not in found.rows.get(kind, {})])
        if kind in _FOLLOWED:
            for id in facts:
                reached.update(found.add(kind, [id], whys[id]))
        elif kind == _BLOCK:
            found.notes += [
                f"Block {each.text!r} came partly from a row that goes; read it over." for each in facts.values()
            ]
        else:
            listed = ", ".join(map(str, sorted(whys)[:10]))
            found.notes.append(f"Of kind {kind!r}, which this version cannot erase, came from rows that go: {listed}.")
    return reached


def rows_shown(unit: SqlUnitOfWork, rows: dict[str, dict[UUID, str]], subject: str | None) -> tuple[ErasedRow, ...]:
    """The rows as a plan shows them, oldest first."""
    shown = [
        ErasedRow(
            kind=kind,
            id=id,
            why=whys[id],
            excerpt=excerpt(facts.text, subject),
            at=facts.at,
            versions=facts.versions,
        )
        for kind, whys in rows.items()
        for id, facts in unit.erasure.facts(kind, list(whys)).items()
    ]
    return tuple(sorted(shown, key=lambda row: (row.kind, row.at.timestamp() if row.at else 0.0, row.id)))


def lines_shown(unit: SqlUnitOfWork, found: Found) -> tuple[BlockLine, ...]:
    """The lines of blocks that hold the text now, or held it in an earlier version; each once."""
    shown: dict[tuple[UUID, str], BlockLine] = {}
    for version in unit.erasure.block_texts(sorted(found.blocks)):
        lines = version.content.split("\n")
        for number in found.lines_of(version):
            present = version.ended_by is None
            line = BlockLine(block_id=version.id, label=version.label, text=lines[number - 1], present=present)
            if present or (version.id, line.text) not in shown:
                shown[version.id, line.text] = line
    for place in found.block_places:
        text = f"({place.column}) {excerpt(str(place.value), found.needle.subject)}"
        id = UUID(str(place.key["id"]))
        shown[id, text] = BlockLine(block_id=id, label=place.column, text=text, present=place.table == "blocks")
    for version in unit.erasure.block_texts(sorted(found.labelled)):
        shown[version.id, f"(block) {version.label}"] = BlockLine(
            block_id=version.id, label=version.label, text=f"(block) {version.label}", present=version.ended_by is None
        )
    return tuple(shown.values())
