"""Rules for names (of accounts, actors, projects), for texts, and for ids.

Commands check names with `checked_name`: every character is visible, and the name has one spelling (Unicode NFC). Reads
check names with `asked_name`, which also accepts every name that an older version of Hourbook stored.
"""

from __future__ import annotations

import re
from unicodedata import category, combining, normalize

from shared.errors import InvalidField

NAME_MAX = 200
TEXT_MAX = 200
# The longest name in a read. Its spelling may have more characters than the stored one.
ASKED_MAX = 4 * NAME_MAX

# Patterns of ids; OpenAPI shows them. Python's $ also matches before a newline at the end: (?!\n) forbids the newline.
_SLUG = "[a-z0-9][a-z0-9-]{0,62}"
SLUG = rf"^{_SLUG}$(?!\n)"  # the id of a project; the name of a cluster within its parent
POOL_ID = rf"^{_SLUG}(\.{_SLUG}){{0,7}}$(?!\n)"  # the id of a project or a cluster: its parents' names, then its own
TEMPLATE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$(?!\n)"
_POOL_ID = re.compile(POOL_ID)

_PLAIN_NAME = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PLAIN_TEXT = re.compile(r"[\t\n -~]+")
_IN_PATHS = frozenset({".", ".."})  # HTTP clients remove these segments from a path

_BIDI = "\u202a-\u202e\u2066-\u2069"
_BIDI_CONTROL = re.compile(rf"[\u061c\u200e\u200f{_BIDI}]")
_BIDI_OVERRIDE = re.compile(rf"[{_BIDI}]")
# Invisible characters: Unicode's Default_Ignorable_Code_Point without the bidi controls.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NEVER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BRAILLE_BLANK = "\u2800"
_VIRAMA = 9  # the combining class of viramas, the marks that remove the vowel of a letter
_NON_JOINER, _JOINER = "\u200c", "\u200d"
# Scripts in which a joiner changes the shape of letters: Arabic and related ones, those of India and its neighbours.
_JOINING = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1a20-\u1aaf\ua840-\ua87f\ua8e0-\ua8ff\ua9e0-\ua9ff"
    "\uaa60-\uaa7f\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefe\U00010d00-\U00010d3f\U00011000-\U00011fff\U0001e900-\U0001e95f]"
)
_EMOJI = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_AFTER_EMOJI = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd]")
_KEYCAP = re.compile("[0-9#*]\ufe0f\u20e3")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")  # Scotland's, for example


def is_pool_id(text: str) -> bool:
    """Whether `text` is a valid id of a project or a cluster."""
    return _POOL_ID.fullmatch(text) is not None


def composed(text: str) -> str:
    """The text in Unicode NFC: an é of two characters becomes an é of one."""
    return text if text.isascii() else normalize("NFC", text)


def spellings(text: str) -> tuple[str, ...]:
    """The spellings under which a name may be stored: NFC first, then as given and NFD, which old versions stored."""
    if text.isascii():
        return (text,)
    return tuple(dict.fromkeys((normalize("NFC", text), text, normalize("NFD", text))))


def checked_name(text: str, field: str) -> str:
    """The name of a command, in NFC. Raises InvalidField, which names the wrong character and says what is right."""
    if len(text) <= NAME_MAX and _PLAIN_NAME.fullmatch(text) and text not in _IN_PATHS:
        return text
    if len(text) > ASKED_MAX or len(name := composed(text)) > NAME_MAX or not name:
        raise InvalidField(field, f"give 1 to {NAME_MAX} characters")
    if name in _IN_PATHS:
        raise InvalidField(field, f"{name!r} is not a name: it is a step in a path")
    if not name.strip():
        raise InvalidField(field, "the name has only spaces; give one that can be seen")
    for place, character in enumerate(name):
        if wrong := _wrong_in_name(name, place, character):
            raise InvalidField(field, f"{_called(character)} at character {place + 1} {wrong}")
    if name != name.strip(" "):
        raise InvalidField(field, "the name begins or ends with a space; leave it out")
    return name


def checked_text(text: str, field: str, most: int = TEXT_MAX) -> str:
    """The text of a command, unchanged. It may have several lines. Raises InvalidField if it has more than `most`
    characters, is empty, or has a character that would change how it is shown."""
    if not 0 < len(text) <= most:
        raise InvalidField(field, f"give 1 to {most} characters")
    if not _PLAIN_TEXT.fullmatch(text):
        for place, character in enumerate(text):
            if wrong := _wrong_in_text(character):
                raise InvalidField(field, f"{_called(character)} at character {place + 1} {wrong}")
    return text


def asked_name(text: str, field: str) -> str:
    """The name of a read, unchanged. Raises InvalidField only if no version of Hourbook could store such a name."""
    if not 0 < len(text) <= ASKED_MAX or _NEVER.search(text):
        raise InvalidField(field, f"give 1 to {NAME_MAX} characters, none of them a control character")
    return text


def shown(text: str) -> str:
    """A text from another system, with a space for each character that `checked_text` forbids."""
    if _PLAIN_TEXT.fullmatch(text):
        return text
    return "".join(" " if _wrong_in_text(character) else character for character in text)


def _called(character: str) -> str:
    return f"U+{ord(character):04X}"


def _wrong_in_name(name: str, place: int, character: str) -> str:
    """What is wrong with the character at `place`, for an error; an empty text if it may be there."""
    kind = category(character)
    if (kind == "Zs" and character != " ") or character == _BRAILLE_BLANK:
        return "is a special kind of space; write a plain one"
    if kind in ("Cc", "Zl", "Zp"):
        return "is a control character; a name must not have one"
    if kind in ("Cs", "Co") or ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef":
        return "has no meaning that all systems share; leave it out"
    if _BIDI_CONTROL.match(character):
        return "changes the direction of the text; a name must not have such a character"
    if _INVISIBLE.match(character) and not _belongs(name, place, character):
        return "is invisible at this place; leave it out"
    return ""


def _wrong_in_text(character: str) -> str:
    """What is wrong with the character, for an error; an empty text if a text may have it."""
    if character in "\t\n":
        return ""
    if category(character) in ("Cc", "Zl", "Zp", "Cs"):
        return "is a control character; a text may have only tabs and newlines (U+000A)"
    return "changes the direction of the text; leave it out" if _BIDI_OVERRIDE.match(character) else ""


def _belongs(name: str, place: int, character: str) -> bool:
    """Whether an invisible character changes how its neighbours are written, so that it may be there."""
    before, after = name[place - 1 : place], name[place + 1 : place + 2]
    if character in (_NON_JOINER, _JOINER):
        return _joins(name, place, before, after)
    if character in ("\ufe0e", "\ufe0f"):
        return bool(_EMOJI.fullmatch(before) or _KEYCAP.match(name, max(place - 1, 0)))
    if "\ufe00" <= character <= "\ufe02" or "\U000e0100" <= character <= "\U000e01ef":
        return bool(_IDEOGRAPH.fullmatch(before))
    if "\u180b" <= character <= "\u180f":
        return "\u1820" <= before <= "\u18aa"
    return any(flag.start() < place < flag.end() for flag in _FLAG.finditer(name))


def _joins(name: str, place: int, before: str, after: str) -> bool:
    """Whether a joiner or non-joiner at `place` has an effect between `before` and `after`."""
    if not before:
        return False
    if combining(before) == _VIRAMA:
        return True
    if _JOINING.fullmatch(before) and _JOINING.fullmatch(after):
        return category(before)[0] in "LM" and category(after)[0] in "LM"
    if name[place] == _NON_JOINER:
        return False
    if _AFTER_EMOJI.fullmatch(before) and place > 1:
        before = name[place - 2]
    return bool(_EMOJI.fullmatch(before) and _EMOJI.fullmatch(after))
