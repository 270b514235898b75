"""Which change sets are in force: the journal replayed, undo by undo. Pure: nothing here speaks SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from mira_ltmemory.store.history import Entry


class Standing:
    """What is in force at the end of a journal (all of it, oldest first), and what each undo reversed."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self.erasures = frozenset(entry.id for entry in entries if entry.erased_by == entry.id)
        self._children: dict[int, list[int]] = {}
        self._joined: dict[int, list[int]] = {}
        for entry in entries:
            if entry.parent_id is not None:
                self._children.setdefault(entry.parent_id, []).append(entry.id)
                if entry.joined and entry.undoes is not None:
                    self._joined.setdefault(entry.parent_id, []).append(entry.undoes)
        self._on: dict[int, bool] = {}
        self._reversed: dict[int, list[int]] = {}
        for entry in entries:
            if entry.undoes is not None and not entry.joined:
                roots = [entry.undoes, *self._joined.get(entry.id, ())]
                self._reversed[entry.id] = self._reverse(self.family(roots, before=entry.id), self._on)
            self._on[entry.id] = True

    def entry(self, change_set: int) -> Entry:
        """A change set's place. Raises ``KeyError`` for one that is unknown."""
        return self._entries[change_set]

    def is_on(self, change_set: int) -> bool:
        """Whether a change set is in force; false for one that is unknown."""
        return self._on.get(change_set, False)

    def family(self, roots: Iterable[int], *, before: int | None = None) -> set[int]:
        """The change sets and everything below them, as far as it is older than ``before``."""
        found: set[int] = set()
        waiting = list(roots)
        while waiting:
            each = waiting.pop()
            if each not in found and (before is None or each < before):
                found.add(each)
                waiting += self._children.get(each, ())
        return found

    def left_of(self, change_sets: Collection[int]) -> list[int]:
        """Those of which no erasure took anything, newest first; of a run that is left whole, the run alone."""
        whole = {each for each in change_sets if self._untouched(each)}
        left = {each for each in whole if not self.ancestors(self._entries[each].parent_id) & whole}
        return sorted((each for each in left if not self._entries[each].joined), reverse=True)

    def _untouched(self, change_set: int) -> bool:
        return all(self._entries[each].erased_by is None for each in self.family([change_set]))

    def ancestors(self, change_set: int | None) -> set[int]:
        """A change set and the runs that it belongs to."""
        found: set[int] = set()
        while change_set is not None and change_set not in found:
            found.add(change_set)
            entry = self._entries.get(change_set)
            change_set = None if entry is None else entry.parent_id
        return found

    def without(self, family: Collection[int]) -> After:
        """What would be in force if all of a family were reversed now."""
        on = dict(self._on)
        turned = set(self._reverse(family, on))
        return After(frozenset(turned), on, self._reversed)

    def _reverse(self, family: Collection[int], on: dict[int, bool]) -> list[int]:
        """Turn off what is on, youngest first: an undo that goes brings back what it had reversed."""
        turned: list[int] = []
        for each in sorted(family, reverse=True):
            if on.get(each, False):
                self._switch(each, False, on)
                turned.append(each)
        return turned

    def _switch(self, change_set: int, state: bool, on: dict[int, bool]) -> None:
        waiting = [(change_set, state)]
        while waiting:
            each, wanted = waiting.pop()
            if on.get(each) == wanted:
                continue
            on[each] = wanted
            reversed_by = self._reversed.get(each, ())  # youngest first
            # The last of the list is popped first: to take an undo back, the oldest comes back first.
            again = [(other, not wanted) for other in reversed_by]
            waiting += again if not wanted else again[::-1]


class After:
    """A journal with a family reversed: ``turned`` is what that turns off."""

    def __init__(self, turned: frozenset[int], on: dict[int, bool], reversed_by: dict[int, list[int]]) -> None:
        self.turned = turned
        self._on = on
        self._reversed = reversed_by

    def blocking(self, events: Collection[int], first: int, family: Collection[int]) -> set[int]:
        """Which later events of a row stand in the way of bringing it back to before ``first``."""
        return {
            event
            for event in events
            if event > first
            and event not in family
            and self._on.get(event, False)
            and not self._is_neutral(event, events, first)
        }

    def _is_neutral(self, event: int, events: Collection[int], first: int) -> bool:
        """An undo of something later than ``first`` left the row as it was before that."""
        undone = set(self._reversed.get(event, ())) & set(events)
        return bool(undone) and min(undone) > first
