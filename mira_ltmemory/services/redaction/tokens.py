r"""Keys and tokens whose issuer gives them a shape of their own, and passwords inside URLs.

The shapes are those that the issuers publish. Boundaries are tested against ASCII only: `\b` sees no edge
between a Chinese or Japanese character and a Latin letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from mira_ltmemory.services.redaction.findings import ACCESS_TOKEN, API_KEY, PASSWORD, PRIVATE_KEY, Finding
from mira_ltmemory.services.redaction.values import is_blank, is_template, looks_random


class _Shape(NamedTuple):
    kind: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    random: bool


_EDGE: Final = r"(?<![A-Za-z0-9])"
_END: Final = r"(?![A-Za-z0-9])"


def _shape(kind: str, needles: str, pattern: str, *, random: bool = False) -> _Shape:
    # `random` asks for letters and digits mixed, where the prefix alone says too little.
    return _Shape(kind, tuple(needles.split()), re.compile(pattern), random)


# A run without a right edge takes everything that can belong to the key, so that no tail of it is left behind.
_SHAPES: Final = (
    _shape(API_KEY, "sk-", _EDGE + r"sk-[A-Za-z0-9_-]{20,}", random=True),
    _shape(API_KEY, "sk-ant- sk-proj- sk-svcacct- sk-or-", r"sk-(?:ant|proj|svcacct|or)-[A-Za-z0-9_-]{16,}"),
    _shape(API_KEY, "AIza", r"AIza[A-Za-z0-9_-]{35,}"),
    _shape(API_KEY, "AKIA ASIA ABIA ACCA A3T", _EDGE + r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}" + _END),
    _shape(API_KEY, "_live_ _test_", _EDGE + r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    _shape(API_KEY, "whsec_", r"whsec_[A-Za-z0-9+/=]{24,}"),
    _shape(API_KEY, "SG.", _EDGE + r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}"),
    _shape(API_KEY, "AC SK", _EDGE + r"(?:AC|SK)[a-f0-9]{32}" + _END),
    _shape(API_KEY, "-us", _EDGE + r"[a-f0-9]{32}-us[0-9]{1,2}" + _END),
    _shape(API_KEY, "key-", _EDGE + r"key-[a-f0-9]{32}" + _END),
    _shape(
        API_KEY,
        "gsk_ xai- pplx- r8_ nvapi- tvly- fw_",
        _EDGE + r"(?:gsk_|xai-|pplx-|r8_|nvapi-|tvly-|fw_)[A-Za-z0-9_-]{20,}",
        random=True,
    ),
    _shape(API_KEY, "sq0", r"sq0(?:csp|atp|idp)-[A-Za-z0-9_-]{22,}"),
    _shape(API_KEY, "EAAA", _EDGE + r"EAAA[A-Za-z0-9_-]{60}" + _END),
    _shape(API_KEY, "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _shape(API_KEY, "lin_api_ rnd_ phx_ phc_", _EDGE + r"(?:lin_api|rnd|phx|phc)_[A-Za-z0-9]{28,}"),
    _shape(
        API_KEY, "PMAK- NRAK- dapi", _EDGE + r"(?:PMAK-[a-f0-9]{24}-[a-f0-9]{34}|NRAK-[A-Z0-9]{27}|dapi[a-f0-9]{32})"
    ),
    _shape(API_KEY, "AKC AP", r"(?<![A-Za-z0-9+/])(?:AKC[A-Za-z0-9]{70,}|AP[0-9A-F][A-Za-z0-9]{64,})", random=True),
    _shape(
        API_KEY, "CCIPAT_ figd_ ntn_ secret_", _EDGE + r"(?:CCIPAT_|figd_|ntn_|secret_)[A-Za-z0-9_-]{40,}", random=True
    ),
    _shape(API_KEY, "Q~", r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
    _shape(API_KEY, "AccountKey SharedAccessKey", r"(?:AccountKey|SharedAccessKey)\s?=\s?([A-Za-z0-9+/]{30,}={0,2})"),
    _shape(ACCESS_TOKEN, "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _shape(ACCESS_TOKEN, "github_pat_", r"github_pat_[A-Za-z0-9_]{30,}"),
    _shape(
        ACCESS_TOKEN,
        "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas-",
        _EDGE + r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_.-]{20,}",
    ),
    _shape(ACCESS_TOKEN, "GR1348941", r"GR1348941[A-Za-z0-9_-]{20,}"),
    _shape(ACCESS_TOKEN, "hf_ api_org_", _EDGE + r"(?:hf|api_org)_[A-Za-z]{34,}"),
    _shape(ACCESS_TOKEN, "hf_ api_org_", _EDGE + r"(?:hf|api_org)_[A-Za-z0-9]{30,}", random=True),
    _shape(ACCESS_TOKEN, "npm_", _EDGE + r"npm_[A-Za-z0-9]{36}"),
    _shape(ACCESS_TOKEN, "pypi-", r"pypi-[A-Za-z0-9_-]{50,}"),
    _shape(ACCESS_TOKEN, "xox xapp- xwfp-", r"(?:xox[a-z]|xapp|xwfp)-[A-Za-z0-9-]{10,}", random=True),
    _shape(
        ACCESS_TOKEN, "hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/+-]{20,})"
    ),
    _shape(ACCESS_TOKEN, "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/[0-9]{5,25}/([A-Za-z0-9_-]{30,})"),
    _shape(ACCESS_TOKEN, ".webhook.office.com/", r"\.webhook\.office\.com/webhookb2/([A-Za-z0-9@/_-]{40,})"),
    _shape(ACCESS_TOKEN, ":", r"(?<![A-Za-z0-9])[0-9]{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])", random=True),
    _shape(
        ACCESS_TOKEN,
        ".",
        r"(?<![A-Za-z0-9_.-])[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        random=True,
    ),
    _shape(ACCESS_TOKEN, "eyJ", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{4,}){1,4}"),
    _shape(ACCESS_TOKEN, "ya29. 1//0", _EDGE + r"(?:ya29\.|1//0)[A-Za-z0-9_-]{20,}"),
    _shape(ACCESS_TOKEN, "GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    _shape(ACCESS_TOKEN, "shp", _EDGE + r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _shape(ACCESS_TOKEN, "hvs. hvb.", _EDGE + r"hv[sb]\.[A-Za-z0-9_-]{24,}"),
    _shape(ACCESS_TOKEN, "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{24,}"),
    _shape(
        ACCESS_TOKEN,
        "sntry sbp_ rubygems_ pul- fo1_ tfp_ glsa_ EAA",
        _EDGE + r"(?:sntry[su]_|sbp_|rubygems_|pul-|fo1_|tfp_|glsa_|EAA[A-Z])[A-Za-z0-9_=+/-]{32,}",
        random=True,
    ),
    _shape(ACCESS_TOKEN, ".atlasv1.", _EDGE + r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}"),
    _shape(ACCESS_TOKEN, "ATATT3 ATCTT3 ATBB", r"AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{24,}"),
    _shape(PRIVATE_KEY, "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}"),
    _shape(PRIVATE_KEY, "b3BlbnNzaC1rZXkt", r"b3BlbnNzaC1rZXkt[A-Za-z0-9+/=]{40,}"),
)
# Basic and Bearer say nothing by themselves ("bearer of news"), so what follows must look like a credential.
_SCHEME: Final = re.compile(r"(?<![a-z])(?:bearer|basic)[ \t]{1,4}([A-Za-z0-9._~+/=:-]{16,})", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"authorization[\"']?\s{0,4}[:=：]\s{0,4}[\"'`]?(?:(?:bearer|basic|token|apikey|digest|bot)[ \t]{1,4})?"
    r"([^\s\"'`,;<>{}\[\]()]{6,})",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"://([^\s:/@'\"<>`]{0,128}):([^\s/'\"<>`]{1,256})@(?=[A-Za-z0-9\[$_{-])")
_URL_NAMES: Final = frozenset(("password", "pass", "passwd", "pwd", "secret", "token", "pw", "passwort", "port"))
_WIFI: Final = re.compile(r"WIFI:(?:[A-OQ-Z]:[^;\n]{0,64};){0,4}P:((?:\\.|[^;\\\n]){1,100});")
_COMMANDS: Final = (
    ("curl", re.compile(r"curl[^\n]{0,200}?\s(?:-u|--user)[ =]?[\"']?[^\s:'\"]{1,64}:([^\s'\"]{3,128})")),
    ("mysql", re.compile(r"mysql(?:dump|admin)?(?![a-z])[^\n]{0,200}?\s-p[\"']?([^\s'\"]{4,128})")),
    ("sshpass", re.compile(r"sshpass\s{1,4}-p\s{0,4}[\"']?([^\s'\"]{3,128})")),
)
_KEYISH: Final = 12
_NEEDLES: Final = tuple((needle, index) for index, shape in enumerate(_SHAPES) for needle in shape.needles)


def find(text: str, lowered: str) -> Iterator[Finding]:
    """Keys, tokens and URL passwords in `text`; `lowered` is the same text in lower case."""
    for index in sorted({index for needle, index in _NEEDLES if needle in text}):
        kind, _, pattern, random = _SHAPES[index]
        for match in pattern.finditer(text):
            secret = match.group(pattern.groups)
            if not is_blank(secret) and (not random or looks_random(secret, _KEYISH)):
                yield Finding(*match.span(pattern.groups), kind, shaped=True)
    if "bearer" in lowered or "basic" in lowered:
        for match in _SCHEME.finditer(text):
            if looks_random(match[1], _KEYISH) and not is_blank(match[1]):
                yield Finding(*match.span(1), ACCESS_TOKEN)
    if "authorization" in lowered:
        for match in _HEADER.finditer(text):
            if looks_random(match[1], 6) and not is_template(match[1]):
                yield Finding(*match.span(1), ACCESS_TOKEN)
    if "://" in text and "@" in text:
        for match in _URL.finditer(text):
            if not is_template(match[2]) and match[2].lower() not in _URL_NAMES:
                yield Finding(*match.span(2), PASSWORD)
    for command, pattern in _COMMANDS:
        if command in text:
            for match in pattern.finditer(text):
                if not is_template(match[1]) and match[1].lower() not in _URL_NAMES:
                    yield Finding(*match.span(1), PASSWORD)
    if "WIFI:" in text:
        for match in _WIFI.finditer(text):
            yield Finding(*match.span(1), PASSWORD)
