"""Changes of blocks as work: carried out now, or by another process after a person has confirmed them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Conflict, InvalidArgument, OverLimit, ReadOnly
from mira_ltmemory.protocols import Json, Origin
from mira_ltmemory.services import edits
from mira_ltmemory.services.block_history import find_block, version_text
from mira_ltmemory.services.block_rules import conflict, require_description, require_free, require_label
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

_MARK_ALLOWANCE = 100_000
"""Characters beyond the largest limit that an edit may come with: redaction can make a text shorter."""


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as readers see it. ``used`` and ``limit`` are in characters."""

    label: str
    description: str
    content: str
    limit: int
    version: int
    read_only: bool

    @property
    def used(self) -> int:
        """Characters in the block."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class BlockEdit:
    """What a change did: the block as it is now, or as it was where it was removed, and its text before.

    ``redacted`` names the kinds of secrets that were replaced on the way.
    """

    block: BlockView
    change_set_id: int
    redacted: tuple[str, ...] = ()
    before: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """A change that was asked for. ``texts`` are what it brings in; ``run`` carries it out or refuses.

    ``result`` tells what a text of the block would become; ``arguments`` are JSON from which `BlockWork.again` makes
    the same work.
    """

    operation: str
    label: str
    arguments: Json
    texts: tuple[str, ...]
    run: Callable[[SqlUnitOfWork], BlockEdit]
    result: Callable[[str], str] | None = None


class BlockWork:
    """Makes work of what is asked for. What is malformed is refused at once, what does not fit when it is run."""

    def __init__(self, settings: MemoryConfig, redactor: Redactor) -> None:
        self._settings = settings
        self._redactor = redactor

    def text(
        self,
        label: str,
        given: Sequence[edits.Edit],
        origin: Origin,
        expected_version: int | None,
        operation: str | None = None,
    ) -> Work:
        """Edits of the text, all of them or none. Raises ``RefusedEdit``."""
        clean: list[edits.Edit] = []
        kinds: list[str] = []
        for number, edit in enumerate(given, 1):
            with edits.numbered(number, len(given), edit.op):
                edit.check()
                self._refuse_hopeless(label, edit.new)
            text, redactions = self._redactor.redact(edit.new)
            clean.append(dataclasses.replace(edit, new=text))
            kinds += _kinds(redactions)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            # Once more as a whole: a secret may come in beside the words that make it one.
            text, more = self._redactor.redact(edits.apply_all(block.content, clean))
            return self._save(unit, block, text, origin, tuple(dict.fromkeys([*kinds, *_kinds(more)])))

        return Work(
            operation or given[0].op,
            label,
            {
                "edits": [edits.as_json(edit) for edit in clean],
                "origin": origin.value,
                "expected_version": expected_version,
            },
            tuple(edit.new for edit in clean),
            run,
            lambda text: edits.apply_all(text, clean),
        )

    def rollback(self, label: str, version: int, expected_version: int | None, wanted: str = "") -> Work:
        """A new version with the text of an earlier one, which is ``wanted``."""

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            text = version_text(unit, label, block.id, version)
            return self._save(unit, block, text.content, Origin(text.origin))

        arguments = {"version": version, "expected_version": expected_version}
        return Work("rollback", label, arguments, (wanted,), run)

    def create(self, label: str, content: str, description: str, limit: int | None, origin: Origin) -> Work:
        """One more block. Raises ``RefusedEdit``."""
        require_label(label)
        require_text("content", content, empty=True)
        require_description(description)
        allowed = self._settings.core_memory_new_block_limit if limit is None else limit
        if not 1 <= allowed <= 1_000_000:
            raise InvalidArgument(f"limit must be between 1 and 1,000,000 characters, not {allowed}.")
        self._refuse_hopeless(label, content, allowed)
        self._refuse_secret(label)
        text, redactions = self._redactor.redact(content)
        shown, more = self._redactor.redact(description)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            present = unit.blocks.all()
            require_free(present, label)
            if len(present) >= self._settings.core_memory_max_blocks:
                raise OverLimit(
                    f"There are {len(present)} blocks, of at most {self._settings.core_memory_max_blocks}; nothing was "
                    "changed. Put the text into one of them, or into archival memory."
                )
            edits.require_fit(label, text, allowed)
            key, number = unit.blocks.next_key(label)
            block = Block(
                user_id=unit.user_id,
                id=key,
                version=number,
                change_set_id=unit.change_set_id,
                origin=origin.value,
                label=label,
                description=shown,
                content=text,
                char_limit=allowed,
                read_only=False,
                position=1 + max((block.position for block in present), default=-1),
            )
            unit.blocks.add(block)
            return BlockEdit(view_of(block), unit.change_set_id, _kinds([*redactions, *more]))

        arguments = {"content": text, "description": shown, "limit": allowed, "origin": origin.value}
        return Work("create", label, arguments, (text, description), run)

    def delete(self, label: str, expected_version: int | None) -> Work:
        """A block less."""

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            self._refuse_configured(label, "deleted")
            view = view_of(block)
            unit.blocks.remove(block)
            return BlockEdit(view, unit.change_set_id, before=view.content)

        return Work("delete", label, {"expected_version": expected_version}, (), run)

    def rename(self, label: str, new_label: str, expected_version: int | None) -> Work:
        """Another label. Raises ``RefusedEdit``."""
        require_label(new_label)
        self._refuse_secret(new_label)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            self._refuse_configured(label, "renamed")
            require_free(unit.blocks.all(), new_label)
            block.label = new_label
            unit.blocks.save(block)
            return BlockEdit(view_of(block), unit.change_set_id, before=block.content)

        arguments = {"new_label": new_label, "expected_version": expected_version}
        return Work("rename", label, arguments, (), run)

    def again(self, operation: str, label: str, arguments: Mapping[str, Any]) -> Work:
        """The work that was held with these arguments. Raises ``RefusedEdit``."""
        given = dict(arguments)
        match operation:
            case "rollback":
                return self.rollback(label, **given)
            case "create":
                return self.create(label, **{**given, "origin": Origin(given["origin"])})
            case "delete":
                return self.delete(label, **given)
            case "rename":
                return self.rename(label, **given)
        parsed = [edits.parse(edit) for edit in given["edits"]]
        return self.text(label, parsed, Origin(given["origin"]), given["expected_version"], operation)

    def _writable(self, unit: SqlUnitOfWork, label: str, expected_version: int | None) -> Block:
        block = find_block(unit, label)
        if block.read_only or label in self._settings.core_memory_read_only:
            raise ReadOnly(
                f"Block {label!r} is read-only; nothing was changed. Only the setting core_memory_read_only says so."
            )
        if expected_version is not None and expected_version != block.version:
            raise Conflict(conflict(unit, block, expected_version))
        return block

    def _save(
        self, unit: SqlUnitOfWork, block: Block, text: str, origin: Origin, redacted: tuple[str, ...] = ()
    ) -> BlockEdit:
        before = block.content
        edits.require_fit(block.label, text, block.char_limit)
        if text == before:
            raise InvalidArgument(f"Block {block.label!r} holds exactly this text already; there is nothing to change.")
        block.content = text
        if block.label in self._settings.core_memory_blocks:
            # Kept above what is configured only for a text that is longer: the limit comes down with the text.
            block.char_limit = max(self._settings.core_memory_blocks[block.label], len(text))
        block.origin = origin.value
        unit.blocks.save(block)
        return BlockEdit(view_of(block), unit.change_set_id, redacted, before)

    def _refuse_configured(self, label: str, done: str) -> None:
        if label in self._settings.core_memory_blocks:
            raise InvalidArgument(
                f"Block {label!r} is in the setting core_memory_blocks, so it cannot be {done}; nothing was changed. "
                "Take it out of the settings first."
            )

    def _refuse_secret(self, label: str) -> None:
        if self._redactor.redact(label)[1]:
            raise InvalidArgument("The label holds what looks like a secret; nothing was changed. Take another label.")

    def _refuse_hopeless(self, label: str, given: str, limit: int = 0) -> None:
        """Refuse text that no block could hold before it is searched for secrets, which can shorten it."""
        configured = self._settings.core_memory_blocks
        largest = max([*configured.values(), self._settings.core_memory_new_block_limit, limit])
        if len(given) > largest + _MARK_ALLOWANCE:
            edits.require_fit(label, given, limit or configured.get(label, largest))


def _kinds(redactions: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(redaction.kind for redaction in redactions))


def view_of(block: Block) -> BlockView:
    """A block as readers see it."""
    return BlockView(
        label=block.label,
        description=block.description,
        content=block.content,
        limit=block.char_limit,
        version=block.version,
        read_only=block.read_only,
    )
