"""What a template may not contain, because the content security policy or plain sense forbids it."""

import re
from collections.abc import Iterator

FRAMES = {"document.html", "bare.html", "layout.html"}
COMMENT = re.compile(r"\{#.*?#\}", re.S)
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
HOLE = "\0"
"""Stands for Jinja code in the markup, so that its quotes and signs are not taken for markup."""

ANYWHERE = {
    r"hx-on\b": "hx-on needs eval",
    r"(?<![\w.])js:": "js: needs eval",
    r"(?:javascript|vbscript):|data:text/html": "code in an address",
    r"autoescape\s+false": "escaping switched off",
    r"""["']https?://""": "address of another host",
    r"""["']on[a-z]+["']\s*:""": "event handler among attributes",
    r"""["']style["']\s*:""": "inline style among attributes",
    r"""hx-trigger["']?\s*[=:]\s*(?:"[^"]*\[|'[^']*\[)""": "filter in hx-trigger needs eval",
    r'="[^"{]*\{\{(?:(?!\}\}|forceescape).)*\|\s*tojson(?:(?!\}\}|forceescape).)*\}\}': "tojson in double quotes",
}
IN_MARKUP = {
    r"<style\b": "style element",
    r"<script(?![^>]*\ssrc=)": "script without src",
    r"<[a-z][^<>]*\sstyle\s*=": "inline style",
    r"<[a-z][^<>]*\son[a-z]+\s*=": "event handler",
    rf"<[a-z][^<>]*\s[\w:-]+={HOLE}": "attribute without quotes around its expression",
    r"""=\s*(?:"[^"]*https?://|'[^']*https?://|["']\s*//)""": "address of another host",
    r"<meta[^>]*\shttp-equiv": "policy or redirect set in markup",
    r"<(?:iframe|object|embed|base)\b": "element that loads a foreign document",
}
POST_FORM = re.compile(r"<form\b[^>]*\bmethod=[\"']post[\"'][^>]*>.*?</form>", re.S | re.I)
SAFE = re.compile(r"\{\{\s*((?:(?!\}\}).)*?\|\s*safe\b(?:(?!\}\}).)*?)\s*\}\}", re.S)


def problems(name: str, source: str) -> list[str]:
    """One line for each thing that is wrong in the template `name` (its path under app/templates), `12: …`."""
    code = COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source)
    markup = JINJA.sub(lambda found: HOLE + "\n" * found[0].count("\n"), code)
    found = [
        (text[: match.start()].count("\n") + 1, f"{message}: {match[0].replace(HOLE, '…')[-40:]!r}")
        for text, rules in ((code, ANYWHERE), (markup, IN_MARKUP))
        for pattern, message in rules.items()
        for match in re.finditer(pattern, text, re.I)
    ]
    found += [(1, problem) for problem in _shape(name, code)]
    return [f"{line}: {problem}" for line, problem in sorted(found)]


def unescaped(source: str) -> list[str]:
    """The expressions that are put in as they are, by `|safe`."""
    return SAFE.findall(COMMENT.sub("", source))


def _shape(name: str, code: str) -> Iterator[str]:
    extends = re.search(r"\{%-?\s*extends\s+\"([^\"]+)\"", code)
    page = not name.rpartition("/")[2].startswith("_") and not name.startswith("components/")
    if page and name not in FRAMES:
        if not extends:
            yield "a page extends layout.html or bare.html; a fragment's name begins with _"
        elif not re.search(r"\{%-?\s*block\s+title\b", code):
            yield "a page has a title block"
    elif not page and extends:
        yield "a fragment extends nothing"
    if extends and extends[1] == "bare.html":
        return  # Nobody is signed in there, so there is no session to forge a request with.
    for form in POST_FORM.findall(code):
        if "hx-post" not in form and "_csrf_token" not in form and "csrf(" not in form:
            yield "a form that is sent without htmx carries its CSRF token"
