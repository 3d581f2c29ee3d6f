// Prints the story's steps; nothing about Mecha in here.
import { setTimeout as delay } from "node:timers/promises";
import { styleText } from "node:util";

const started = performance.now();
let steps = 0;

export function begin(title: string): void {
  console.log(`\n${styleText("bold", title)}`);
}

export async function step(title: string, play: () => Promise<void>): Promise<void> {
  steps++;
  console.log(`\n${styleText("bold", `${steps}. ${title}`)}`);
  await play();
}

export function proves(what: string): void {
  console.log(`   ${styleText("green", "✓")} ${what}`);
}

/** What a program printed, or a picture of what was seen. */
export function shows(lines: readonly string[]): void {
  for (const line of lines) console.log(line === "" ? "" : `     ${line}`);
}

export function end(): void {
  console.log(`\n${styleText("green", "All of it held")}, in ${Math.round(performance.now() - started)} ms.\n`);
}

/** Waits until something holds; after a minute it says what did not. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited a minute in vain until ${what}`);
    await delay(20);
  }
}
