"""The demo from end to end: import, converse, run jobs, restart, and check that all is remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from mira_ltmemory.cli.common import bars
from mira_ltmemory.cli.import_files import describe
from mira_ltmemory.config import load_config
from mira_ltmemory.demo.checks import Checks, tables_holding
from mira_ltmemory.demo.model import Endpoint, choose_model
from mira_ltmemory.demo.own import Topic, own_turns, pick_topics
from mira_ltmemory.demo.screen import Screen
from mira_ltmemory.demo.script import (
    SAMPLE_INJECTION,
    SAMPLE_SECRETS,
    SAMPLE_ZONE,
    Turn,
    remembering_turn,
    sample_turns,
)
from mira_ltmemory.demo.session import Exchange, Place, Session
from mira_ltmemory.errors import ImportFileError
from mira_ltmemory.hosts.importers import ImportSummary, import_conversations
from mira_ltmemory.protocols import IncomingMessage
from mira_ltmemory.store.embedded import default_data_dir

SAMPLE = Path(__file__).parent / "sample"
_REMEMBERED = 5


def default_demo_dir() -> Path:
    """Say where the demo keeps its data: beside the real memory's, never in it."""
    real = default_data_dir().parent
    return real.with_name(f"{real.name}-demo")


def run_demo(console: Console, *, conversations: Path | None = None, data_dir: Path | None = None) -> bool:
    """Run the demo and return whether every claim that it makes at its end holds. Raises ``LtMemoryError``."""
    settings = load_config()
    own = conversations is not None
    if conversations is not None and not conversations.expanduser().exists():
        raise ImportFileError(f"{conversations} does not exist: name a file or a directory of conversations.")
    place = Place(
        root=(data_dir or default_demo_dir()).expanduser().resolve(),
        user_name="demo-own-conversations" if own else "demo",
        zone=settings.timezone if own else SAMPLE_ZONE,
    )
    paths = [conversations.expanduser()] if conversations is not None else sorted(SAMPLE.glob("conversation_*.json"))
    place.host.mkdir(parents=True, exist_ok=True)
    endpoint = choose_model(settings)
    try:
        with _log_to(place.log):
            return _Demo(Screen(console), place, endpoint, paths, sample=not own).run()
    finally:
        endpoint.close()


class _Demo:
    """One run of the demo."""

    def __init__(
        self, screen: Screen, place: Place, endpoint: Endpoint, paths: Sequence[Path], *, sample: bool
    ) -> None:
        self._screen = screen
        self._place = place
        self._endpoint = endpoint
        self._paths = list(paths)
        self._sample = sample
        self._checks = Checks()
        self._topics: list[Topic] = []
        self._said: list[str] = []
        self._soft = endpoint.scripted is None

    def run(self) -> bool:
        began = time.monotonic()
        self._screen.heading("1  Start: embedded Postgres, the host, the plugin through its entry point")
        session = self._open()
        try:
            self._import(session)
            self._converse(session)
            self._show_prompt(session)
            self._run_jobs(session)
            saved = session.save()
            kept = {block.label: (block.content, block.version) for block in session.memory.blocks.all()}
            passages = session.memory.archival.count()
        finally:
            session.close()
        self._screen.heading("6  Restart: everything was shut down, and starts again from its directory")
        session = self._open()
        try:
            self._check_memory(session, kept, passages)
            self._check_imports(session, saved)
            self._check_data(session)
            self._remember(session)
        finally:
            session.close()
        self._summarise(time.monotonic() - began)
        return self._checks.passed

    def _open(self) -> Session:
        began = time.monotonic()
        session = Session(self._place, self._endpoint)
        status = session.memory.status.read()
        self._screen.pairs(
            [
                ("data", session.memory.database.where),
                ("host's files", str(self._place.host)),
                ("model", str(self._endpoint)),
                ("user", f"{self._place.user_name} ({self._place.zone})"),
                ("memory", f"{status.messages} messages, {status.passages} passages"),
                ("plugins", ", ".join(name for name, _ in session.installation.plugins.manager.list_name_plugin())),
                ("ready after", f"{time.monotonic() - began:.1f} s"),
            ]
        )
        for subject, problem in status.problems.items():
            self._screen.say(f"degraded - {subject}: {problem}", "yellow")
        return session

    def _import(self, session: Session) -> None:
        self._screen.heading("2  Import, and embedding of what is new")
        gathered: list[IncomingMessage] = []

        def store(messages: Sequence[IncomingMessage], source: str) -> list[IncomingMessage]:
            gathered.extend(messages)
            return session.memory.import_messages(messages, source)

        with bars(self._screen.console) as progress:
            zone = session.memory.settings.zone
            summary = import_conversations(self._paths, store, zone=zone, progress=progress)
            embedded = session.memory.process_pending(progress)
        self._screen.say(describe(summary, embedded))
        self._tell_problems(summary)
        if not gathered:
            raise ImportFileError(f"There is no message in {', '.join(map(str, self._paths))}; nothing can be shown.")
        self._topics = pick_topics(gathered)
        status = session.memory.status.read()
        self._checks.add("all conversations are imported", summary.read > 0 and not summary.errors, describe(summary))
        self._checks.add(
            "every text has its vector", status.pending == 0, f"{status.messages} messages, {status.pending} waiting"
        )

    def _tell_problems(self, summary: ImportSummary) -> None:
        for problem in summary.problems[:20]:
            self._screen.say(
                f"{'note' if problem.remark else 'problem'}: {problem}", "dim" if problem.remark else "red"
            )
        if len(summary.problems) > 20:
            self._screen.say(f"and {len(summary.problems) - 20} more", "dim")

    def _converse(self, session: Session) -> None:
        self._screen.heading("3  A conversation: the model reads and writes its memory")
        blocks = session.blocks()
        turns = sample_turns(blocks) if self._sample else own_turns(self._topics, blocks)
        for number, turn in enumerate(turns, 1):
            self._turn(session, number, turn)
            self._said.append(turn.user)

    def _turn(self, session: Session, number: int, turn: Turn) -> None:
        self._screen.user(number, turn.shows, turn.user)
        self._endpoint.expect(turn.steps)
        exchange = session.say(turn.user)
        for use in exchange.tools:
            self._screen.tool(use)
        self._screen.assistant(exchange.answer)
        if exchange.error:
            self._screen.say(f"The model gave no answer: {exchange.error}", "red")
        # A real model may do it its own way; one that cannot be reached is a failure.
        soft = self._soft and exchange.error is None
        as_told = did_as_told(turn, exchange)
        self._checks.add(f"turn {number}: the model {turn.shows}", as_told, exchange.error or "", soft=soft)

    def _show_prompt(self, session: Session) -> None:
        self._screen.heading("4  The system prompt: exactly what the model is given by the memory")
        parts = session.prompt_parts()
        self._screen.prompt(parts)
        scripted = self._endpoint.scripted
        if scripted is not None and scripted.requests:
            given = scripted.requests[-1].system
            held = len(parts) > 0 and all(part in given for part in parts)
            self._checks.add("the model was given exactly that part of the prompt", held)
            self._checks.add(
                "the model's server refused no request", not scripted.refusals, "; ".join(scripted.refusals)
            )

    def _run_jobs(self, session: Session) -> None:
        self._screen.heading("5  Automations: due now, run by the host's engine")
        outcomes = session.run_jobs()
        jobs = session.memory.status.jobs()
        self._screen.jobs(jobs, outcomes, session.memory.settings.zone)
        ran = len(outcomes) == len(jobs) > 0 and not any(text.startswith("failed") for text in outcomes.values())
        self._checks.add("the host's engine ran every job that was due", ran, ", ".join(sorted(outcomes)))
        now = session.memory.clock.now()
        armed = all(job.next_run_at is not None and job.next_run_at > now for job in jobs)
        self._checks.add("every job is armed again by its cron expression", armed)
        pending = session.memory.status.read().pending
        self._checks.add("what was said is found by meaning after the job", pending == 0, f"{pending} waiting")

    def _check_memory(self, session: Session, kept: dict[str, tuple[str, int]], passages: int) -> None:
        blocks = {block.label: (block.content, block.version) for block in session.memory.blocks.all()}
        self._checks.add("core memory is the same after the restart, to the version", blocks == kept)
        edited = any(content for content, _ in blocks.values())
        self._checks.add("core memory holds what the conversation put there", edited, soft=self._soft)
        count = session.memory.archival.count()
        self._checks.add("archival memory is the same", count == passages, f"{count} passages")
        found = [text for text in self._said if _is_found(session, text)]
        detail = f"{len(found)} of {len(self._said)}"
        self._checks.add("every sentence of the conversation is found again", len(found) == len(self._said), detail)

    def _check_imports(self, session: Session, saved: Path) -> None:
        """Import again what is there: the files, and the host's own file of the conversation that was live."""
        zone = session.memory.settings.zone
        again = import_conversations(self._paths, session.memory.import_messages, zone=zone)
        self._checks.add("importing the same files again adds nothing", again.new == 0, f"{again.known} known")
        live = import_conversations([saved], session.memory.import_messages, zone=zone)
        detail = f"{live.known} known, {live.recalled} of memory shown again"
        self._checks.add(
            "importing the saved file of the live conversation adds nothing", live.new == 0 and live.read > 0, detail
        )

    def _check_data(self, session: Session) -> None:
        if not self._sample:
            return
        found = tables_holding(session.memory.store, SAMPLE_SECRETS)
        where = ", ".join(sorted({table for tables in found.values() for table in tables}))
        self._checks.add(
            "no secret of the sample stands in any table", not found, where or "key, password, card number"
        )
        untouched = not any(SAMPLE_INJECTION in content for content in session.blocks().values())
        stored = session.memory.recall.search(SAMPLE_INJECTION, None, 5)
        kept = any(SAMPLE_INJECTION in hit.content for hit in stored.hits)
        detail = "kept as data, obeyed by nobody" if kept else ""
        self._checks.add("a page that posed as the system changed nothing", untouched, detail, soft=self._soft)

    def _remember(self, session: Session) -> None:
        question, fact = "Hello, it's me again. Which tea do I drink?", "hōjicha"
        if not self._sample:
            question, fact = "Hello, it's me again. What did I look up last?", "Last looked up"
        if not any(fact in content for content in session.blocks().values()) and not self._soft:
            return
        shows = "answers after the restart from what it noted before, without a tool"
        self._turn(session, len(self._said) + 1, remembering_turn(shows, fact, question))
        session.settle()

    def _summarise(self, seconds: float) -> None:
        self._screen.heading("7  What was shown")
        self._screen.checks(self._checks.made)
        self._screen.say("")
        self._screen.pairs(
            [
                ("data", str(self._place.database)),
                ("log", str(self._place.log)),
                ("look", f"mira-ltmemory --user {self._place.user_name} --data-dir {self._place.database} status"),
                ("time", f"{seconds:.1f} s"),
            ]
        )
        self._screen.verdict(self._checks.made)


def did_as_told(turn: Turn, exchange: Exchange) -> bool:
    """Whether the model used its tools, and answered, as the turn wants it."""
    good = {use.name for use in exchange.tools if use.success}
    refused = {use.name for use in exchange.tools if not use.success}
    used = good >= set(turn.tools) and refused >= set(turn.refused) and not (turn.quiet and exchange.tools)
    return used and exchange.error is None and turn.expects.lower() in exchange.answer.lower()


def _is_found(session: Session, text: str) -> bool:
    """Whether a search for a sentence finds the message that holds it."""
    found = session.memory.recall.search(text[:500], None, _REMEMBERED)
    return any(text[:100] in hit.content for hit in found.hits)


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Keep the log off the screen, in a file that grows."""
    root = logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
