import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { formatDuration } from "../model/progress";
import { display } from "./display";
import { table, type TableRow } from "./table";

/** Something that a participant did, a line of the workshop's log. */
export type WorkshopEvent = { time: string } & NewEvent;

type NewEvent = { kind: "section"; name: string; minutes: number } | { kind: "exercise"; name: string; result: string };

/** The log's file in a participant's copy (npm start -- --workshop); undefined anywhere else. */
function logFile(): string | undefined {
  return process.env.CROSSFLOW_WORKSHOP_LOG;
}

/** Adds an event to the participant's log. Nothing happens outside a workshop, or where the log can't be written. */
export function recordEvent(event: NewEvent): void {
  const file = logFile();
  if (file === undefined) return;
  try {
    appendFileSync(file, `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
  } catch {
    // A full disk must not keep anybody from an exercise.
  }
}

/** The events of a log, oldest first; lines that were cut off are left out. */
export function readEvents(file: string): WorkshopEvent[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").flatMap((line) => {
    try {
      return line ? [JSON.parse(line) as WorkshopEvent] : [];
    } catch {
      return [];
    }
  });
}

/**
 * Begins a section of a workshop: notes the time and says how long the section before took.
 * @param minutes what the plan gives it
 */
export function section(name: string, minutes: number): void {
  recordEvent({ kind: "section", name, minutes });
  const rows = sectionRows(readEvents(logFile() ?? ""));
  const before = rows.at(-2);
  const past = before ? ` The section before, ${before.section}, took ${before.took} of ${before.plan}.` : "";
  display({ "text/plain": `Section "${name}": ${minutes} min by the plan.${past}` });
}

/** Shows how long each section took, beside the plan, and the exercises solved in it. */
export function showSectionTimes(): void {
  display(table(sectionRows(readEvents(logFile() ?? "")), { caption: "Sections of this workshop" }));
}

/** A row a section: its plan, what it took until the next began (the last one: until the latest event), exercises solved. */
export function sectionRows(events: readonly WorkshopEvent[]): (TableRow & { section: string; plan: string; took: string })[] {
  const starts = events.flatMap((event, index) => (event.kind === "section" ? [{ event, index }] : []));
  return starts.map(({ event, index }, position) => {
    const next = starts[position + 1];
    const end = next ? next.event.time : events[events.length - 1].time;
    const solved = new Set(events.slice(index, next?.index).flatMap((other) => (other.kind === "exercise" && other.result === "exact" ? [other.name] : [])));
    return { section: event.name, plan: `${event.minutes} min`, took: formatDuration((Date.parse(end) - Date.parse(event.time)) / 1000), solved: [...solved].join(", ") };
  });
}
