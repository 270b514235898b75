"""Importance, communities and paths, held against a plain PageRank and by hand."""

from __future__ import annotations

from uuid import UUID

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.link_analysis.pagerank_alg import _pagerank_python

from mira_ltmemory.services.graph import analysis
from mira_ltmemory.services.graph.extract import EntityType
from mira_ltmemory.services.graph.resolve import Names, choose

A, B, C, D, E = (UUID(int=number) for number in range(1, 6))
nodes = st.sampled_from([A, B, C, D, E])
edges = st.lists(st.tuples(nodes, nodes, st.floats(0.1, 5)), max_size=10)


@given(edges, st.dictionaries(nodes, st.floats(0.1, 5), min_size=1))
def test_importance_is_personalised_pagerank(
    given_edges: list[tuple[UUID, UUID, float]], seeds: dict[UUID, float]
) -> None:
    graph = analysis.weighted(given_edges)
    reference = nx.Graph(graph)
    reference.add_nodes_from(seeds)
    expected = _pagerank_python(reference, analysis.DAMPING, seeds, max_iter=500, tol=1e-10)
    found = analysis.importance(graph, seeds)
    assert found == pytest.approx(expected, abs=1e-5)
    assert sum(found.values()) == pytest.approx(1)


def test_nothing_is_important_where_nothing_was_spoken_of() -> None:
    assert analysis.importance(analysis.weighted([(A, B, 1.0)]), {}) == {}
    assert analysis.importance(analysis.weighted([(A, B, 1.0)]), {A: 0.0}) == {}


def test_communities_and_paths() -> None:
    graph = analysis.weighted([(A, B, 1.0), (B, C, 1.0), (A, C, 1.0), (D, E, 1.0), (A, A, 9.0)])
    assert analysis.communities(graph) == [[A, B, C], [D, E]]
    assert analysis.path(graph, A, C) == [A, C]
    assert analysis.path(graph, A, E) == []
    assert analysis.path(graph, A, UUID(int=9)) == []


def names(*entities: tuple[UUID, str], nearby: tuple[UUID, ...] = ()) -> Names:
    known = Names()
    for each in nearby:
        known.note(each)
    for entity_id, name in entities:
        known.add(entity_id, "person", name, name.lower())
    return known


PERSON = EntityType.PERSON


def test_a_name_is_chosen_by_the_whole_name_by_what_is_nearby_and_by_context() -> None:
    two = names((A, "Anna Berg"), (B, "Anna Berg"))
    assert choose(names((A, "Anna")), "anna", PERSON).entity_id == A
    assert choose(names((A, "Anna")), "ann", PERSON).entity_id is None
    assert choose(names((A, "Anna")), "anna", EntityType.PLACE).entity_id is None
    assert choose(names((A, "Anna Berg")), "anna", PERSON).entity_id is None
    assert choose(names((A, "Anna Berg"), nearby=(A,)), "anna", PERSON).entity_id == A
    assert choose(names((A, "Anna Berg"), nearby=(A,)), "berg", PERSON).entity_id == A
    assert choose(names((A, "Anna Berg"), (B, "Anna Holm"), nearby=(A, B)), "anna", PERSON).entity_id is None
    assert choose(names((A, "Anna Berg"), (C, "Anna"), nearby=(A,)), "anna", PERSON).entity_id == A
    assert choose(names((A, "Anna Berg"), (C, "Anna")), "anna", PERSON).entity_id == C
    assert choose(names((A, "Anna Berg"), (B, "Anna Berg"), nearby=(A, B)), "anna berg", PERSON).entity_id == B
    assert choose(two, "anna berg", PERSON).ambiguous
    assert choose(two, "anna berg", PERSON, {A: 0.6, B: 0.3}).entity_id == A
    assert choose(two, "anna berg", PERSON, {A: 0.6, B: 0.58}).ambiguous
    assert choose(two, "anna berg", PERSON, {A: 0.2, B: 0.01}).ambiguous
    assert choose(two, "anna berg", PERSON, {A: 0.9}).ambiguous
