"""Convert descriptions from Markdown to the HTML that Figshare allows. Pure."""

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
"""Elements removed with their content; of other removed elements the content stays."""


@dataclass(frozen=True)
class Html:
    """A description as Figshare takes it. `dropped` counts the removed elements: "2 images"."""

    text: str
    dropped: tuple[str, ...] = ()


def to_html(text: str) -> Html:
    """Convert Markdown, HTML or a mix into clean HTML without scripts, styles, images, classes and unusual links."""
    # Imported here because most uploads have no description and should start fast.
    import nh3
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text.strip())
    clean = functools.partial(nh3.clean, rendered, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel=None)
    kept = clean(tags=_TAGS).strip()
    return Html(re.sub(r">\n+<", "><", kept), _dropped(clean(tags=_TAGS | set(_WHOLE), clean_content_tags=set())))


def _dropped(html: str) -> tuple[str, ...]:
    """Return what this well-formed HTML contains that is not allowed in a description."""
    external = re.sub(r"(<(script|style)>).*?</\2>", r"\1", html, flags=re.DOTALL)
    found = Counter(_WHOLE[tag] for tag in re.findall(r"<([a-z]+)[ >]", external) if tag in _WHOLE)
    return tuple(f"{count} {what}{'s' if count > 1 else ''}" for what, count in found.items())
