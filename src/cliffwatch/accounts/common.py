"""What everybody tries first: words that many choose, and runs along a keyboard.

Lists of leaked passwords hold millions of lines, nearly all of which are one of a few hundred words with digits or
signs around it, or letters swapped for digits. So the words stand here, and the variations are a rule. They were
written down for this file; no list was copied.
"""

from __future__ import annotations

import re

_WORDS = frozenset(
    """
    abc access account admin administrator android angel angela anthony apple april arsenal asdf ashley august
    autumn azerty babygirl bailey banana barcelona baseball basketball batman beautiful bitte blink buster
    butterfly calvin changeit changeme charlie chelsea chocolate christian cliffwatch cocacola company computer
    cookie corona dallas daniel database december default destiny diamond dragon easter elephant elizabeth
    facebook family february fender ferrari flower football forever formula freedom friday friend friends fuckoff
    fuckyou gandalf garfield gateway geheim george giants ginger google guest hallo hannah harley hello hockey
    hunter iloveu iloveyou instagram internet iphone january jasmine jennifer jessica jesus jordan joshua juli
    july june juni justin killer klaster letmein linkedin liverpool login london lovely loveme lovers loveyou
    lucky madison maggie manager manchester march marina marlboro master matrix matthew maverick maximus mercedes
    merlin michael michelle microsoft minecraft monday monkey motdepasse my mustang naruto natasha nicole november
    october office orange owner pass passe passord passwd password passwort patrick peanut pepper phoenix picture
    please pokemon porsche postgres power princess private purple qwert qwerty qwertz rainbow ranger raspberry
    robert root samantha samsung saturday scooter secret security senha september server shadow silver slipknot
    snoopy soccer sommer spider spiderman spring starwars steelers stephanie summer sunday sunshine superman
    superstar support sweetie system taylor temp temporary tequila test tester testing thomas thunder thursday
    tigger tinkerbell trustno tuesday user username vanessa victoria wachtwoord wednesday welcome whatever william
    willkommen winter wizard wordpass yankees yellow zxcvbn
    """.split()  # noqa: SIM905 - read as a text, not as a column of quotes
)
_MOST_WORDS = 2
"""Three words of the list together are a phrase that is long to try."""

_SWAPPED = str.maketrans("013457@$!", "oieastasi")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")

_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "012345678901234567890",
    "00112233445566778899",
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "qaz", "wsx", "edc", "rfv", "tgb", "yhn", "ujm"),
    *("1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "a1b2c3d4e5f6g7h8i9", "1a2b3c4d5e6f7g8h9i"),
)
_BOTH_WAYS = tuple(row[::way] for row in _ROWS for way in (1, -1))
_SHORTEST_RUN = 3
_BESIDE_RUNS = 2  # characters that may stand beside the runs: "123456789a" is tried, too


def is_a_common_word(password: str) -> bool:
    """Whether it is one or two of the words, whatever digits and signs stand around or for letters."""
    core = _AROUND.sub("", password.casefold())
    plain = (re.sub(r"[\W\d_]", "", form) for form in (core, core.translate(_SWAPPED)))
    return any(_is_made_of_words(text, _MOST_WORDS) for text in plain)


def is_runs(password: str) -> bool:
    """Whether it is put together from pieces of the alphabet, of counting, or of a keyboard's rows and columns."""
    text = re.sub(r"[\W_]", "", password.casefold())
    beside = at = 0
    while at < len(text):
        run = _run_at(text, at)
        if run < _SHORTEST_RUN:
            beside, run = beside + 1, 1
        at += run
    return beside <= _BESIDE_RUNS < len(text)


def _is_made_of_words(text: str, most: int) -> bool:
    if text in _WORDS:
        return True
    return most > 1 and any(
        text[:end] in _WORDS and _is_made_of_words(text[end:], most - 1) for end in range(2, len(text) - 1)
    )


def _run_at(text: str, at: int) -> int:
    """How many characters from here on follow one another in a row."""
    length = 0
    while at + length < len(text) and any(text[at : at + length + 1] in row for row in _BOTH_WAYS):
        length += 1
    return length
