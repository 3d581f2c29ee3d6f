import { createColors } from "picocolors";

const { FORCE_COLOR, NO_COLOR, TERM } = process.env;

/**
 * Colours for people: on a terminal, unless NO_COLOR is set, and wherever FORCE_COLOR asks for them. picocolors by itself takes every CI for a
 * terminal, and scripts read there what the CLI prints.
 */
export default createColors(!NO_COLOR && (Boolean(FORCE_COLOR) || (process.stdout.isTTY === true && TERM !== "dumb")));
