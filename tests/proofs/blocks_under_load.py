"""Many threads of several processes edit one block: every success is in its versions, every conflict was told.

Run: ``python tests/proofs/blocks_under_load.py [--seconds 30] [--processes 4] [--threads 32]``, or give the
file to pytest, which runs just that. It starts a Postgres of its own in a temporary folder and removes it. A
thread that gets no connection within 30 s is turned away with an error: that is counted, and nothing of it may
be in the block.

The last line is ``N passed, N failed``: one check for each edit that succeeded, for each conflict, and for
each statement about the whole.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mira_ltmemory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Conflict, NoMatch, OverLimit, StoreError
from mira_ltmemory.protocols import Actor, Change, SystemClock
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.store.database import Database, open_database
from mira_ltmemory.store.embedded import EmbeddedServer
from mira_ltmemory.store.unit_of_work import Store

LABEL = "load"
LIMIT = 4000
KEPT_LINES = 20
POOL = 22
CHANGE = Change(Actor.MODEL, "proof")
_TOLD = re.compile(
    r"is at version (\d+), not (\d+): it was changed since; .* It holds:\n(.*)\n(The changes|Its text)", re.S
)

Record = dict[str, Any]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def blocks_of(database: Database, user: str) -> BlockManager:
    # The processes' texts are no secrets; the detector would only cost time.
    config = MemoryConfig(core_memory_blocks={LABEL: LIMIT}, redact_secrets=False)
    return BlockManager(Store(database, uuid.UUID(user), SystemClock()), config, Redactor(enabled=False))


class Worker:
    """One thread: edits until the time is over, and writes down what each call answered."""

    def __init__(self, blocks: BlockManager, name: str) -> None:
        self.blocks = blocks
        self.name = name
        self.random = random.Random(name)
        self.records: list[Record] = []
        self.mine: list[str] = []

    def run(self, until: float) -> None:
        number = 0
        while time.monotonic() < until:
            number += 1
            try:
                self.step(f"<{self.name}.{number}>")
            except StoreError as error:  # no connection for 30 s, told while it looked for the present version
                self.records.append({"outcome": "turned away", "error": str(error), "token": f"<{self.name}.{number}>"})

    def step(self, token: str) -> None:
        chance = self.random.random()
        if chance < 0.45:
            self.attempt("append", token, lambda: self.blocks.append(LABEL, token, CHANGE))
        elif chance < 0.6 and self.mine:
            old = self.mine.pop()
            self.attempt("replace", token, lambda: self.blocks.replace(LABEL, old, token, CHANGE), old=old)
        elif chance < 0.9:
            version = self.blocks.get(LABEL).version
            call = lambda: self.blocks.append(LABEL, token, CHANGE, expected_version=version)  # noqa: E731
            self.attempt("append", token, call, expected=version)
        else:
            self.condense(token)

    def condense(self, token: str) -> None:
        seen = self.blocks.get(LABEL)
        text = "\n".join([*seen.content.split("\n")[-KEPT_LINES:], token])
        call = lambda: self.blocks.rethink(LABEL, text, CHANGE, expected_version=seen.version)  # noqa: E731
        self.attempt("rethink", token, call, expected=seen.version, text=digest(text))

    def attempt(self, operation: str, token: str, call: Callable[[], Any], **more: Any) -> None:
        record: Record = {"operation": operation, "token": token, **more}
        try:
            edit = call()
        except Conflict as conflict:
            record |= {"outcome": "conflict", "told": _read(str(conflict))}
        except OverLimit:
            self.records.append({**record, "outcome": "over limit"})
            self.condense(f"{token}c")
            return
        except NoMatch:
            record["outcome"] = "no match"
        except StoreError as error:
            record |= {"outcome": "turned away", "error": str(error)}
        except Exception as error:
            record |= {"outcome": "error", "error": repr(error)}
        else:
            record |= {"outcome": "done", "version": edit.block.version, "change_set": edit.change_set_id}
            self.mine = [*self.mine[-3:], token]
        self.records.append(record)


def _read(message: str) -> Record | None:
    found = _TOLD.search(message)
    if found is None:
        return None
    return {
        "present": int(found[1]),
        "expected": int(found[2]),
        "text": digest(found[3]),
        "diff": f"--- {LABEL} version {found[2]}\n+++ {LABEL} version {found[1]}\n" in message,
    }


def process(number: int, data_dir: str, user: str, threads: int, seconds: float, out: str, start: Any) -> None:
    database = open_database(None, data_dir=Path(data_dir), pool_size=POOL, max_overflow=0)
    blocks = blocks_of(database, user)
    workers = [Worker(blocks, f"p{number}t{thread}") for thread in range(threads)]
    start.wait()
    until = time.monotonic() + seconds
    running = [threading.Thread(target=worker.run, args=(until,)) for worker in workers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    database.close()
    Path(out).write_text(json.dumps([record for worker in workers for record in worker.records]), "utf-8")


def verify(blocks: BlockManager, store: Store, records: list[Record]) -> Iterator[tuple[bool, str]]:
    """Replay the journal of the block beside what the threads were told."""
    with store.read() as unit:
        block = unit.blocks.get(LABEL)
        assert block is not None
        numbers = unit.blocks.numbers(block.id)
        texts: Mapping[int, str] = {
            number: text.content for number, text in unit.blocks.texts(block.id, numbers).items()
        }
        made = {entry.version: entry.change_set_id for entry in unit.blocks.versions(block.id, len(numbers) + 1)}
    done = {record["version"]: record for record in records if record["outcome"] == "done"}
    successes = [record for record in records if record["outcome"] == "done"]
    yield numbers == list(range(1, len(numbers) + 1)), "versions count up from 1 without a gap"
    yield len(done) == len(successes), "no two successes were told the same version"
    yield sorted(done) == numbers[1:], "each version was made by exactly one success that was told"
    yield blocks.get(LABEL).content == texts[numbers[-1]], "the present text is that of the last version"
    yield all(len(text) <= LIMIT for text in texts.values()), "no version is over the limit"
    yield all(made[a] < made[a + 1] for a in numbers[:-1]), "change sets are in the order of the versions"
    errors = [record for record in records if record["outcome"] == "error"]
    yield not errors, f"no other error came ({len(errors)}: {errors[:1]})"
    for record in successes:
        yield _is_in(record, texts, made), f"a success is in the journal as told: {record}"
    everything = "\n".join(texts.values())
    stored = set(re.findall(r"<p\d+t\d+\.\d+>c?", everything))
    refused = [record for record in records if record["outcome"] != "done" and record["token"] in stored]
    yield not refused, f"nothing of what was refused is in any version ({len(refused)}: {refused[:1]})"
    for record in records:
        if record["outcome"] == "conflict":
            yield _was_told(record, texts), f"a conflict was told: {record}"


def _is_in(record: Record, texts: Mapping[int, str], made: Mapping[int, int]) -> bool:
    version, token = record["version"], record["token"]
    before, after = texts.get(version - 1), texts.get(version)
    if before is None or after is None or made[version] != record["change_set"]:
        return False
    if record.get("expected", version - 1) != version - 1:
        return False
    if record["operation"] == "append":
        return after == (f"{before}\n{token}" if before else token)
    if record["operation"] == "replace":
        return before.count(record["old"]) == 1 and after == before.replace(record["old"], token)
    return digest(after) == record["text"]


def _was_told(record: Record, texts: Mapping[int, str]) -> bool:
    told = record["told"]
    return (
        told is not None
        and told["expected"] == record["expected"] < told["present"]
        and told["text"] == digest(texts[told["present"]])
        and (told["diff"] or texts[told["present"]] == texts[told["expected"]])
    )


def test_many_threads_of_many_processes() -> None:
    # A script of its own: the processes it spawns import it by its file, which they could not by pytest's name for it.
    found = [str(Path(mira_ltmemory.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, __file__, "--seconds", "30", "--processes", "4", "--threads", "32"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))}, timeout=900)
    assert done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=32)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ltm-load-"))
    server = EmbeddedServer.start(folder / "pg")
    try:
        return prove(folder, given.seconds, given.processes, given.threads)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def prove(folder: Path, seconds: float, processes: int, threads: int) -> int:
    database = open_database(None, data_dir=folder / "pg", pool_size=2, max_overflow=0)
    user = str(uuid.uuid4())
    blocks = blocks_of(database, user)
    blocks.ensure()
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes)
    outs = [str(folder / f"records{number}.json") for number in range(processes)]
    running = [
        context.Process(target=process, args=(number, str(folder / "pg"), user, threads, seconds, out, start))
        for number, out in enumerate(outs)
    ]
    for one in running:
        one.start()
    for one in running:
        one.join()
    failed = [f"process {number} ended with {one.exitcode}" for number, one in enumerate(running) if one.exitcode]
    records: list[Record] = [
        record for out in outs if Path(out).exists() for record in json.loads(Path(out).read_text())
    ]
    outcomes = Counter(record["outcome"] for record in records)
    print(f"{processes} processes of {threads} threads for {seconds:g} s: {len(records):,} calls")
    print(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common()))
    passed = 0
    for holds, statement in verify(blocks, Store(database, uuid.UUID(user), SystemClock()), records):
        passed += holds
        if not holds:
            failed.append(statement)
    database.close()
    for statement in failed[:10]:
        print(f"FAILED {statement[:500]}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
