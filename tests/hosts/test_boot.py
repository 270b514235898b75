"""MIRA starts whatever is wrong, and its prompt says what is off and how to mend it: both hosts play the same."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root may mount a small disk")
SMALL_DISK = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"', "sh")
# An ordinary user who may read what this process may, and write only what is theirs.
READS = "+dac_read_search"
AS_NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps",
    READS,
    "--ambient-caps",
    READS,
)

Boot = Callable[..., dict[str, Any]]


FAULTS = {
    "no server": ({"LT_MEMORY_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, "LT_MEMORY_DATABASE_URL runs"),
    "no host of that name": ({"LT_MEMORY_DATABASE_URL": "postgresql://nobody@db.invalid/none"}, "db.invalid"),
    "another database": ({"LT_MEMORY_DATABASE_URL": "mysql://nobody@127.0.0.1/none"}, "must begin with postgresql://"),
    "no URL at all": ({"LT_MEMORY_DATABASE_URL": "the one on my machine"}, "Correct the setting"),
    "a setting that is none": ({"LT_MEMORY_DATABASE_ULR": "x"}, "did you mean 'LT_MEMORY_DATABASE_URL'?"),
    "no place for the data": ({"LT_MEMORY_DATA_DIR": "/proc/none/postgres"}, "give another directory"),
}


NO_MODEL = "no model"


@pytest.fixture(scope="module")
def boots(host: Boot, postgres_dir: Path) -> dict[str, Any]:
    """What came of each fault, one boot after the other in one process."""
    faults = {name: environment for name, (environment, _) in FAULTS.items()}
    faults[NO_MODEL] = {"LT_MEMORY_ONNX_MODEL_PATH": "/none.onnx", "LT_MEMORY_DATA_DIR": str(postgres_dir)}
    return host("boot", "scenario_boot", environment={"BOOT_FAULTS": json.dumps(faults)})


@pytest.mark.parametrize("fault", FAULTS)
def test_mira_starts_without_its_database(boots: dict[str, Any], fault: str) -> None:
    found, mend = boots[fault], FAULTS[fault][1]
    assert found["replies"] == ["Hello.", "Good."]
    assert "Degraded - " in found["status"] and " off: " in found["status"] and mend in found["status"]
    assert found["tools"] == [] and not found["edited"]


def test_mira_starts_without_the_model_and_remembers(boots: dict[str, Any]) -> None:
    found = boots[NO_MODEL]
    assert found["replies"] == ["Hello.", "Good."]
    assert "/none.onnx" in found["status"] and " off: " in found["status"]
    assert found["edited"] and "archival_memory_search" in found["tools"]


def test_files_may_not_grow(local: Boot, tmp_path: Path) -> None:
    """A limit on files is what a full disk is where nobody may mount one: the new cluster's log does not fit."""
    found = local(
        "boot",
        "scenario_boot",
        environment={"BOOT_FAULTS": json.dumps({"it": {"LT_MEMORY_DATA_DIR": str(tmp_path / "pg")}})},
        before=("sh", "-c", 'ulimit -f 8192 && exec "$@"', "sh"),
    )["it"]
    assert found["replies"] == ["Hello.", "Good."] and "Check space and permissions" in found["status"]


@as_root
def test_the_disk_is_full(host: Boot, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = host(
        "full_disk", "scenario_boot", data_dir=tmp_path, before=(*SMALL_DISK, "size=160m,mode=755", str(tmp_path))
    )
    assert "is full" in found["at_start"] and "then restart" in found["at_start"]
    assert "Degraded" not in found["mended"]
    assert "No space left on device" in found["while_running"]
    assert "Degraded" not in found["freed"]
    assert [text[:6] for text in found["stored"][-7:]] == [
        "Mended",
        *(f"Long {number}" for number in range(5)),
        "Freed",
    ]


@as_root
def test_the_home_is_read_only(host: Boot, tmp_path: Path) -> None:
    def own(folder: Path) -> None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 65534, 65534)

    home = tmp_path / "home"
    home.mkdir()
    unset = dict.fromkeys(("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), "")
    found = host(
        "boot",
        "scenario_boot",
        prepare=own,
        environment={"HOME": str(home), **unset, "BOOT_FAULTS": json.dumps({"it": {}})},
        before=(*SMALL_DISK, "ro,mode=755", str(home), *AS_NOBODY),
    )["it"]
    assert found["replies"] == ["Hello.", "Good."]
    assert "Read-only file system" in found["status"] and "give another directory" in found["status"]
