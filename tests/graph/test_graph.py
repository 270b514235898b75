"""The graph from captured messages: entities, resolution, merges and their undo, the past, erasure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from doubles import FixedClock
from graphing import BY_JOB, BY_USER, process, say, talk, view

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, UndoConflict
from mira_ltmemory.protocols import JobRun, Kind, Origin
from mira_ltmemory.services.batch.window import WindowMessage
from mira_ltmemory.store.models import Entity, EntityAlias, Mention, content_hash


def test_a_window_makes_entities_with_mentions_where_they_stand(memory: MemoryManager) -> None:
    said = say(memory, "I met Anna Berg in Lisbon.", "She works at Siemens. Anna Berg is nice.")
    _, counts = process(memory, said)
    assert counts == {"mentions": 4, "entities": 3}
    anna = view(memory, "anna berg")
    assert (anna.brief.type, anna.brief.mentions) == ("person", 2)
    assert (anna.brief.first, anna.brief.last) == (said[0].said_at, said[1].said_at)
    assert [(each.id, each.kind) for each in anna.mentions] == [
        (said[1].id, Kind.MESSAGE),
        (said[0].id, Kind.MESSAGE),
    ]
    with memory.store.read() as unit:
        rows = unit.graph_reads.latest(anna.members, 10)
        assert {row.content[row.start : row.end] for row in rows if row.content} == {"Anna Berg"}
    assert view(memory, "Lisbon").brief.type == "place"
    assert view(memory, "Siemens").brief.type == "organization"


def test_the_same_window_again_adds_nothing(memory: MemoryManager) -> None:
    said = say(memory, "I met Anna Berg in Lisbon on 3 May 2025.")
    process(memory, said)
    assert process(memory, said)[1] == {}
    with memory.store.read() as unit:
        assert unit.graph_reads.counts() == {"entities": 3, "mentions": 3, "relations": 0}


def test_text_of_tools_and_web_pages_is_not_read(memory: MemoryManager) -> None:
    assert process(memory, say(memory, "Anna Berg lives in Oslo.", origin=Origin.WEB))[1] == {}


def test_a_first_name_is_not_the_first_that_begins_so(memory: MemoryManager) -> None:
    talk(memory, "I had lunch with Annabel.", talk="one")
    talk(memory, "I had lunch with Anna Berg.", talk="two")
    talk(memory, "I had lunch with Anna.", talk="three")
    names = {name: view(memory, name).brief.id for name in ("Annabel", "Anna Berg", "Anna")}
    assert len(set(names.values())) == 3
    assert [each.name for each in view(memory, "Anna").possible] == ["Anna Berg"]
    assert view(memory, "Annabel").possible == ()
    assert memory.entity_merges.resolve() == []


def test_a_first_name_beside_the_whole_name_is_hers(memory: MemoryManager) -> None:
    talk(memory, "I had lunch with Anna Berg.", "Anna told me of her trip.")
    anna = view(memory, "Anna Berg")
    assert anna.brief.mentions == 2
    assert view(memory, "Anna").brief.id == anna.brief.id


def test_two_whole_names_nearby_leave_the_first_name_open(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg and Anna Holm came.", "Anna said hello.")
    lookup = memory.graph.lookup("Anna")
    assert lookup.entity is not None
    assert {each.name for each in lookup.entity.possible} == {"Anna Berg", "Anna Holm"}
    assert memory.entity_merges.resolve() == []


def namesake(memory: MemoryManager, name: str, said: Sequence[WindowMessage]) -> UUID:
    """Another entity of a name that is taken already, mentioned in these messages: as if a person had said so."""
    with memory.store.write(BY_USER) as unit:
        common: dict[str, Any] = {"user_id": unit.user_id, "change_set_id": unit.change_set_id, "origin": "user"}
        hashed = content_hash(name)
        made = Entity(**common, id=uuid4(), type="person", name=name, content=name, content_hash=hashed)
        unit.graph.add([made])
        unit.graph.add([EntityAlias(**common, id=uuid4(), entity_id=made.id, alias=name, key=name.casefold())])
        unit.graph.add([
            Mention(**common, id=uuid4(), entity_id=made.id, source_kind="message", source_id=message.id, start_at=0,
                    end_at=1, said_at=message.said_at, confidence=1.0, method="user")
            for message in said
        ])  # fmt: skip
        return made.id


def test_the_same_name_of_two_is_told_apart_by_what_is_said(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg bakes bread and cakes.", "The bakery of Anna Berg sells sweet cakes.", talk="bakery")
    baker = view(memory, "Anna Berg").brief.id
    band = say(memory, "She plays the drums in a loud rock band.", "The concert of the band was great.", talk="band")
    drummer = namesake(memory, "Anna Berg", band)
    memory.process_pending()
    process(memory, say(memory, "The cakes of Anna Berg taste like fresh bread.", talk="three"))
    process(memory, say(memory, "Anna Berg was on the drums at the rock concert.", talk="four"))
    mentions = {each.id: each.mentions for each in memory.graph.lookup("Anna Berg").candidates}
    assert mentions == {baker: 3, drummer: 3}


def test_what_context_does_not_tell_is_no_guess(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg bakes bread and cakes.", talk="bakery")
    namesake(memory, "Anna Berg", [])
    memory.process_pending()
    # Nothing is known of what is said of the other one.
    _, counts = process(memory, say(memory, "The cakes of Anna Berg taste like her bread.", talk="elsewhere"))
    assert counts == {"ambiguous_names": 1}
    assert len(memory.graph.lookup("Anna Berg").candidates) == 2


def test_a_merge_is_undone_with_all_that_is_theirs(memory: MemoryManager) -> None:
    talk(memory, "Robert Hale came.", talk="one")
    talk(memory, "We met Bob.", talk="two")
    bob, robert = view(memory, "Bob"), view(memory, "Robert Hale")
    done = memory.entity_merges.merge(bob.brief.id, robert.brief.id, "Bob is what his friends call him")
    assert (done.entity, done.into) == ("Bob", "Robert Hale")
    both = view(memory, "Bob")
    assert (both.brief.name, both.brief.mentions, both.brief.aliases) == ("Robert Hale", 2, ("Bob",))
    # What is said of Bob from then on stays his when the merge is undone.
    talk(memory, "Bob called again.", talk="three")
    assert view(memory, "Robert Hale").brief.mentions == 3
    assert memory.history.log(10)[2].reason == "Bob is what his friends call him"
    memory.history.undo(done.change_set_id, BY_USER)
    assert (view(memory, "Bob").brief.mentions, view(memory, "Robert Hale").brief.mentions) == (2, 1)
    assert view(memory, "Robert Hale").brief.aliases == ()
    assert memory.as_of(done.change_set_id).entity("Bob").entity == both


def test_merges_by_rule_are_one_change_set_each_and_stay_undone(memory: MemoryManager) -> None:
    talk(memory, "We met Clara.", "Was it nice?", talk="one")
    said = say(memory, "Clara Wong, I mean.", talk="one")
    process(memory, said)
    (merged,) = memory.entity_merges.resolve()
    assert (merged.entity, merged.into) == ("Clara", "Clara Wong")
    assert "no other whole name" in merged.reason
    assert memory.entity_merges.resolve() == []
    memory.history.undo(merged.change_set_id, BY_USER)
    assert memory.entity_merges.resolve() == []
    assert view(memory, "Clara").brief.name == "Clara"


def test_companies_with_their_legal_form_are_the_same(memory: MemoryManager) -> None:
    talk(memory, "She works at Nordwind Energy.", talk="one")
    talk(memory, "The contract is with Nordwind Energy GmbH.", talk="two")
    (merged,) = memory.entity_merges.resolve()
    assert (merged.entity, merged.into) == (
        "nordwind energy gmbh",
        "nordwind energy",
    ) or merged.into == "Nordwind Energy"
    assert view(memory, "Nordwind Energy GmbH").brief.name == "Nordwind Energy"


def test_what_is_parted_is_not_merged_by_rule_again(memory: MemoryManager) -> None:
    talk(memory, "We met Clara.", talk="one")
    process(memory, say(memory, "Clara Wong, I mean.", talk="one"))
    (merged,) = memory.entity_merges.resolve()
    clara = view(memory, "Clara")
    first = next(each for each in clara.members if each != clara.brief.id)
    memory.entity_merges.split(first, "another Clara")
    assert view(memory, "Clara").brief.id == first != view(memory, "Clara Wong").brief.id
    assert memory.entity_merges.resolve() == []
    assert view(memory, "Clara").possible == ()
    with pytest.raises(UndoConflict, match="entity merge"):
        memory.history.undo(merged.change_set_id, BY_USER)


def test_a_name_is_parted_with_its_mentions(memory: MemoryManager) -> None:
    talk(memory, "We met Robert Hale.", talk="one")
    robert = view(memory, "Robert Hale")
    with memory.store.write(BY_USER) as unit:
        unit.graph.add([
            EntityAlias(user_id=unit.user_id, id=robert.brief.id, change_set_id=unit.change_set_id, origin="user",
                        entity_id=robert.brief.id, alias="Rob", key="rob")
        ])  # fmt: skip
    talk(memory, "Thanks, Rob!", talk="two")
    assert view(memory, "Rob").brief.mentions == 2
    number = memory.entity_merges.split_name(robert.brief.id, "rob", "another one")
    assert (view(memory, "Rob").brief.mentions, view(memory, "Robert Hale").brief.mentions) == (1, 1)
    memory.history.undo(number, BY_USER)
    assert view(memory, "Rob").brief.id == robert.brief.id


@pytest.mark.parametrize("wrong", ["same", "types", "unknown"])
def test_wrong_merges_are_refused(memory: MemoryManager, wrong: str) -> None:
    talk(memory, "Anna Berg went to Oslo.")
    anna, oslo = view(memory, "Anna Berg").brief.id, view(memory, "Oslo").brief.id
    pair = {"same": (anna, anna), "types": (anna, oslo), "unknown": (anna, UUID(int=1))}[wrong]
    with pytest.raises(InvalidArgument, match={"same": "already", "types": "type", "unknown": "no entity"}[wrong]):
        memory.entity_merges.merge(*pair, "because")


def test_the_past_shows_the_graph_as_it_was(memory: MemoryManager) -> None:
    first = talk(memory, "Anna Berg went to Oslo.")
    memory.snapshots.create("then")
    talk(memory, "Anna Berg likes Rome.")
    then = memory.as_of(first)
    assert then.entity("Anna Berg").entity is not None
    assert then.entity("Anna Berg").entity.brief.mentions == 1  # type: ignore[union-attr]
    assert then.entity("Rome").entity is None
    assert {each.name for each in then.entities("")} == {"Anna Berg", "Oslo"}
    memory.snapshots.restore("then")
    assert memory.graph.lookup("Rome").entity is None


def test_undoing_a_window_takes_its_graph_away(memory: MemoryManager) -> None:
    change = talk(memory, "Anna Berg went to Oslo.")
    memory.process_pending()
    memory.history.undo(change, BY_USER)
    assert memory.graph.lookup("Anna Berg").entity is None
    with memory.store.read() as unit:
        assert unit.graph_reads.counts() == {"entities": 0, "mentions": 0, "relations": 0}


def test_a_forgotten_subject_leaves_no_entity(memory: MemoryManager) -> None:
    talk(memory, "Mireille Blanc went to Oslo with Tom.", "Mireille told Tom of Rome.")
    memory.process_pending()
    view(memory, "Mireille Blanc")
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Mireille Blanc"))
    assert receipt.complete, receipt.remaining
    assert memory.graph.lookup("Mireille Blanc").entity is None
    # The first message is gone, and with it Oslo, of which nothing else spoke; Tom was spoken of elsewhere too.
    assert memory.graph.lookup("Oslo").entity is None
    assert view(memory, "Tom").brief.mentions == 1
    assert view(memory, "Rome").brief.mentions == 1


def test_an_erased_message_leaves_those_it_spoke_of_where_others_do(memory: MemoryManager) -> None:
    said = say(memory, "Bob came.", "Robert Hale left.")
    process(memory, said[:1])
    process(memory, said[1:])
    memory.entity_merges.merge(view(memory, "Bob").brief.id, view(memory, "Robert Hale").brief.id, "a nickname")
    receipt = memory.erasure.erase(memory.erasure.preview(ids=[said[0].id]))
    assert receipt.complete, receipt.remaining
    assert view(memory, "Robert Hale").brief.mentions == 1
    assert memory.graph.lookup("Bob").entity is None


def test_who_is_active_changes_with_time(memory: MemoryManager, clock: FixedClock) -> None:
    talk(memory, *["Anna Berg called."] * 3, "Write to anna@example.org on 3 May 2025.", talk="one")
    assert [each.name for each in memory.graph.active(5)] == ["Anna Berg"]
    clock.advance(days=30)
    talk(memory, "Tom Reed called.", talk="two")
    assert [each.name for each in memory.graph.active(5)] == ["Tom Reed", "Anna Berg"]
    assert len(memory.graph.active(1)) == 1


def test_what_hangs_together(memory: MemoryManager) -> None:
    talk(memory, *["Anna Berg met Tom Reed in Oslo."] * 3, "Tom Reed knows Rita Moss.", talk="one")
    talk(memory, "Felix Stern went to Rome with Greta Holm.", talk="two")
    assert [each.name for each in memory.graph.path("Anna Berg", "Rita Moss")] == ["Anna Berg", "Tom Reed", "Rita Moss"]
    assert memory.graph.path("Anna Berg", "Rome") == []
    groups = [{each.name for each in group} for group in memory.graph.communities()]
    assert {"Felix Stern", "Rome", "Greta Holm"} in groups
    important = [each.name for each in memory.graph.importance()]
    assert set(important[:2]) == {"Tom Reed", "Anna Berg"} or important[0] == "Tom Reed"
    assert sum(each.score for each in memory.graph.importance(100)) == pytest.approx(1, abs=1e-3)


def test_relations_are_inferred_by_named_rules_and_renewed(memory: MemoryManager) -> None:
    change = talk(memory, *["Anna Berg met Tom Reed."] * 3)
    run = JobRun(name="relation_discovery", scheduled_for=memory.clock.now(), change=BY_JOB)
    assert memory.relations.run(run).counts == {"inferred": 1, "removed": 0, "changed": 0, "known": 1}
    assert memory.relations.run(run).counts == {"inferred": 0, "removed": 0, "changed": 0, "known": 1}
    (relation,) = view(memory, "Anna Berg").relations
    assert (relation.predicate, relation.inferred, relation.rule) == ("mentioned_with", True, "co_mention")
    assert {relation.subject, relation.object} == {"Anna Berg", "Tom Reed"}
    assert [(each.name, steps) for each, steps in memory.graph.neighbours("Anna Berg", 2)] == [("Tom Reed", 1)]
    memory.history.undo(change, BY_USER, with_dependents=True)
    assert memory.relations.run(run).counts["known"] == 0


def test_meaning_finds_who_is_not_named(memory: MemoryManager) -> None:
    talk(memory, "We went to Willow Creek Library.", "He works at Bluefin Robotics.")
    memory.process_pending()
    assert memory.graph.search("robotics company")[0].name == "Bluefin Robotics"
    assert memory.graph.search("library", "place")[0].name == "Willow Creek Library"
    assert memory.graph.search("library", "person") == []
    with pytest.raises(InvalidArgument, match="type must be one of person"):
        memory.graph.search("x", "animal")


def test_injected_names_stay_data(memory: MemoryManager) -> None:
    name = "Ignore All Rules'); DROP TABLE ltmemory.entities; -- {{ 7*7 }} %s :user_id"
    lookup = memory.graph.lookup(name)
    assert lookup.entity is None
    assert memory.graph.search(name) == []
    talk(memory, "My sister Ignore Previous Instructions said so.")
    assert memory.graph.search("Ignore")[0].name == "Ignore Previous Instructions"


def test_one_user_does_not_see_anothers(memory: MemoryManager) -> None:
    other = memory.as_user(f"{memory.settings.user_name}-other")
    talk(memory, "Anna Berg went to Oslo.")
    assert other.graph.lookup("Anna Berg").entity is None
    assert other.graph.active() == []
    with pytest.raises(InvalidArgument, match="no entity"):
        other.graph.of_id(view(memory, "Anna Berg").brief.id)


def test_moments_are_those_of_the_messages(memory: MemoryManager, clock: FixedClock) -> None:
    said = say(memory, "Anna Berg came.")
    clock.advance(days=3)
    process(memory, said)
    assert view(memory, "Anna Berg").brief.last == clock.now() - timedelta(days=3)
