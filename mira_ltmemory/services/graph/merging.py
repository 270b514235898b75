"""Which entities are the same: merged by a person, or by rules that leave what is open alone; each can be undone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Change, Origin
from mira_ltmemory.services.graph.extract import EntityType
from mira_ltmemory.services.graph.extract.lexicon import COMPANY_WORDS
from mira_ltmemory.services.graph.keys import key_of
from mira_ltmemory.services.graph.views import Merged
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.graph import DIFFERENT, SAME
from mira_ltmemory.store.models import Entity, EntityAlias, EntityMerge, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

MAX_NAME_CHARS = 200
MAX_REASON_CHARS = 500
MERGES_AT_ONCE = 50


class EntityMerges:
    """Decides which entities of one user are the same. Each decision is one change set with its reason."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def merge(self, entity_id: UUID, into_id: UUID, reason: str, change: Change | None = None) -> Merged:
        """Take two entities for the same one; undoing the change set parts them again, with all that is theirs.

        Raises ``InvalidArgument`` where one is unknown, they are the same already, or of different types.
        """
        reason = require_text("reason", reason, limit=MAX_REASON_CHARS).strip()
        change = change or Change(Actor.USER, "entity_merge")
        with self._store.write(replace(change, reason=reason)) as unit:
            for each in (entity_id, into_id):
                _require(unit, each)
            kin = unit.graph.kin([entity_id, into_id])
            root, target = (_require(unit, kin[each][0]) for each in (entity_id, into_id))
            if root.id == target.id:
                raise InvalidArgument(f"{root.name!r} is the same already; nothing was changed.")
            if root.type != target.type:
                raise InvalidArgument(
                    f"{root.name!r} ({root.type}) and {target.name!r} ({target.type}) are of different types and "
                    "cannot be the same; nothing was changed."
                )
            _decide(unit, root.id, target.id, SAME, change)
            return Merged(entity=root.name, into=target.name, reason=reason, change_set_id=unit.change_set_id)

    def split(self, entity_id: UUID, reason: str, change: Change | None = None) -> int:
        """Part an entity from those that it was merged with, for good; return the change set.

        Raises ``InvalidArgument`` where it is unknown or was merged with none.
        """
        reason = require_text("reason", reason, limit=MAX_REASON_CHARS).strip()
        change = change or Change(Actor.USER, "entity_split")
        with self._store.write(replace(change, reason=reason)) as unit:
            entity = _require(unit, entity_id)
            merges = unit.graph.merges_of(entity_id)
            if not merges:
                raise InvalidArgument(f"{entity.name!r} was merged with no other entity; nothing was changed.")
            for merge in merges:
                merge.verdict = DIFFERENT
                unit.graph.save(merge)
            return unit.change_set_id

    def split_name(self, entity_id: UUID, alias: str, reason: str, change: Change | None = None) -> int:
        """Let one of an entity's names stand for another entity, with the mentions that use it; return the change set.

        Raises ``InvalidArgument`` where it has no such name beside others.
        """
        reason = require_text("reason", reason, limit=MAX_REASON_CHARS).strip()
        key = key_of(require_text("alias", alias, limit=MAX_NAME_CHARS))
        change = change or Change(Actor.USER, "entity_split")
        with self._store.write(replace(change, reason=reason)) as unit:
            entity = _require(unit, entity_id)
            details = unit.graph_reads.details([entity_id])[entity_id]
            keys = {key_of(each) for each in details.aliases}
            if key not in keys or len(keys) < 2:
                raise InvalidArgument(f"{alias!r} is no name of {entity.name!r} beside others; nothing was changed.")
            made_id = uuid5(entity_id, f"parted:{key}:{unit.change_set_id}")
            written = unit.graph.take_alias(entity_id, key)
            common: dict[str, Any] = {
                "user_id": unit.user_id,
                "change_set_id": unit.change_set_id,
                "origin": entity.origin,
            }
            hashed = content_hash(written)
            named = Entity(**common, id=made_id, type=entity.type, name=written, content=written, content_hash=hashed)
            name_id = uuid5(made_id, f"alias:{key}")
            unit.graph.add([named, EntityAlias(**common, id=name_id, entity_id=made_id, alias=written, key=key)])
            unit.graph.move_mentions(entity_id, made_id, written)
            _decide(unit, made_id, entity_id, DIFFERENT, change)
            return unit.change_set_id

    def resolve(self, change: Change | None = None) -> list[Merged]:
        """Merge what is the same beyond doubt, each merge in a change set of its own, and return what was merged.

        A first name goes into the one whole name that it belongs to where both were spoken of in the same part of a
        conversation and no other whole name has it; a company's name with and without its legal form are the same.
        What somebody parted, or whose merge was undone, stays apart.
        """
        change = change or Change(Actor.AUTOMATION, "entity_resolution")
        with self._store.read() as unit:
            wanted = {**_first_names(unit), **_companies(unit)}
            parted = unit.graph.parted({each for pair in wanted for each in pair})
        merged: list[Merged] = []
        for (entity_id, into_id), reason in wanted.items():
            if frozenset((entity_id, into_id)) in parted:
                continue
            if len(merged) == MERGES_AT_ONCE:
                break
            merged.append(self.merge(entity_id, into_id, reason, change))
        return merged


def _first_names(unit: SqlUnitOfWork) -> dict[tuple[UUID, UUID], str]:
    """First names that belong to one whole name only, and were spoken of beside it."""
    pairs = unit.graph.first_names()
    kin = unit.graph.kin({each for pair in pairs for each in (pair.entity_id, pair.into_id)})
    wholes: dict[UUID, set[UUID]] = defaultdict(set)
    for pair in pairs:
        wholes[kin[pair.entity_id][0]].add(kin[pair.into_id][0])
    found: dict[tuple[UUID, UUID], str] = {}
    for pair in pairs:
        first, whole = kin[pair.entity_id][0], kin[pair.into_id][0]
        if first != whole and len(wholes[first]) == 1 and pair.beside and first == pair.entity_id:
            found.setdefault(
                (first, whole),
                f"{pair.name!r} was spoken of beside {pair.into_name!r}, and no other whole name begins with it",
            )
    return found


def _companies(unit: SqlUnitOfWork) -> dict[tuple[UUID, UUID], str]:
    """Names of companies that differ in nothing but the legal form."""
    by_name: dict[str, list[tuple[str, UUID]]] = defaultdict(list)
    for each in unit.graph.names_of(EntityType.ORGANIZATION.value):
        words = each.key.split(" ")
        while len(words) > 1 and words[-1] in COMPANY_WORDS:
            words.pop()
        by_name[" ".join(words)].append((each.key, each.id))
    kin = unit.graph.kin({id for names in by_name.values() if len(names) > 1 for _, id in names})
    found: dict[tuple[UUID, UUID], str] = {}
    for name, names in by_name.items():
        roots = {kin[id][0]: key for key, id in names} if len(names) > 1 else {}
        # Two of exactly the same name were told apart by somebody, or by what was said of them.
        if len(roots) == 2 and len(set(roots.values())) == 2:
            (one, first), (other, second) = sorted(roots.items(), key=lambda pair: (len(pair[1]), pair[0]))
            if first == name:
                found[other, one] = f"{second!r} is {first!r} with its legal form"
    return found


def _require(unit: SqlUnitOfWork, entity_id: object) -> Entity:
    if not isinstance(entity_id, UUID):
        raise InvalidArgument(f"An entity is named by its UUID, not by {str(entity_id)[:60]!r}.")
    entity = unit.graph.entity(entity_id)
    if entity is None:
        raise InvalidArgument(f"There is no entity {entity_id}; nothing was changed.")
    return entity


def _decide(unit: SqlUnitOfWork, entity_id: UUID, into_id: UUID, verdict: str, change: Change) -> None:
    known = unit.graph.merge_row(entity_id, into_id)
    if known is not None:
        known.verdict = verdict
        unit.graph.save(known)
        return
    made = EntityMerge(
        user_id=unit.user_id,
        id=uuid5(entity_id, f"merge:{into_id}"),
        change_set_id=unit.change_set_id,
        origin=(Origin.USER if change.actor is Actor.USER else Origin.ASSISTANT).value,
        entity_id=entity_id,
        into_id=into_id,
        verdict=verdict,
    )
    unit.graph.add([made])
