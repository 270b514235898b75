"""What the graph's readers share: families of entities that are the same, and how rows are shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from uuid import UUID

from mira_ltmemory.services.graph.views import EntityBrief, MentionView, RelationView
from mira_ltmemory.store.graph import Named
from mira_ltmemory.store.graph_reads import MentionDetails, RelationDetails
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

_NEAR_NAMES = 5
_NAMES_READ = 5_000
_EXCERPT_CHARS = 200


def families_of(unit: SqlUnitOfWork, ids: Iterable[UUID], moment: int | None) -> dict[UUID, list[UUID]]:
    """Entities taken together with all that are the same, by the one that stands for them."""
    families: dict[UUID, list[UUID]] = {}
    wanted = set(ids)
    if wanted:
        for members in unit.graph_reads.kin(wanted, moment=moment).values():
            families.setdefault(members[0], members)
    return families


def named_by_words(unit: SqlUnitOfWork, key: str, moment: int | None) -> list[Named]:
    """Entities of whose names every word of the key is one."""
    words = set(key.split(" "))
    found = unit.graph_reads.named([], words, moment=moment)
    return [each for each in found if words <= set(each.key.split(" "))]


def near_names(unit: SqlUnitOfWork, key: str, moment: int | None) -> tuple[str, ...]:
    """Names that are written almost like this, nearest first."""
    names = unit.graph_reads.keys(_NAMES_READ, moment=moment)
    return tuple(names[each] for each in difflib.get_close_matches(key, names, _NEAR_NAMES, cutoff=0.7))


def is_part_of(key: str, other: str) -> bool:
    """Whether all words of a name are among those of another, longer or equal one."""
    return set(key.split(" ")) <= set(other.split(" "))


def briefs_of(unit: SqlUnitOfWork, families: dict[UUID, list[UUID]], moment: int | None) -> list[EntityBrief]:
    """Families as they are listed, the most spoken of first."""
    members = [each for family in families.values() for each in family]
    if not members:
        return []
    details = unit.graph_reads.details(members, moment=moment)
    spoken = unit.graph_reads.spoken(members, moment=moment)
    briefs = []
    for root, family in families.items():
        if root not in details:
            continue
        counted = [spoken[each] for each in family if each in spoken]
        aliases = dict.fromkeys(alias for each in family if each in details for alias in details[each].aliases)
        briefs.append(
            EntityBrief(
                id=root,
                type=details[root].type,
                name=details[root].name,
                aliases=tuple(alias for alias in aliases if alias != details[root].name),
                mentions=sum(each.mentions for each in counted),
                first=min((each.first for each in counted), default=None),
                last=max((each.last for each in counted), default=None),
            )
        )
    return sorted(briefs, key=lambda brief: (-brief.mentions, brief.name, str(brief.id)))


def relation_view(row: RelationDetails, names: dict[UUID, str]) -> RelationView:
    """A relation with the names of its entities."""
    return RelationView(
        subject=names[row.subject_id],
        predicate=row.predicate,
        object=names[row.object_id],
        confidence=row.confidence,
        inferred=row.inferred,
        rule=row.rule,
        since=row.valid_from,
        until=row.valid_until,
        evidence=row.evidence,
    )


def mention_view(row: MentionDetails) -> MentionView:
    """A mention with what stands around it."""
    content = row.content or "(this text is not there any more)"
    start = max(0, row.start - _EXCERPT_CHARS // 2) if row.content else 0
    cut = " ".join(content[start : start + _EXCERPT_CHARS].split())
    return MentionView(
        excerpt=("..." if start else "") + cut + ("..." if start + _EXCERPT_CHARS < len(content) else ""),
        said_at=row.said_at,
        kind=row.source_kind,
        id=row.source_id,
        speaker=row.speaker or row.role,
        conversation=row.conversation,
    )
