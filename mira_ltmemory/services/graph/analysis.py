"""Importance, communities and paths in the graph: networkx over the user's edges, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    import networkx as nx

DAMPING = 0.85


def weighted(edges: Iterable[tuple[UUID, UUID, float]]) -> nx.Graph[UUID]:
    """An undirected graph; the weights of edges between the same two add up."""
    import networkx as nx  # here: it takes its time, and few need it

    graph: nx.Graph[UUID] = nx.Graph()
    for a, b, weight in edges:
        if a != b and weight > 0:
            before = graph.get_edge_data(a, b, {"weight": 0.0})["weight"]
            graph.add_edge(a, b, weight=before + weight)
    return graph


def importance(graph: nx.Graph[UUID], seeds: Mapping[UUID, float]) -> dict[UUID, float]:
    """Personalised PageRank: how often a walk that begins at the ``seeds`` (by their weight) comes by. Sums to 1."""
    import networkx as nx

    begun = {node: weight for node, weight in seeds.items() if weight > 0}
    if not begun:
        return {}
    whole: nx.Graph[UUID] = nx.Graph(graph)
    whole.add_nodes_from(begun)
    found: dict[UUID, float] = nx.pagerank(whole, DAMPING, personalization=begun, max_iter=500, tol=1e-9)
    return found


def communities(graph: nx.Graph[UUID]) -> list[list[UUID]]:
    """Entities that hang together more than with others, largest first. The same graph gives the same communities."""
    import networkx as nx

    ordered: nx.Graph[UUID] = nx.Graph()
    ordered.add_nodes_from(sorted(graph))
    ordered.add_edges_from(sorted(((min(a, b), max(a, b), data) for a, b, data in graph.edges(data=True)), key=_ends))
    if not ordered.number_of_edges():
        return []
    found = nx.community.louvain_communities(ordered, weight="weight", seed=0)
    return sorted((sorted(each) for each in found if len(each) > 1), key=lambda each: (-len(each), each))


def path(graph: nx.Graph[UUID], start: UUID, end: UUID) -> Sequence[UUID]:
    """The shortest way from one entity to another, both included; empty where there is none."""
    import networkx as nx

    try:
        found: list[UUID] = nx.shortest_path(graph, start, end)
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return []
    return found


def _ends(edge: tuple[UUID, UUID, object]) -> tuple[UUID, UUID]:
    return edge[0], edge[1]
