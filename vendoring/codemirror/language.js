// Markdown as issues have it: front matter first, which Markdown itself would call a heading.

import { markdownLanguage } from "@codemirror/lang-markdown";
import { Language } from "@codemirror/language";
import { tags } from "@lezer/highlight";

const FENCE = /^---\s*$/;

const frontMatter = {
  defineNodes: [
    { name: "FrontMatter", block: true },
    { name: "FrontMatterMark", style: tags.meta },
  ],
  parseBlock: [{ name: "FrontMatter", before: "HorizontalRule", parse }],
};

function parse(context, line) {
  if (context.lineStart !== 0 || !FENCE.test(line.text)) return false;
  const marks = [context.elt("FrontMatterMark", 0, line.text.length)];
  let isClosed = false;
  while (!isClosed && context.nextLine()) {
    isClosed = FENCE.test(line.text);
    if (isClosed) {
      const from = context.lineStart;
      marks.push(context.elt("FrontMatterMark", from, from + line.text.length));
    }
  }
  if (isClosed) context.nextLine();
  context.addElement(context.elt("FrontMatter", 0, context.prevLineEnd(), marks));
  return true;
}

// The same data: the keys that go on with a list ask for it.
export const issueLanguage = new Language(
  markdownLanguage.data,
  markdownLanguage.parser.configure(frontMatter),
  [],
  "markdown",
);
