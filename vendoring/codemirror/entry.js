// The editor of an issue's text: CodeMirror over a <textarea>, which stays the form's field.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { markdownKeymap } from "@codemirror/lang-markdown";
import { indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";

import { findings, setFindings } from "./findings.js";
import { issueLanguage } from "./language.js";
import { theme } from "./theme.js";

/**
 * Put an editor in the place of `textarea`; without script the field itself is the editor.
 *
 * The field keeps the text, so that its form can be sent at any time, and says `input` at every
 * change. Tab moves on to the next field. `phrases` translates what the search panel says.
 *
 * Returns `{setFindings([{line, severity, text}]), goto(line), text(), replace(text),
 * insert(text), focus(), dom}`; lines count from 1, a severity is "error" or "warning" or else.
 */
export function edit(textarea, { onChange = () => {}, label = "", phrases = {} } = {}) {
  const view = new EditorView({
    state: EditorState.create({
      doc: textarea.value,
      extensions: [
        lineNumbers(),
        findings(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        search({ top: true }),
        issueLanguage,
        indentUnit.of("  "),
        syntaxHighlighting(classHighlighter),
        keymap.of([...markdownKeymap, ...defaultKeymap, ...historyKeymap, ...searchKeymap]),
        placeholder(textarea.placeholder),
        EditorState.phrases.of(phrases),
        EditorState.readOnly.of(textarea.readOnly),
        EditorView.editable.of(!textarea.readOnly),
        EditorView.lineWrapping,
        EditorView.domEventHandlers({ beforeinput: typedOverLines }),
        EditorView.contentAttributes.of(attributesOf(textarea, label)),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          textarea.value = update.state.doc.toString();
          textarea.dispatchEvent(new Event("input", { bubbles: true }));
          onChange(textarea.value);
        }),
        theme,
      ],
    }),
  });
  textarea.after(view.dom);
  textarea.hidden = true;
  return steering(view);
}

function attributesOf(textarea, label) {
  const attributes = { spellcheck: "true", autocapitalize: "sentences", autocorrect: "on" };
  attributes.tabindex = "0"; // said in so many words: what scrolls is reached by the keyboard
  attributes["aria-label"] = label || textarea.labels[0]?.textContent.trim() || textarea.name;
  const described = textarea.getAttribute("aria-describedby");
  if (described) attributes["aria-describedby"] = described;
  if (textarea.lang) attributes.lang = textarea.lang;
  return attributes;
}

/** A browser gives lines that it merges a style of its own, which the page's policy blocks. */
function typedOverLines(event, view) {
  const { from, to } = view.state.selection.main;
  const { doc } = view.state;
  if (event.inputType !== "insertText" || event.data === null || view.composing) return false;
  if (doc.lineAt(from).number === doc.lineAt(to).number) return false;
  event.preventDefault();
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type" });
  return true;
}

function steering(view) {
  return {
    dom: view.dom,
    focus: () => view.focus(),
    text: () => view.state.doc.toString(),
    setFindings: (found) => view.dispatch({ effects: setFindings.of(found) }),
    goto(number) {
      const { lines } = view.state.doc;
      const line = view.state.doc.line(Math.min(Math.max(number, 1), lines));
      view.dispatch({
        selection: { anchor: line.from },
        effects: EditorView.scrollIntoView(line.from, { y: "center" }),
      });
      view.focus();
    },
    replace(text) {
      const anchor = Math.min(view.state.selection.main.anchor, text.length);
      const changes = { from: 0, to: view.state.doc.length, insert: text };
      view.dispatch({ changes, selection: { anchor: Math.min(anchor, view.state.toText(text).length) } });
    },
    insert(text) {
      view.dispatch(view.state.replaceSelection(text), { scrollIntoView: true });
      view.focus();
    },
  };
}
