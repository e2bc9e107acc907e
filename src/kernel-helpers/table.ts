import type { MimeBundle } from "./cell-outputs";
import { display } from "./display";
import { escapeHtml } from "./html";

export type TableValue = string | number | boolean | null | undefined;

/** A row: values by column name. */
export type TableRow = Readonly<Record<string, TableValue>>;

export interface TableOptions {
  /** Columns in order. Default: all names in the order in which they first come. */
  columns?: readonly string[];
  caption?: string;
  /** Significant digits of numbers that aren't whole. Default 4. */
  digits?: number;
}

/** Rows as a table in HTML, Markdown and plain text; numbers stand at the right. */
export function table(rows: readonly TableRow[], options: TableOptions = {}): MimeBundle {
  const { columns = [...new Set(rows.flatMap(Object.keys))], caption = "", digits = 4 } = options;
  const isNumeric = columns.map((column) => rows.some((row) => typeof row[column] === "number"));
  const body = rows.map((row) => columns.map((column) => formatValue(row[column], digits)));
  return {
    "text/html": htmlTable(columns, body, isNumeric, caption),
    "text/markdown": markdownTable(columns, body, isNumeric, caption),
    "text/plain": plainTable(columns, body, isNumeric, caption),
  };
}

/** Shows rows as a table below the cell. */
export function showTable(rows: readonly TableRow[], options: TableOptions = {}): void {
  display(table(rows, options));
}

function formatValue(value: TableValue, digits: number): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US").replaceAll(",", "\u2009");
  return String(Number(value.toPrecision(digits)));
}

function htmlTable(columns: readonly string[], body: readonly string[][], isNumeric: readonly boolean[], caption: string): string {
  const align = (index: number): string => `style="text-align: ${isNumeric[index] ? "right" : "left"}"`;
  const head = columns.map((name, index) => `<th scope="col" ${align(index)}>${escapeHtml(name)}</th>`).join("");
  const lines = body.map((cells) => `<tr>${cells.map((text, index) => `<td ${align(index)}>${escapeHtml(text)}</td>`).join("")}</tr>`).join("");
  return `<table>${caption && `<caption>${escapeHtml(caption)}</caption>`}<thead><tr>${head}</tr></thead><tbody>${lines}</tbody></table>`;
}

function markdownTable(columns: readonly string[], body: readonly string[][], isNumeric: readonly boolean[], caption: string): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(" | ")} |`;
  const rule = `|${isNumeric.map((numeric) => (numeric ? "---:" : "---")).join("|")}|`;
  return [...(caption ? [`**${escapeMarkdown(caption)}**`, ""] : []), line(columns), rule, ...body.map(line)].join("\n");
}

function escapeMarkdown(text: string): string {
  return escapeHtml(text.replace(/\s*\n\s*/g, " ")).replace(/[\\`*_|[\]$~]/g, (character) => `\\${character}`);
}

function plainTable(columns: readonly string[], body: readonly string[][], isNumeric: readonly boolean[], caption: string): string {
  const widths = columns.map((name, index) => Math.max(name.length, ...body.map((cells) => cells[index].length)));
  const line = (cells: readonly string[]): string =>
    cells.map((text, index) => (isNumeric[index] ? text.padStart(widths[index]) : text.padEnd(widths[index]))).join("  ").trimEnd();
  return [...(caption ? [caption] : []), line(columns), widths.map((width) => "-".repeat(width)).join("  "), ...body.map(line)].join("\n");
}
