// What is wrong with a line: a mark beside its number, a tint, and the sentence below the text
// while the cursor is in it, so that it is there for the keyboard and on a telephone too.

import { RangeSet, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, GutterMarker, gutter, showPanel } from "@codemirror/view";

export const setFindings = StateEffect.define();

export function findings() {
  return [found, gutter({ class: "cm-findings", markers: (view) => view.state.field(found).marks })];
}

class Mark extends GutterMarker {
  constructor(severity, text) {
    super();
    this.severity = severity;
    this.text = text;
    this.elementClass = `cm-found cm-found-${severity}`;
  }

  eq(other) {
    return other.severity === this.severity && other.text === this.text;
  }

  toDOM() {
    const mark = document.createElement("span");
    mark.className = "cm-found-mark";
    mark.title = this.text;
    mark.textContent = this.severity === "error" ? "✕" : "!";
    return mark;
  }
}

const found = StateField.define({
  create: () => ({ marks: RangeSet.empty, tints: Decoration.none }),
  update(now, { changes, effects, state }) {
    const said = effects.filter((effect) => effect.is(setFindings)).at(-1);
    if (said) return byLine(state.doc, said.value);
    return { marks: now.marks.map(changes), tints: now.tints.map(changes) };
  },
  provide: (field) => [
    EditorView.decorations.from(field, ({ tints }) => tints),
    showPanel.from(field, () => panel),
  ],
});

function byLine(doc, list) {
  const lines = new Map();
  for (const { line, severity, text } of list) {
    const number = Math.min(Math.max(line ?? 1, 1), doc.lines);
    const before = lines.get(number) ?? { severity, texts: [] };
    const worst = before.severity === "error" ? "error" : severity;
    lines.set(number, { severity: worst, texts: [...before.texts, text] });
  }
  const sorted = [...lines].sort(([a], [b]) => a - b);
  return {
    marks: RangeSet.of(
      sorted.map(([number, { severity, texts }]) =>
        new Mark(severity, texts.join(" ")).range(doc.line(number).from)),
    ),
    tints: Decoration.set(
      sorted.map(([number, { severity }]) =>
        Decoration.line({ class: `cm-found-line cm-found-line-${severity}` }).range(
          doc.line(number).from)),
    ),
  };
}

function panel(view) {
  const dom = document.createElement("div");
  dom.className = "cm-found-text";
  dom.setAttribute("role", "status");
  const show = (state) => {
    dom.textContent = textAt(state);
    dom.hidden = !dom.textContent;
  };
  show(view.state);
  return { dom, update: ({ state }) => show(state) };
}

function textAt(state) {
  const line = state.doc.lineAt(state.selection.main.head);
  const texts = [];
  state.field(found).marks.between(line.from, line.to, (_from, _to, mark) => {
    texts.push(mark.text);
  });
  return texts.join(" ");
}
