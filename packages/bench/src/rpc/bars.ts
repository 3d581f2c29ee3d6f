/** One line of the table: what was measured, who against whom, and what it had to be. */
export interface Row {
  readonly measure: string;
  /** By contestant, with its unit. */
  readonly figures: Record<string, string>;
  /** "5.1× connect-node". */
  readonly result: string;
  readonly atLeast: string;
  readonly aim: string;
  /** Undefined where nothing is demanded. */
  readonly passed: boolean | undefined;
  readonly aimed: boolean | undefined;
}

/** A row that compares rates: more is better. */
export function rateRow(
  measure: string,
  perSecond: Record<string, number>,
  [ours, theirs]: readonly [ours: string, theirs: string],
  bar: { atLeast: number; aim: number },
): Row {
  const ratio = (perSecond[ours] ?? 0) / (perSecond[theirs] ?? Number.NaN);
  return {
    measure,
    figures: mapValues(perSecond, (value) => `${Math.round(value).toLocaleString("en")}/s`),
    result: `${ratio.toFixed(1)}×`,
    atLeast: `${bar.atLeast}×`,
    aim: `${bar.aim}×`,
    passed: ratio >= bar.atLeast,
    aimed: ratio >= bar.aim,
  };
}

/** A row that compares costs: less is better. */
export function costRow(
  measure: string,
  micros: Record<string, number>,
  [ours, theirs]: readonly [ours: string, theirs: string],
  bar: { atLeast: number; aim: number; aimMicros?: number },
): Row {
  const own = micros[ours] ?? Number.NaN;
  const ratio = (micros[theirs] ?? 0) / own;
  return {
    measure,
    figures: mapValues(micros, (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} µs`),
    result: `÷ ${ratio.toFixed(1)}`,
    atLeast: `÷ ${bar.atLeast}`,
    aim: bar.aimMicros === undefined ? `÷ ${bar.aim}` : `${bar.aimMicros} µs`,
    passed: ratio >= bar.atLeast,
    aimed: bar.aimMicros === undefined ? ratio >= bar.aim : own <= bar.aimMicros,
  };
}

export function mapValues<T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

/** The table as Markdown. */
export function renderRows(rows: readonly Row[]): string {
  const lines = rows.map(({ measure, figures, result, atLeast, aim, passed, aimed }) => {
    const all = Object.entries(figures).map(([name, figure]) => `${name} ${figure}`);
    const verdict = passed === undefined ? "–" : passed ? (aimed ? "aim" : "pass") : "FAIL";
    return `| ${measure} | ${all.join(" · ")} | ${result} | ${atLeast} | ${aim} | ${verdict} |`;
  });
  return ["| measure | figures | result | at least | aim | verdict |", "|---|---|---|---|---|---|", ...lines].join(
    "\n",
  );
}
