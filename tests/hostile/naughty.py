"""Texts that have broken other people's programs."""

# ruff: noqa: RUF001  (letters that look like others are what some of these are about)

from collections.abc import Mapping

_LISTS: Mapping[str, tuple[str, ...]] = {
    "SQL": (
        "'", "''", '"', "' OR '1'='1", "' OR 1=1 --", "1; DROP TABLE hookline.events; --",
        "'; DROP SCHEMA hookline CASCADE; --", "') ON CONFLICT DO NOTHING; --",
        "1 UNION SELECT * FROM pg_shadow",
        "$$; SELECT pg_sleep(10); $$", "$1", "%s", ":name", "?", "E'\\\\'", "\\", '{1,NULL,"a"}', "NULL",
        "null",
        "''||pg_sleep(10)||''", "COPY hookline.events TO PROGRAM 'id'",
    ),
    "shell": (
        "$(id)", "`id`", "; id", "| id", "&& id", "|| id", "> /tmp/x", "< /etc/passwd", "$HOME", "${HOME}",
        "~", "*",
        "!!", "() { :;}; id", "-rf", "--help", "--config=/etc/passwd", "$IFS$9id", "%COMSPEC%",
        "\\\\host\\share",
    ),
    "formats": (
        "%d%n%s%x", "%n%n%n%n%n%n", "%99999999999d", "{0}", "{}", "{self}", "{0.__class__.__mro__}",
        "{!r:>99999}",
        "%(password)s", "$name", "#{7*7}", "\\1", "\\g<0>", "\\u0041", "\\x41", "\\N{DIGIT ONE}", "{body}",
        "{challenge}", "{timestamp}.{body}", "EXTRA",
    ),
    "templates": (
        "{{7*7}}", "${7*7}", "<%= 7*7 %>", "{% raw %}", "{{config}}", "#set($x=7*7)",
        "${jndi:ldap://localhost/a}",
        "{{constructor.constructor('id')()}}", "@(7*7)", "[[${7*7}]]",
    ),
    "paths": (
        "..", ".", "../begini", "../../../../etc/passwd", "..\\..\\windows\\win.ini",
        "....//....//etc/passwd",
        "/etc/passwd", "//etc/passwd", "file:///etc/passwd", "C:\\con", "CON", "NUL", "lpt1.txt",
        "begini/../begini",
        "%2e%2e%2f", "%252e%252e%252f", "%00", "%", "%zz", "%c0%af", "..;/", "begini;a=b", "begini.json",
        ".git/config",
        "begini/", "./begini",
    ),
    "lines": (
        "\r\n", "\n", "\r", "a\r\nX-Signature: b", "a\r\n\r\nGET / HTTP/1.1", "a\nSet-Cookie: b=c",
        "\r\nContent-Length: 0",
        "%0d%0a", "\u0085", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e",
    ),
    "controls": ("\0", "a\0b", "\x01", "\x07", "\x08", "\x1b[2J", "\x1b]0;title\x07", "\x7f", "\t",
    "\ufeff", "\ufffe", "\uffff"),
    "Unicode": (
        "é", "e\u0301", "ﬁ", "ß", "İ", "ı", "ǆ", "ſ", "\u202e", "\u2066a\u2069", "\u200b", "\u200d",
        "\u00ad", "\u00a0",
        "\u3000", "\u180e", "表ポあA鷗", "田中さん", "Ω≈ç√∫", "الله", "בראשית", "ﷺ", "👩🏽\u200d💻",
        "🏴\U000e0067\U000e007f", "🇪🇺", "𝕿𝖍𝖊",
        "Z\u0351\u036b\u0343\u032a", "\U0010ffff", "\U000e0001", "ｂｅｇｉｎｉ", "ьеgini", "begini\u0307", "١٢٣",
        "①", "½", "−1", "′", "‘",
    ),
    "markup": (
        "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "<!--", "]]>",
        "<?php id ?>",
        "&lt;", "&#0;", "<a href='\x01javascript:1'>", "=1+1", "@SUM(1)", "+1", "-1+1|cmd",
        "[](javascript:1)",
    ),
    "words": (
        "undefined", "NaN", "Infinity", "true", "false", "none", "None", "nil", "0", "-1", "1e999", "0x0",
        "00", "1/0",
        "constructor", "__proto__", "prototype", "toString", "hasOwnProperty", "__class__", "__init__",
        "self", "this",
        "then", "length", "unparsable", "begini", "BEGINI", "default", "all", "*.*", "9999999999999999999999",
    ),
    "sizes": ("x" * 500, "x" * 5_000, "é" * 2_000, "💥" * 1_000, "../" * 1_500, "%" * 3_000, "'" * 3_000,
    " " * 3_000),
}  # fmt: skip

NAUGHTY: Mapping[str, str] = {
    f"{kind} {number}": text for kind, texts in _LISTS.items() for number, text in enumerate(texts)
}
