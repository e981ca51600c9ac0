"""Markdown to text that reads well by itself: the text part of a mail is written, not converted."""

import textwrap
from collections.abc import Sequence

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from newsletter.rendering.templates import fill


def to_text(tokens: list[Token]) -> str:
    """Paragraphs wrapped at 72 columns; lists, quotes and code keep their shape."""
    return _blocks(SyntaxTreeNode(tokens).children)


def plain_to_text(text: str) -> str:
    """Plain paragraphs, wrapped."""
    return "\n\n".join(fill(paragraph) for paragraph in text.split("\n\n"))


def _blocks(nodes: Sequence[SyntaxTreeNode], *, tight: bool = False) -> str:
    texts = [text for node in nodes if (text := _block(node))]
    return ("\n" if tight else "\n\n").join(texts)


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "fence" | "code_block":
            return textwrap.indent(node.content.rstrip("\n"), "    ")
        case "blockquote":
            return textwrap.indent(_blocks(node.children), "> ", lambda _: True)
        case "bullet_list" | "ordered_list":
            return _list(node)
        case "table":
            return "\n".join(_row(row) for part in node.children for row in part.children)
        case "hr":
            return "* * *"
        case _:
            return _paragraph(node)


def _paragraph(node: SyntaxTreeNode) -> str:
    lines = "".join(_inline(child) for child in node.children).split("\n")
    return "\n".join(fill(line) for line in lines).strip()


def _list(node: SyntaxTreeNode) -> str:
    start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    items = []
    for number, item in enumerate(node.children):
        mark = "- " if start is None else f"{start + number}. "
        body = _blocks(item.children, tight=True)
        items.append(mark + textwrap.indent(body, " " * len(mark)).strip())
    return "\n".join(items)


def _row(row: SyntaxTreeNode) -> str:
    return " | ".join(_paragraph(cell) for cell in row.children)


def _inline(node: SyntaxTreeNode) -> str:
    match node.type:
        case "inline" | "em" | "strong" | "s":
            return "".join(_inline(child) for child in node.children)
        case "link":
            return _link(node)
        case "image":
            return f"[{node.content}]" if node.content.strip() else ""
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case _:
            return node.content


def _link(node: SyntaxTreeNode) -> str:
    text = "".join(_inline(child) for child in node.children)
    href = str(node.attrs.get("href", ""))
    return href if text in (href, "") else f"{text} ({href})"
