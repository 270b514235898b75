"""Holds the files of a wheel and an sdist against the tree: a checkout without symbolic links would lose rooms."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("hooks", "tools", "automations", "prompts", "onnx", "migrations")
SKIPPED = {"__pycache__"}


def files_of_the_tree() -> set[str]:
    """Every file that the package must hold, by its path inside ``mira_ltmemory``."""
    found = set()
    for folder in [ROOT / "mira_ltmemory", *(ROOT / room for room in ROOMS)]:
        prefix = "" if folder.name == "mira_ltmemory" else f"{folder.name}/"
        for path in folder.rglob("*"):
            relative = path.relative_to(folder)
            linked = folder.name == "mira_ltmemory" and relative.parts[0] in ROOMS
            if path.is_file() and not linked and not SKIPPED & set(relative.parts):
                found.add(prefix + relative.as_posix())
    return found


def files_of(archive: Path) -> set[str]:
    """Every file of a wheel or sdist, by the same paths."""
    if archive.suffix == ".whl":
        names = zipfile.ZipFile(archive).namelist()
        return {name.removeprefix("mira_ltmemory/") for name in names if name.startswith("mira_ltmemory/")}
    with tarfile.open(archive) as tar:
        names = [member.name.partition("/")[2] for member in tar.getmembers() if member.isfile()]
    inside = {name.removeprefix("mira_ltmemory/") for name in names if name.startswith("mira_ltmemory/")}
    return inside | {name for name in names if name.partition("/")[0] in ROOMS}


def main(archives: list[str]) -> int:
    """Print what is missing and return how many archives lack something."""
    wanted, bad = files_of_the_tree(), 0
    for archive in archives:
        missing = sorted(wanted - files_of(Path(archive)))
        bad += bool(missing)
        print(f"{Path(archive).name}: {len(wanted)} files of the tree", "are all there" if not missing else "")
        for name in missing:
            print(f"  missing: {name}")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
