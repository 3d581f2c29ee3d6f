/** A text without what a terminal would obey; `keep` is what of it may stay. */
export function printable(text: string, keep = ""): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey is what must not reach it.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => (keep.includes(character) ? character : " "));
}
