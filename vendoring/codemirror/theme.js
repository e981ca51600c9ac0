// Colours are the page's own custom properties: light and dark are decided there.

import { EditorView } from "@codemirror/view";

const PAGE = "var(--card, Canvas)";
const INK = "var(--ink, CanvasText)";
const QUIET = "var(--quiet, GrayText)";
const RULE = "var(--rule, GrayText)";
const ACCENT = "var(--accent, Highlight)";
const WRONG = "var(--wrong, Mark)";
const tint = (colour, share) => `color-mix(in srgb, ${colour} ${share}%, transparent)`;
const MONOSPACED = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";

export const theme = EditorView.theme({
  "&": {
    color: INK,
    backgroundColor: PAGE,
    border: `1px solid ${RULE}`,
    borderRadius: "8px",
    overflow: "hidden",
    fontSize: "15px",
  },
  "&.cm-focused": { outline: `2px solid ${ACCENT}`, outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: MONOSPACED, lineHeight: "1.6" },
  ".cm-content": { caretColor: INK, padding: "12px 0", minHeight: "12em" },
  ".cm-line": { padding: "0 12px" },
  ".cm-placeholder": { color: QUIET },
  "&.cm-focused .cm-cursor": { borderLeftColor: INK, borderLeftWidth: "2px" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: INK },
  ".cm-activeLine": { backgroundColor: tint(ACCENT, 6) },
  ".cm-gutters": { backgroundColor: PAGE, color: QUIET, border: "none" },
  ".cm-activeLineGutter": { backgroundColor: tint(ACCENT, 6), color: INK },
  "& > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    background: tint(ACCENT, 20),
  },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    background: tint(ACCENT, 28),
  },
  ".cm-selectionMatch": { backgroundColor: tint(ACCENT, 14) },
  ".cm-searchMatch": { backgroundColor: tint(ACCENT, 22), outline: "none" },
  ".cm-searchMatch-selected": { backgroundColor: tint(ACCENT, 45) },
  ".cm-panels": { backgroundColor: PAGE, color: INK, fontFamily: "inherit" },
  ".cm-panels.cm-panels-top": { borderBottom: `1px solid ${RULE}` },
  ".cm-panels.cm-panels-bottom": { borderTop: `1px solid ${RULE}` },
  ".cm-panel.cm-search": { padding: "8px 32px 8px 8px" },
  ".cm-panel.cm-search label": { color: INK, fontSize: "14px" },
  ".cm-textfield": { backgroundColor: PAGE, color: INK, border: `1px solid ${RULE}` },
  ".cm-button": { backgroundImage: "none", backgroundColor: PAGE, border: `1px solid ${RULE}`, color: INK },
  ".cm-button, .cm-textfield": { minHeight: "32px", borderRadius: "4px" },
  ".cm-panel.cm-search [name=close]": { color: INK },
  ".cm-findings": { width: "16px" },
  ".cm-found-mark": { color: ACCENT, fontWeight: "bold", cursor: "help" },
  ".cm-found-error .cm-found-mark": { color: WRONG },
  ".cm-found-line": { backgroundColor: tint(ACCENT, 10) },
  ".cm-found-line-error": { backgroundColor: tint(WRONG, 12) },
  ".cm-found-text": { padding: "8px 12px", fontSize: "14px" },
  ".tok-heading": { fontWeight: "bold" },
  ".tok-strong": { fontWeight: "bold" },
  ".tok-emphasis": { fontStyle: "italic" },
  ".tok-strikethrough": { textDecoration: "line-through" },
  ".tok-link": { color: ACCENT },
  ".tok-url": { color: QUIET },
  ".tok-meta, .tok-comment": { color: QUIET },
  "@media (max-width: 600px)": {
    "&": { fontSize: "16px" }, // below that, telephones zoom in
    ".cm-lineNumbers": { display: "none !important" },
    ".cm-button, .cm-textfield": { minHeight: "44px" },
  },
});
