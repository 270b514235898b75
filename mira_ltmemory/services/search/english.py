"""English as queries and messages use it: every word list and pattern of the ranking, in one place.

In another language none of them matches, and a search goes by words, meaning and time alone.
"""

from __future__ import annotations

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


META_WORDS = _set(
    """
    conversation conversations chat chats discussion discussions discuss discussed discussing talk talked talking
    message messages summary summaries summarize summarise overview recap list listed order item items walk
    comprehensive clear brief detailed brought bring aspect aspects throughout across different various please give
    gave show provide provided explain explained remind remember recall ask asked describe described help want know
    let get got overall total way kind type thing things
    """
)
"""Words with which people talk about a conversation: a query keeps them only if it holds nothing else."""

ROLE_WORDS = frozenset({"user", "assistant", "tool", "system", "human", "ai", "bot", "default", "root", "admin", "me"})
"""Speakers and users that are called so have no name."""

NAMES_THAT_ARE_WORDS = _set(
    """
    april art august autumn bill bob brook chase chip christian chuck clay dawn dean dick dot drew eve faith frank gene
    grace grant guy hope iris ivy jack jade jay jimmy joy june kit lily mark may max mia miles nick olive page pat patty
    penny pierce pip rob robin rose ruby sky sue summer violet wally will wade
    """
)
"""Names that are words: they name someone only with a capital letter, and not as the first word."""

DIMINUTIVES = frozenset({"", "y", "ie", "i", "ey", "o", "s"})
"""How a name goes on after the beginning that it shares with its long form."""

_SHORT_FORMS = """
    alexander: alec sasha xander zander
    alexandra: lexi sasha
    amanda: mandy
    andrew: drew
    anthony: tony
    barbara: barb babs
    benedict: ben
    charles: charlie chuck
    david: dave
    dorothy: dot dottie
    edward: ed eddie ned ted teddy
    eleanor: ellie nell nora
    elizabeth: bess beth betsy betty eliza libby lisbeth liz lizzie liza
    eugene: gene
    florence: flo
    francis: frank
    gerald: gerry jerry
    geoffrey: jeff
    henry: hank
    isabella: bella izzy
    jacob: jake
    james: jamie jim jimmy
    jeremy: jerry
    joseph: joe joey
    katherine: kate katie kathy kay kit kitty
    catherine: cate kate katie kathy kit kitty
    lawrence: larry
    margaret: greta maggie meg megan peggy
    michael: mick mickey mike mikey
    nathan: nate
    nathaniel: nate
    nicholas: nick nicky nico
    nicola: nicky
    patricia: patty tricia trish
    philip: pip
    rebecca: becca becky
    richard: dick rick ricky
    robert: bob bobby rob robbie
    stephen: steve
    theodore: ted teddy theo
    theresa: tess tessa terry
    victoria: vicky tori
    walter: walt wally
    william: bill billy liam will willy
    zachary: zack
"""


def _long_forms() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in _SHORT_FORMS.strip().splitlines():
        name, _, short = line.strip().partition(":")
        for each in (name, *short.split()):
            found[each] = found.get(each, frozenset()) | {name}
    return found


LONG_FORMS = _long_forms()
"""The names that a name stands for, where that is not seen by its beginning; two that share one may be one person's."""

JOINING = r"(?:\s*[,&]\s*|(?:\s*,)?\s+(?:and|or)\s+)(?:both\s+)?"
"""What stands between the names of people who are spoken of as one."""

THE_USERS = re.compile(r"\bthe user['’]s\b", re.I)
THE_USER = re.compile(r"\bthe user\b", re.I)
THE_ASSISTANTS = re.compile(r"\bthe assistant['’]s\b", re.I)
THE_ASSISTANT = re.compile(r"\bthe assistant\b", re.I)
FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]e|[Mm]ine)\b")
FIRST_PERSON_TOLD = frozenset({"i", "i'm", "i've", "i'd", "i'll", "my", "we", "we're", "we've", "our", "me"})
"""A message that holds one of these tells of its speaker."""

PRONOUNS = (
    (re.compile(r"\b(?:[Hh]e|[Ss]he)\b"), "I"),
    (re.compile(r"\b(?:his|hers?)\b"), "my"),
    (re.compile(r"\bhim\b"), "me"),
    (re.compile(r"\b(?:himself|herself)\b"), "myself"),
)
"""What is said of the person whom a query is about, as that person would say it."""

POLITE = re.compile(
    r"^\W*(?:please\s+)?(?:(?:can|could|would|will) you\b)?(?:\s*please)?\s*(?:\b(?:tell|remind|show|give) me\b)?", re.I
)
"""The polite beginning of a request: its "you" and its "me" are nobody's subject."""

ASKS_ASSISTANT = re.compile(
    # "Do you remember where I ...?" asks for nothing that was said by "you".
    r"\b(?:did|have|had|do) you\b(?! (?:remember|recall|know|think|got|have)\b)|\bdid the assistant\b"
    r"|\b(?:you|the assistant) (?:recommend|suggest|advis|help|gave|give|explain|provid|propos|told|tell|list|said|say"
    r"|describ|show|mention|walk|wr[io]te|generat|draft|outlin|compar|calculat|estimat)"
    r"|\byou (?:shared|made|created|came up with|noted|pointed out|quoted|answered|replied|discussed)\b"
    r"|\b(?:our|we|this|the) (?:previous|earlier|prior|last|past) (?:conversation|chat|discussion|session)s?\b"
    r"(?! with\b)",
    re.I,
)
ASKS_SUMMARY = re.compile(r"\b(?:summar|overview|recap)", re.I)
ASKS_WHEN = re.compile(
    r"\W*(?:when|what (?:date|day|month|year|time)|which (?:month|year|day)|how long|in (?:which|what) (?:month|year)"
    r"|since when|how many (?:days|weeks|months|years))\b",
    re.I,
)
ASKS_NAME = re.compile(
    r"^\W*(?:where|who|whose|whom)\b|\b(?:which|what) (?:\w+ )?(?:city|cities|country|countries|state|places?|location"
    r"|town|park|school|company|restaurant|team|books?|movies?|games?|person|friend|author|band|artist)\b",
    re.I,
)

MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "few": 3, "couple": 2,
}  # fmt: skip
AMBIGUOUS_MONTHS = frozenset({"may", "march", "mar", "sep", "jan", "jun", "dec"})
"""Months that are words or names as well: they need a capital letter, and a year or a preposition."""

_MONTH = rf"({'|'.join(MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}\b\.?,?(?: (\d{{4}})\b)?", re.I | re.A)
MONTH_DAY = re.compile(rf"\b{_MONTH}\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}})\b)?", re.I | re.A)
ISO_DAY = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b", re.A)
MONTH_ALONE = re.compile(rf"\b{_MONTH}\b,?(?: of)?(?: (\d{{4}})\b)?", re.I | re.A)
BEFORE_MONTH = re.compile(r"\b(?:in|of|since|by|during|until|last|this|early|late|mid|for)\s{1,4}$", re.I)
YEAR = re.compile(r"\b((?:19|20)\d\d)\b", re.A)

RELATIVE_DAYS = (
    (re.compile(r"\b(?:yesterday|last night)\b", re.I), -1),
    (re.compile(r"\b(?:today|tonight|this morning)\b", re.I), 0),
)
RELATIVE_WEEKS = (
    (re.compile(r"\blast week\b", re.I), -7, -1),
    (re.compile(r"\bthis week\b", re.I), 0, 6),
    (re.compile(r"\b(?:last|past) weekend\b", re.I), -2, -1),
)
LAST_WEEKDAY = re.compile(rf"\b(?:last|on) ({'|'.join(WEEKDAYS)})\b", re.I)
LAST_MONTH = re.compile(r"\blast month\b", re.I)
THIS_MONTH = re.compile(r"\bthis month\b", re.I)
AGO = re.compile(rf"\b(\d{{1,2}}|{'|'.join(NUMBERS)})(?: of)? (day|week|month|year)s? ago\b", re.I | re.A)

TELLS_TIME = (
    _set(
        """
        yesterday today tonight tomorrow ago since day days week weeks weekend weekends month months year years
        summer winter autumn
        """
    )
    | (frozenset(MONTHS) - {"may"})
    | frozenset(WEEKDAYS)
    | {str(year) for year in range(1900, 2100)}
)
"""What an answer to "when" holds."""

_SPANS = (
    "night|evening|weekend|week|month|year|spring|summer|fall|autumn|winter|christmas|easter|thanksgiving"
    f"|{'|'.join(WEEKDAYS)}|{'|'.join(MONTHS)}"
)
_SOME = r"\d+|few|couple(?:\s+of)?|several|two|three|four|five|six|seven|eight|nine|ten"
_HAPPENED = re.compile(
    r"(?i:\b(?:yesterday|recently|lately|ago|the\s+other\s+(?:day|night|week|morning|evening|afternoon)"
    rf"|(?:last|past)\s+(?:(?:(?:{_SOME})\s+)?(?:{_SPANS})s?|(?:{_SOME})\s+(?:days|hours))))\b"
    r"|\b[Ll]ast\s+(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b"
)
_HAPPENED_CUES = ("yesterday", "recently", "lately", "ago", "last", "past", "other")

# What people tell an assistant to do. In any other form than the bare verb, or with another one, it is a story:
# "Never told anyone", "Always happy to help".
_ORDERED = (
    "(?:add|answer|ask|assume|attach|avoid|begin|call|check|cite|compare|confirm|convert|define|describe|display|embed"
    "|end|ensure|explain|feed|flag|follow|format|give|greet|highlight|ignore|include|keep|label|limit|link|list|make"
    "|mention|name|note|offer|omit|output|phrase|present|prioriti[sz]e|proceed|propose|provide|put|quote|recommend"
    "|refer|remind|repeat|reply|respond|return|schedule|send|show|sign|skip|sort|speak|specify|spell|start|state|stop"
    r"|suggest|summari[sz]e|tell|translate|treat|try|use|verify|warn|wait|write)\b"
)
_STARTS = (
    r"(?:^|[.!?:\n\"'“(\[*•–—-])[^\S\n]*"
    r"(?:(?:please|also|and|but|so|then|now|just|ok(?:ay)?|thanks|hey|hi),?[^\S\n]+){0,3}"
)
_TO_YOU = (
    r"\b(?:you (?:should|must|have to|need to)|(?:want|need|like|prefer)(?: that)? you(?: to)?"
    r"|(?:can|could|would|will) you|remember to|be sure to|make sure (?:to|you))(?: please)? "
)
_WHENEVER = (
    r"\b(?:when(?:ever)?|every time|each time|any time|anytime|if) i (?:ever )?(?:ask|request|mention|say|talk|write)\b"
)
_TOLD = r"(?=[^.!?\n]*(?:[.!\n]|$))"  # the sentence asks nothing
_STANDING = re.compile(
    rf"(?:{_STARTS}|{_TO_YOU})(?:always|never) {_ORDERED}|\bfrom (?:now|here) on\b"
    rf"|\bgoing forward,|{_STARTS}going forward\b"
    rf"|{_STARTS}{_ORDERED}[^.!?\n]{{0,80}}{_WHENEVER}"
    rf"|{_WHENEVER}[^.!?,\n]{{0,60}}, (?:please |always |never |just )?{_ORDERED}"
    r"|" + _STARTS + r"(?:remember|(?:do not|don['’]t) forget|(?:keep|bear) in mind)"
    rf"(?::| (?:that )?(?:i|i['’](?:m|ve|d)|my|we|our|to)\b){_TOLD}"
)
_STANDING_CUES = (
    "always ", "never ", "from now on", "from here on", "going forward", " i ", "remember", "forget", "in mind",
)  # fmt: skip

NAME_INSIDE = re.compile(r" (?<=[a-z0-9,;:'’] )[A-Z][A-Za-z]+")
"""A capital letter in the middle of a sentence, with the space before it (which makes the search quick)."""

WRITTEN_AS_NAME = re.compile(r"(?<=[\w,'’] )[A-Z][a-z]+|\b[A-Z][a-z]+(?=['’]s\b)")
"""A capital letter behind another word, or before a possessive ending."""

_MARKS = str.maketrans(dict.fromkeys('.,;:!?()[]"*_/-\n', " ") | {"’": "'"})


def plain_words(text: str) -> frozenset[str]:
    """The words of a text, roughly and quickly: lower-case, parted at white space and common marks."""
    return frozenset(text.lower().translate(_MARKS).split())


def happened(text: str) -> bool:
    """Whether a text says when, seen from the day on which it was said: what is told so happened.

    Questions count too: who asks what somebody did lately mostly tells of his own in the same message.
    """
    lower = text.lower()
    # Looked for first, because that is many times as quick as the pattern.
    return any(cue in lower for cue in _HAPPENED_CUES) and _HAPPENED.search(text) is not None


def standing(text: str) -> bool:
    """Whether a text asks for something that is to hold from then on."""
    lower = text.lower()
    return any(cue in lower for cue in _STANDING_CUES) and _STANDING.search(lower) is not None
