"""Descriptions: Markdown in, the plain HTML out that a description on Figshare may hold. Pure."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass

LONGEST = 20_000
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
"""Elements that are something themselves; of others that go, what is in them stays."""


@dataclass(frozen=True)
class Html:
    """A description as Figshare is given it. `dropped` counts what was in the text and is not in it: "2 images"."""

    text: str
    dropped: tuple[str, ...] = ()


def to_html(text: str) -> Html:
    """Markdown, or HTML, or both, as clean HTML: no scripts, styles, images, classes or strange links."""
    # Not before there is a description: most uploads have none, and are to start at once.
    import nh3
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text.strip())
    clean = functools.partial(nh3.clean, rendered, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel=None)
    kept = clean(tags=_TAGS).strip()
    return Html(re.sub(r">\n+<", "><", kept), _dropped(clean(tags=_TAGS | set(_WHOLE), clean_content_tags=set())))


def _dropped(html: str) -> tuple[str, ...]:
    """What is in this HTML, which is well-formed, and may not be in a description."""
    outside = re.sub(r"(<(script|style)>).*?</\2>", r"\1", html, flags=re.DOTALL)
    found = Counter(_WHOLE[tag] for tag in re.findall(r"<([a-z]+)[ >]", outside) if tag in _WHOLE)
    return tuple(f"{count} {what}{'s' if count > 1 else ''}" for what, count in found.items())
