"""An issue to look at before there is one."""

SAMPLE_ISSUE = """\
---
date: 2026-06-17
subject: "A sample issue"
preheader: "What this newsletter looks like"
---
## The Big Idea
The first section is set larger. It says in a few lines what the week was about, with a
[link](https://example.org/idea) where it belongs.

## Deep Reads
### [An article that is worth an hour](https://example.org/one)
*Ada Reader*

Two or three sentences say why. The colours of the text, of the heading and of the link are those
that you choose here.

> Whoever keeps a list of things to read.

### [Another one, shorter](https://example.org/two)
With a sentence, and `a word of code` in it.

## Connecting Thread
The last section closes the issue, on a tint of its own.
"""
