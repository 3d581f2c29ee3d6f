import { styleText } from "node:util";
import type { LossReport } from "./run.ts";

/** Reports as a table that reads as text and as Markdown; coloured on a terminal. */
export function renderReports(reports: readonly LossReport[]): string {
  const titles = ["component", "rounds", "acknowledged", "lost", "reordered", "duplicated", "kills", "seconds"];
  const rows = reports.map((report) => {
    const { ordered, kills } = report;
    return [
      report.component,
      String(report.rounds),
      count(report.acknowledged),
      count(report.lost),
      ordered ? count(report.reordered) : "no `ORDERED`",
      count(report.duplicated),
      Object.entries(kills)
        .filter(([, times]) => times > 0)
        .map(([victim, times]) => `${times} ${victim}`)
        .join(", "),
      String(report.seconds),
    ];
  });
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = (column: number) => column > 0 && titles[column] !== "kills";
  const line = (cells: readonly string[], paint: (cell: string, column: number) => string) =>
    `| ${cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return paint(isNumber(column) ? cell.padStart(width) : cell.padEnd(width), column);
      })
      .join(" | ")} |`;
  const rule = `|${widths.map((width, column) => `${"-".repeat(width + 1)}${isNumber(column) ? ":" : "-"}`).join("|")}|`;
  return [
    line(titles, (cell) => paint("bold", cell)),
    rule,
    ...rows.map((row) =>
      line(row, (cell, column) => {
        const title = titles[column];
        if (title !== "lost" && title !== "reordered") return cell;
        return paint(row[column] === "0" ? "green" : row[column]?.startsWith("no") ? "dim" : "red", cell);
      }),
    ),
  ].join("\n");
}

const count = (number: number) => number.toLocaleString("en");

/** Colours where `stdout` is a terminal; `NO_COLOR` and `FORCE_COLOR` are kept. */
const paint = (style: Parameters<typeof styleText>[0], text: string) =>
  styleText(style, text, { stream: process.stdout });
