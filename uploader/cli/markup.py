"""Markup: elements of HTML and SVG as a tree, so that nothing is ever put together from text.

What comes from outside is escaped by what writes the tree, and made printable here.
"""

from __future__ import annotations

from typing import TypeAlias
from xml.etree import ElementTree as ET

from uploader.text import printable

Element: TypeAlias = ET.Element
Child: TypeAlias = Element | str | None


def el(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """An element. Text is made printable; None among the children or attributes is nothing.

    Names of attributes are written with `_` for `-`, and with one at their end where Python knows the word (`class_`).
    """
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), printable(str(value)))
    for child in children:
        if isinstance(child, str):
            _add_text(made, printable(child))
        elif child is not None:
            made.append(child)
    return made


def _add_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def page(title: str, style: str, *body: Child) -> str:
    """A whole page that holds everything it needs, and may load and run nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    sheet = el("style")
    sheet.text = style
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        sheet,
    )
    root = el("html", head, el("body", *body), lang="en")
    return "<!doctype html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"
