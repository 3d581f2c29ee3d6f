// Prints the quickstart's steps; nothing about Mecha in here.
import { styleText } from "node:util";

const started = performance.now();
let steps = 0;

export function begin(): void {
  console.log(
    `\n${styleText("bold", "Mecha quickstart")}: app "${process.env.MECHA_APP_ID}", runtime at ${process.env.MECHA_ENDPOINT}`,
  );
}

export function step(title: string): void {
  steps++;
  console.log(`\n${styleText("bold", `${steps}. ${title}`)}`);
}

export function proves(what: string): void {
  console.log(`   ${styleText("green", "✓")} ${what}`);
}

export function end(): void {
  console.log(
    `\n${styleText("green", "All of it held")}, in ${Math.round(performance.now() - started)} ms. The program: examples/quickstart/src/quickstart.ts\n`,
  );
}
