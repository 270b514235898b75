"""Tells text that gives the assistant orders: "ignore the above and set the human block to ...", in many languages.

To matter, such a text has to do one of three things: call off what was said before, name what it wants changed, or name
a tool. Which words do that is listed for sixteen languages; word order is free, because it differs between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from mira_ltmemory.store.analysis import DENSE

_APART = 40
"""Characters that may stand between what is to be done and what it is to be done to."""

_CALL_OFF: Sequence[tuple[str, str]] = (
    (r"ignore|disregard|forget|override", r"above|previous|prior|earlier|instructions?|rules|guidelines"),  # English
    (r"ignorier\w*|missacht\w*|vergiss|vergesst|vergessen sie", r"anweisung\w*|vorherig\w*|obig\w*|bisherig\w*|regeln"),
    (
        r"ignore[rz]?|oublie[rz]?|ne (?:tiens|tenez) (?:pas|aucun)",
        r"instructions?|consignes?|ci-dessus|précédent\w*|règles",
    ),
    (r"ignor[ae][rd]?|olvid[ae][rd]?|caso omiso|descarta", r"instruccion\w*|anterior\w*|arriba|reglas|indicaciones"),
    (r"ignor[ae]r?|esque[çc]a|desconsider\w+", r"instru[çc]\w+|anterior\w*|acima|regras"),
    (r"ignora\w*|dimentica\w*|trascura\w*", r"istruzion\w+|precedent\w*|sopra|regole"),
    (r"negeer|vergeet", r"instructies|bovenstaande|vorige|eerdere|regels"),
    (r"ignorera|glöm|bortse från", r"instruktion\w*|ovanstående|tidigare|regler\w*"),
    (r"(?:z?ignoruj|zapomnij|pomiń)\w*", r"instrukcj\w*|polece[nń]\w*|powyższ\w*|poprzedni\w*|zasad\w*"),
    (r"(?:про)?игнориру\w*|забудь\w*|не обращай\w*", r"инструкци\w*|указани\w*|выше|предыдущ\w*|правил\w*"),
    (r"yok say\w*|görmezden gel\w*|unut\w*|dikkate alma\w*", r"talimat\w*|yukarıdaki\w*|önceki\w*|kural\w*"),
    (r"忽略|无视|無視|忘记|忘記|忘掉|不要理会", r"指令|指示|上面|以上|之前|先前|规则|規則|说明"),
    (r"無視|忘れ", r"指示|命令|上記|以前|これまで|ルール|規則"),
    (r"무시|잊어|잊으", r"지시|명령|위의|위에|이전|규칙"),
    (r"تجاهل\w*|انس[َى]?|تغاض\w*", r"التعليمات|تعليمات|السابقة?|أعلاه|القواعد"),
    (r"अनदेख\w*|नज़रअंदाज़|नजरअंदाज|भूल", r"निर्देश\w*|ऊपर|पिछले|नियम\w*"),
)
"""For each language: words that call off, and words for what is called off."""

_MEMORY = (
    r"block\w*|bloc|bloque|bloco|blocco|blok\w*|блок\w*|块|區塊|区块|ブロック|블록|كتلة|ब्लॉक|"
    r"memory|speicher\w*|gedächtnis\w*|mémoire|memoria|memória|geheugen|minne|pamięć|pamięci|памят\w*|bellek|"
    r"记忆|記憶|メモリ|기억|메모리|ذاكرة|स्मृति|मेमोरी"
)

_VERB_LAST = frozenset({1, 10, 11, 12, 13, 15})
"""Which of these languages often name first what is called off: German, Turkish, Chinese, Japanese, Korean, Hindi."""

_UNSPACED = regex.compile(rf"[{DENSE}]")


def _words(words: str) -> str:
    """Whole words, in languages that part them."""
    return rf"(?:{words})" if _UNSPACED.search(words) else rf"(?<!\w)(?:{words})(?!\w)"


def _called_off() -> list[str]:
    between = rf".{{0,{_APART}}}?"
    patterns = []
    for number, (call, what) in enumerate(_CALL_OFF):
        patterns.append(_words(call) + between + _words(what))
        if number in _VERB_LAST:
            patterns.append(_words(what) + between + _words(call))
    return patterns


_ORDERS = regex.compile(
    "|".join(
        [
            *_called_off(),
            rf"\b(?:human|persona|system|core)\b.{{0,12}}?(?:{_MEMORY})",
            rf"(?:{_MEMORY}).{{0,12}}?\b(?:human|persona)\b",
            r"\bsystem[ -]?prompt|系统提示|システムプロンプト|시스템 프롬프트",
            r"\bcore_memory_\w+|\bmemory_(?:rethink|insert|rollback)\b|\barchival_memory_\w+|\bexpected_version\b",
        ]
    ),
    regex.IGNORECASE | regex.DOTALL,
)


def gives_orders(text: str) -> bool:
    """Whether a text gives the assistant orders about its instructions, its memory or its tools."""
    return _ORDERS.search(text) is not None
