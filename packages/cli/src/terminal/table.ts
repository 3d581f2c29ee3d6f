import pc from "./colors.js";

/** Rows in columns as wide as what stands in them; the last one is not filled up. Colours in cells do not count. */
export function formatTable(header: string[], rows: string[][]): string {
  const widths = header.map((title, column) =>
    Math.max(...[header, ...rows].map((row) => visibleLength(row[column] ?? title))),
  );
  const formatRow = (cells: string[]) =>
    cells
      .map(
        (cell, column) =>
          cell + " ".repeat(column === cells.length - 1 ? 0 : (widths[column] ?? 0) - visibleLength(cell)),
      )
      .join("  ")
      .trimEnd();
  return [header.map((title) => pc.dim(title)), ...rows].map(formatRow).join("\n");
}

function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that colour text begin with the escape character.
  return text.replace(/\u001b\[\d+m/g, "").length;
}
