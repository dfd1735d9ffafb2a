"""Convert descriptions from Markdown to the HTML that Figshare allows. Pure."""

from __future__ import annotations

import functools
import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MAX_DESCRIPTION = 20_000
"""Characters of a description as HTML (official API description, ArticleCreate)."""

_TAGS = {
    "p", "br", "b", "strong", "i", "em", "u", "s", "sub", "sup", "a", "ul", "ol", "li", "blockquote", "code", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto"}
_WHOLE = {
    "img": "image", "iframe": "frame", "script": "script", "style": "style sheet", "video": "video", "audio": "audio",
    "object": "object", "embed": "object", "svg": "drawing", "canvas": "drawing", "form": "form",
}  # fmt: skip
"""Elements removed with their content; of other removed elements the content stays."""
_BLOCKS = {
    "div", "section", "article", "header", "footer", "main", "aside", "nav", "figure", "figcaption", "address",
    "center", "dl", "dt", "dd", "caption", "title", "head", "body", "html", "template", "noscript", "textarea",
}  # fmt: skip
"""Other elements of HTML that matter to how a text is read."""
_KNOWN = _TAGS | _BLOCKS | set(_WHOLE)
_ANY_TAG = re.compile(r"</?([a-zA-Z][\w:.-]*)[^<>]*>")
_ESCAPED_END = re.compile(r"&lt;/\w[\w:-]*\s*&gt;")
_LINE = re.compile(r"[^\W\d_][^\x00-\x1f\x7f-\xa0*_`#\[\]<>&\\!~|]*")
"""A line that is the same in Markdown and as plain text."""
_ELEMENT = re.compile(r"</\w[\w:]*\s*>|<(?:br|hr|p|li)\b[^<>]*>", re.IGNORECASE)
"""An end tag, or a tag that needs none: plain text with a "<" in it has neither."""


@dataclass(frozen=True)
class Html:
    """A description as Figshare takes it. `dropped` counts the removed elements: "2 images"."""

    text: str
    dropped: tuple[str, ...] = ()


def to_html(text: str) -> Html:
    """Convert Markdown, HTML or a mix into clean HTML without scripts, styles, images, classes and unusual links."""
    if _LINE.fullmatch(text.strip()):
        return Html(f"<p>{text.strip()}</p>")
    return _clean(_markdown()(text.strip()))


def unescaped(text: str) -> str:
    """Return HTML or XML whose tags some services escape with these tags; any other text as it is."""
    return html.unescape(text) if "</" not in text and _ESCAPED_END.search(text) else text


def as_html(text: str) -> Html:
    """Return HTML as clean HTML, or plain text as paragraphs: nothing in it is Markdown."""
    text = unescaped(text)
    if _ELEMENT.search(text):
        return _clean(text.strip())
    paragraphs = (" ".join(one.split()) for one in re.split(r"\n\s*\n", html.unescape(text)))
    return Html("".join(f"<p>{html.escape(one, quote=False)}</p>" for one in paragraphs if one))


@functools.cache
def _markdown() -> Callable[[str], str]:
    # Imported here because most uploads have no description and should start fast.
    from markdown_it import MarkdownIt

    render: Callable[[str], str] = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render
    return render


def _clean(text: str) -> Html:
    import nh3

    # The library removes elements of other languages with their content, such as JATS's <sec>, MathML's secant.
    text = _ANY_TAG.sub(lambda tag: tag[0] if tag[1].lower() in _KNOWN else "", text)
    clean = functools.partial(nh3.clean, text, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel=None)
    kept = clean(tags=_TAGS).strip()
    return Html(re.sub(r">\n+<", "><", kept), _dropped(clean(tags=_TAGS | set(_WHOLE), clean_content_tags=set())))


def _dropped(html: str) -> tuple[str, ...]:
    """Return the names of what this well-formed HTML contains and a description must not."""
    external = re.sub(r"(<(script|style)>).*?</\2>", r"\1", html, flags=re.DOTALL)
    found = Counter(_WHOLE[tag] for tag in re.findall(r"<([a-z]+)[ >]", external) if tag in _WHOLE)
    return tuple(f"{count} {what}{'s' if count > 1 else ''}" for what, count in found.items())
