"""Automations and executions in one SQLite file, so that they outlive the process."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mira_ltmemory.hosts.local.automation_model import (
    Automation,
    AutomationStatus,
    AutomationType,
    Execution,
    ExecutionMode,
    ExecutionStatus,
    TaskFrequency,
    TriggerType,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS automations (
    id TEXT PRIMARY KEY, type TEXT, status TEXT, frequency TEXT, user_id TEXT, next_execution_time TEXT,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS automation_executions (
    id TEXT PRIMARY KEY, automation_id TEXT NOT NULL, created_at TEXT, body TEXT NOT NULL);
"""
_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
_KEYS = ("id", "type", "status", "frequency", "user_id", "next_execution_time")
_JOB_ENUMS: dict[str, type[StrEnum]] = {
    "type": AutomationType,
    "status": AutomationStatus,
    "frequency": TaskFrequency,
    "execution_mode": ExecutionMode,
}
_RUN_ENUMS: dict[str, type[StrEnum]] = {"status": ExecutionStatus, "trigger_type": TriggerType}
_MOMENT_TYPES = {"datetime", "datetime | None"}


def stamp(moment: datetime | None) -> str | None:
    """Return the wall clock of a moment; its time zone is lost, as it is in MIRA's columns."""
    return moment.replace(tzinfo=None).strftime(_FORMAT) if moment is not None else None


def _pack(record: Automation | Execution) -> dict[str, Any]:
    data = asdict(record)
    for item in fields(record):
        if item.type in _MOMENT_TYPES:
            data[item.name] = stamp(data[item.name])
    return data


def _unpack(kind: type[Any], body: str, enums: dict[str, type[StrEnum]]) -> Any:
    data = json.loads(body)
    for item in fields(kind):
        value = data.get(item.name)
        if value is None:
            continue
        if item.type in _MOMENT_TYPES:
            data[item.name] = datetime.strptime(value, _FORMAT)
        elif item.name in enums:
            data[item.name] = enums[item.name](value)
    return kind(**data)


class AutomationStore:
    """Reads and writes, each in a connection of its own, so any thread may call."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as link, link:
            link.executescript(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        link = sqlite3.connect(self.path, timeout=10)
        link.execute("PRAGMA synchronous=OFF")  # rows outlive the process; a power cut is not this host's concern
        return link

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        with closing(self._connect()) as link, link:
            return link.execute(sql, values).rowcount

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with closing(self._connect()) as link:
            return link.execute(sql, values).fetchall()

    def add_job(self, job: Automation) -> None:
        """Insert; an id that is taken raises ``sqlite3.IntegrityError``."""
        self._write("INSERT INTO automations VALUES (?,?,?,?,?,?,?)", self._job_row(job))

    def save_job(self, job: Automation) -> None:
        """Overwrite an automation that exists."""
        row = self._job_row(job)
        sets = ", ".join(f"{key}=?" for key in (*_KEYS[1:], "body"))
        self._write(f"UPDATE automations SET {sets} WHERE id=?", (*row[1:], row[0]))  # noqa: S608 - the names are ours

    @staticmethod
    def _job_row(job: Automation) -> tuple[Any, ...]:
        data = _pack(job)
        return (*(data[key] for key in _KEYS), json.dumps(data))

    def get_job(self, job_id: str) -> Automation | None:
        """One automation, its moments naive."""
        rows = self._read("SELECT body FROM automations WHERE id=?", (job_id,))
        return self._job(rows[0][0]) if rows else None

    @staticmethod
    def _job(body: str) -> Automation:
        job: Automation = _unpack(Automation, body, _JOB_ENUMS)
        return job

    def delete_job(self, job_id: str) -> None:
        """Remove an automation with its executions."""
        self._write("DELETE FROM automation_executions WHERE automation_id=?", (job_id,))
        self._write("DELETE FROM automations WHERE id=?", (job_id,))

    def due(self, now: datetime) -> list[str]:
        """Ids of the active automations whose next time has come."""
        sql = (
            "SELECT id FROM automations WHERE status='active' AND next_execution_time<=? "
            "ORDER BY next_execution_time, id"
        )
        return [row[0] for row in self._read(sql, (stamp(now),))]

    def list_jobs(self, filters: dict[str, str | None], limit: int, offset: int) -> tuple[list[Automation], int]:
        """Return a page of automations by next time, and how many match in all."""
        wanted = {key: value for key, value in filters.items() if value}
        where = " AND ".join(f"{key}=?" for key in wanted) or "1"
        values = tuple(wanted.values())
        total = self._read(f"SELECT count(*) FROM automations WHERE {where}", values)[0][0]  # noqa: S608 - the names are ours
        sql = f"SELECT body FROM automations WHERE {where} ORDER BY next_execution_time, id LIMIT ? OFFSET ?"  # noqa: S608 - the names are ours
        return [self._job(row[0]) for row in self._read(sql, (*values, limit, offset))], total

    def save_run(self, run: Execution) -> None:
        """Insert or overwrite an execution; a result that JSON cannot hold raises ``TypeError``."""
        data = _pack(run)
        self._write(
            "INSERT INTO automation_executions VALUES (?,?,?,?) ON CONFLICT(id) DO UPDATE SET body=excluded.body",
            (run.id, run.automation_id, data["created_at"], json.dumps(data)),
        )

    def update(self, record: Automation | Execution) -> Automation | Execution:
        """Overwrite a record that is there, as MIRA's database does."""
        if isinstance(record, Execution):
            self.save_run(record)
        else:
            self.save_job(record)
        return record

    def get_run(self, run_id: str) -> Execution | None:
        """One execution."""
        rows = self._read("SELECT body FROM automation_executions WHERE id=?", (run_id,))
        return self._run(rows[0][0]) if rows else None

    @staticmethod
    def _run(body: str) -> Execution:
        run: Execution = _unpack(Execution, body, _RUN_ENUMS)
        return run

    def list_runs(self, job_id: str, limit: int, offset: int) -> tuple[list[Execution], int]:
        """Return a page of an automation's executions, newest first, and how many there are."""
        count = "SELECT count(*) FROM automation_executions WHERE automation_id=?"
        total = self._read(count, (job_id,))[0][0]
        sql = (
            "SELECT body FROM automation_executions WHERE automation_id=? "
            "ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?"
        )
        return [self._run(row[0]) for row in self._read(sql, (job_id, limit, offset))], total
