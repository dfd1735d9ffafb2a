"""Descriptions: Markdown in, the plain HTML out that a description on Figshare may hold. Pure."""

from __future__ import annotations

import re

LONGEST = 20_000
"""Characters of a description as HTML (official API description, ArticleCreate)."""

_TAGS = {
    "p", "br", "b", "strong", "i", "em", "u", "s", "sub", "sup", "a", "ul", "ol", "li", "blockquote", "code", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto"}


def to_html(text: str) -> str:
    """Markdown, or HTML, or both, as clean HTML: no scripts, styles, images, classes or strange links."""
    # Not before there is a description: most uploads have none, and are to start at once.
    import nh3
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text.strip())
    clean = nh3.clean(rendered, tags=_TAGS, attributes={"a": {"href"}}, url_schemes=_SCHEMES, link_rel=None).strip()
    return re.sub(r">\n+<", "><", clean)
