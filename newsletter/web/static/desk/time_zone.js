// A select with `data-here` begins with the browser's own time zone, if it is among its options.

const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const select of document.querySelectorAll("select[data-here]")) {
  if ([...select.options].some((option) => option.value === here)) select.value = here;
}
