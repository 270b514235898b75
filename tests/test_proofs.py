"""`make proofs` gives each file of tests/proofs to pytest: each has to hold a test, or it would prove nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_each_proof_holds_a_test() -> None:
    proofs = sorted((ROOT / "tests" / "proofs").glob("*.py"))
    assert proofs
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, proofs)]
    done = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert [path for path in proofs if path.relative_to(ROOT).as_posix() not in found] == []


def test_each_proof_is_named_in_the_document() -> None:
    text = (ROOT / "docs" / "proofs.md").read_text("utf-8")
    proofs = sorted(path.name for path in (ROOT / "tests" / "proofs").glob("*.py"))
    assert [name for name in proofs if f"](../tests/proofs/{name})" not in text] == []
