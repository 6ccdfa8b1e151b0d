"""Words that keep their period, found by giving the reference every word of up to four letters and many longer ones.

All are in lower case here and match in any case unless said otherwise.
"""

from __future__ import annotations

from functools import cache
from string import ascii_lowercase

ENDING = (
    "al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext "
    "feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla "
    "penn ph.d plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo"
)
"""They may end a sentence: before a capital, two spaces or the end of the text a period of its own follows."""

ENDING_CAPITALISED = "ark az del ill la mass miss ore pa tex wash"
"""As `ENDING`, but only with a capital first letter."""

ENDING_SPELT = "[Pp][Pp]?[Tt][ye][Ss]?"
"""As `ENDING`, but these letters are in this case only where they stand in brackets."""

TITLES = (
    "adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft "
    "gen gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof profs "
    "pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs wm"
)
"""They never end a sentence."""

NUMBERED = "art ca fig figs no nos op pp prop"
"""They keep their period only before a number."""

TITLES_SPELT = "[Mm][ft][Gg]"
"""As `TITLES`, but the letter in the middle is in lower case."""

STARTERS = (
    "a about according additionally after an as at but earlier he her here however if in it last many more mr. ms. now "
    "once one other our she since so some such that the their then there these they this we what when while yet you"
)
"""Before one of these, with a capital, a period after initials (`U.S. The`) also ends the sentence."""

SPLIT = "cannot gonna wanna gotta lemme gimme"
"""Words that are two tokens."""


@cache
def special_words() -> frozenset[str]:
    """Return, in lower case, every word of letters that is not simply itself when a period follows it."""
    spelt = ("pte", "ptes", "pty", "ptys", "ppte", "pptes", "ppty", "pptys", "mfg", "mtg", *ascii_lowercase)
    return frozenset((*" ".join((ENDING, ENDING_CAPITALISED, TITLES, NUMBERED, SPLIT)).split(), *spelt))
