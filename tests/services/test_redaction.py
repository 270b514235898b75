"""Secrets are replaced by typed marks, and nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redaction_cases import KNOWN_MISSES, NOT_SECRETS, PASSWORD, SECRETS, SHAPED, Case

from mira_ltmemory.services.redaction import Redaction, Redactor

REDACTOR = Redactor()
# Characters of any plane, with lone surrogates and NULs.
ANY_TEXT = st.text(st.characters(), max_size=200)
PIECES = st.lists(
    st.sampled_from([case.text for case in SECRETS] + NOT_SECRETS)
    | st.sampled_from(
        [
            "password",
            " is ",
            ": ",
            "=",
            '"',
            "'",
            "\n",
            " ",
            "密码",
            "my PIN is ",
            "4821",
            "cvv ",
            "[redacted: ",
            "]",
            "key",
        ]
    )
    | st.text(max_size=12),
    max_size=8,
).map("".join)


def rebuilt(text: str, redactions: Sequence[Redaction]) -> str:
    pieces, end = [], 0
    for redaction in redactions:
        assert end <= redaction.start < redaction.end <= len(text)
        pieces += [text[end : redaction.start], f"[redacted: {redaction.kind}]"]
        end = redaction.end
    return "".join([*pieces, text[end:]])


def test_the_list_is_long_enough() -> None:
    assert len({case.secret for case in SECRETS}) >= 220
    assert len(set(NOT_SECRETS)) >= 120


@pytest.mark.parametrize("case", SECRETS, ids=range(len(SECRETS)))
def test_secret_is_replaced_by_its_mark_and_nothing_else_is(case: Case) -> None:
    redacted, redactions = REDACTOR.redact(case.text)

    if case.secret in KNOWN_MISSES:
        assert case.secret in redacted, "found by now: strike it off KNOWN_MISSES"
        return
    assert redacted == case.expected
    assert [(r.kind, case.text[r.start : r.end]) for r in redactions] == [(case.kind, case.secret)]


def test_miss_rate(record_property: pytest.FixtureRequest) -> None:
    missed = [case for case in SECRETS if case.secret in REDACTOR.redact(case.text)[0]]

    record_property("secrets", len(SECRETS))  # type: ignore[operator]
    record_property("missed", len(missed))  # type: ignore[operator]
    print(f"{len(missed)} of {len(SECRETS)} secrets missed ({100 * len(missed) / len(SECRETS):.2f} %)")
    assert {case.secret for case in missed} == KNOWN_MISSES


@pytest.mark.parametrize("text", NOT_SECRETS)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert REDACTOR.redact(text) == (text, ())


def test_offsets_point_into_the_original_text() -> None:
    text = "密码：Maque!77, my PIN is 4821"

    redacted, redactions = REDACTOR.redact(text)

    assert redacted == "密码：[redacted: password], my PIN is [redacted: pin]"
    assert redactions == (Redaction("password", 3, 11), Redaction("pin", 23, 27))


def test_switched_off_it_changes_nothing() -> None:
    text = SECRETS[0].text

    assert Redactor(enabled=False).redact(text) == (text, ())


@pytest.mark.parametrize("entry", ["Drossel-41-Kiefer", r"re:Drossel-\d+-\w+"])
def test_allowed_secret_is_kept(entry: str) -> None:
    text = "my password is Drossel-41-Kiefer"

    assert Redactor(allow=[entry]).redact(text) == (text, ())
    assert Redactor(allow=["Drossel", "re:Drossel"]).redact(text)[0] == f"my password is [redacted: {PASSWORD}]"


def test_pattern_that_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(ValueError, match="allow-list"):
        Redactor(allow=["re:("])


def test_importing_the_module_compiles_no_pattern_and_loads_no_network_module() -> None:
    code = (
        "import sys, mira_ltmemory.services.redaction as r; heavy = 'mira_ltmemory.services.redaction.detectors';"
        "assert heavy not in sys.modules; r.Redactor().redact('my PIN is 4821'); assert heavy in sys.modules;"
        "assert not {'socket', 'ssl', 'subprocess', 'requests', 'detect_secrets'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "piece",
    ["a", "1 ", "4111 1111 1111 1111 ", "eyJ", "eyJaaaaaaaa.", "password is ",
     "my password for a b c ", "key=",
     "密码是",
     "://a:",
     "-----BEGIN PRIVATE KEY-----\n", "WIFI:P:", "seed phrase: ribbon velvet ",
     "alarm code for ", '\\"', "password='a b ", "İ", "\ud800\x00",
     "12345678:", "[redacted: ", "Bearer "],
)  # fmt: skip
def test_long_repetitions_are_redacted_in_linear_time(piece: str) -> None:
    # Anything worse than linear would take minutes here and run into the time limit of the test run.
    text = (piece * (300_000 // len(piece) + 1))[:300_000]

    redacted, redactions = REDACTOR.redact(text)

    assert redacted == rebuilt(text, redactions)


def test_secret_at_the_end_of_a_long_text_is_found() -> None:
    text = "We walked to the lake and back. " * 40_000 + "my wifi password is Drossel-41-Kiefer"

    assert REDACTOR.redact(text)[0].endswith("my wifi password is [redacted: password]")


@given(ANY_TEXT | PIECES)
@settings(deadline=None)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once, _ = REDACTOR.redact(text)

    assert REDACTOR.redact(once) == (once, ())


@given(ANY_TEXT | PIECES)
@settings(deadline=None)
def test_text_outside_the_redactions_is_unchanged(text: str) -> None:
    redacted, redactions = REDACTOR.redact(text)

    assert redacted == rebuilt(text, redactions)


@given(
    ANY_TEXT,
    st.sampled_from(SHAPED),
    st.sampled_from([" ", "\n", '"', "是", "：", "を", "(", "\x00", "\ud800"]),
    ANY_TEXT,
)
@settings(deadline=None)
def test_planted_key_is_always_redacted(before: str, planted: tuple[str, str], edge: str, after: str) -> None:
    kind, secret = planted

    redacted, redactions = REDACTOR.redact(before + edge + secret + edge + after)

    assert secret not in redacted
    assert kind in {redaction.kind for redaction in redactions}


def test_what_detect_secrets_finds_is_redacted_too() -> None:
    pytest.importorskip("detect_secrets", reason="the comparison needs detect-secrets or its fork bc-detect-secrets")
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    plugins = [
        plugin()
        for plugin in get_mapping_from_secret_type_to_class().values()
        if issubclass(plugin, RegexBasedDetector) and plugin.__name__ != "IPPublicDetector"
    ]
    compared = 0
    for case in SECRETS:
        redacted, _ = REDACTOR.redact(case.text)
        for plugin in plugins:
            for found in filter(None, plugin.analyze_string(case.text)):
                compared += 1
                assert found not in redacted or "PRIVATE KEY" in found, (plugin.secret_type, case.text)
    assert compared > 0
