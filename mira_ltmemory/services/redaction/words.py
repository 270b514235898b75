"""Words that describe a password more often than they are one."""

from __future__ import annotations

from typing import Final

ORDINARY: Final = frozenset(
    """
    a about above admin again all alphanumeric already also always an and another any anything arbitrary as
    ascii at auto autofill back bad based basic because been being below beneath best better between blank bob
    both broken brute but by bytes can case cause changeme chosen clear clearly common complex confidential
    correct crap critical dangerous data database dead default dictionary different difficult down due each
    easier easy either else email empty enabled encoded encrypted enough entered error even every everything
    everywhere exact exactly expired exposed extra fail failed fails false field filled fine first foo forever
    forgotten form found free from full function gibberish given gone good great guess guessed had handled
    hard hash hashed hashes he hell here hers hidden his horrible how huge idea idiotic if important in
    incorrect insecure inside instead into invalid irrelevant is it its itself just key kept known last later
    laughable letter letters like limited link literally local locked long longer lost maybe me mine mandatory
    minimum missing mixed more must my name necessary needed never new nice no none not nothing now null
    nullable object obsolete obvious off ok okay old on once one only open optional or other our ours out
    outdated over overdue passphrase password passwords perfect perhaps plain plaintext pointless poor
    possible predictable present pretty private probably problem public quite random rather rarely raw
    readonly ready really reasonable recent redacted required reset reused revoked right safe salted same
    saved secret secrets secure sensitive sent separate shared she short shorter should shown silly similar
    simple simply since single so some somebody someone something sometimes somewhere sort soon special stale
    stolen stored strange string strong stronger stuck stupid such sufficient super supposed sure taken
    temporary terrible text that the their theirs them then there these they thing this those three to today
    token tomorrow too trash tricky trivial true twice two typed unchanged under unique unknown unnecessary
    unsafe until up upon useful useless username user valid value very visible vital void weak weaker weird
    well what whatever when where wherever whether which who whole why will with within without working worse
    worst worthless written wrong yes yet you your yours yourself falsch richtig sicher unsicher lang kurz
    schwach stark abgelaufen vergessen gleich nicht kein sehr geheim hier wichtig neu alt gut złe dobre długie
    krótkie słabe silne jest nie bardzo tutaj takie zbyt stare nowe tajne błędne faux bon court faible fort
    trop pas très expiré incorrecto correcta larga corta débil segura muy demasiado aquí prompt manager
    managers recovery expiry expiration login logins policy policies requirements rules strength length hint
    generator storage protection change changes update updates authentication validation verification hygiene
    confirmation lastpass bitwarden keepass icloud oauth github paypal google facebook netflix apple microsoft
    chrome firefox iphone android twelve eight sixteen ten twenty four five six seven nine half quarter
    several many few most least
    """.split()  # noqa: SIM905 - easier to read and to extend than 450 quoted words
)
