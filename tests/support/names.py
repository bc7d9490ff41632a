"""Names, and what is none: the same for every place where one can stand."""

NAMES = [
    "ada", "Ada Byron", "a  b", "team/ada", "/ada/", "a//b", "..a", "...", "create", "usage", "stream", "ada.ics",
    "a+b", "a%2Fb", "100%", "a?b=c&d", "a#b", "a;b,c", 'the "one"', "O'Brien\\", "<b>", "egi:2f6c@example.org",
    "=1+1", "null", "Zoë", "李", "日本 太郎", "Łukasz", "עדה", "葛\U000e0100城", "👩\u200d🔬", "👩🏽\u200d🔬 lab",
    "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "❤\ufe0f\u200d🔥",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland's flag
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Persian: the joiner parts what would be written together
    "\u0d38\u0d1c\u0d3f\u0d28\u0d4d\u200d",  # Malayalam, as it was written before it had letters for that
    "\u0915\u094d\u200d\u0937", "x" * 200, "é" * 200, "👩" * 200,
]  # fmt: skip

# And what is said of each, by what is said.
_SAID = {
    "1 to 200 characters": ["", "x" * 201],
    "more than blanks": [" ", "   ", "\xa0", "\u3000"],
    "begins or ends with a blank": [" ada", "ada "],
    "is a step in a path": [".", ".."],
    r"U\+\w{4} at character \d is a blank of another kind": ["a\xa0b", "a\u2009b", "a\u3000b", "\u2800", "\xa0ada"],
    r"U\+\w{4} at character \d is a control character": [
        "ada\n", "a\tb", "a\0b", "a\x1b[2J", "a\x7fb", "a\x85b", "a\x9bb", "a\u2028b", "a\u2029b",
    ],
    r"U\+\w{4} at character \d turns the direction": ["a\u202eb", "a\u2067b", "\u200eada", "\u061cada"],
    r"U\+\w{4,5} at character \d cannot be seen": [
        "a\u200bb", "a\u2060b", "\ufeffada", "a\xadb", "a\u034fb", "\u3164", "a\u200cb", "a\u200db", "👩\u200d",
        "\u200d👩", "👩\u200c🔬", "\u0639\u200c\u200c\u0639", "a\ufe0f", "a\U000e0100", "a\U000e0061",
        "\U0001f3f4\U000e0067",
    ],
    r"U\+\w{4} at character \d is no letter that all machines know": ["\ue000", "a\ufdd0", "a\uffff"],
}  # fmt: skip
NO_NAMES = {name: said for said, names in _SAID.items() for name in names}
