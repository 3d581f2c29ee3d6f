/** A block of lines at the end of a terminal, drawn again in place. */
export interface Screen {
  draw(lines: readonly string[]): void;
}

/** What fits is drawn: longer lines are cut, and what would leave the top of the window is left out at the bottom. */
export function createScreen(target: NodeJS.WriteStream = process.stdout): Screen {
  let drawn = 0;
  return {
    draw(lines) {
      const rows = Math.max(2, target.rows || 24) - 1;
      const left = lines.length - rows;
      const shown = left > 0 ? [...lines.slice(0, rows - 1), `… ${left + 1} more lines`] : lines;
      // Up to where the last block began, and all from there on is cleared; in one write, so that nothing flickers.
      const up = drawn === 0 ? "" : `\u001b[${drawn}A\u001b[0J`;
      target.write(`${up}${shown.map((line) => `${cut(line, target.columns || 80)}\n`).join("")}`);
      drawn = shown.length;
    },
  };
}

/** The first `width` characters of a line; colours do not count, and end with it. */
function cut(line: string, width: number): string {
  let visible = 0;
  let text = "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that colour text begin with the escape character.
  for (const [token] of line.matchAll(/\u001b\[[\d;]*m|./gsu)) {
    if (token.startsWith("\u001b")) text += token;
    else if (++visible < width) text += token;
    else return `${text}…\u001b[0m`;
  }
  return text;
}
