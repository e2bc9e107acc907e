import { randomBytes } from "node:crypto";
import type { MimeBundle } from "./cell-outputs";

export type { MimeBundle };

export interface DisplayOptions {
  /** Name under which the display can be updated later. */
  id?: string;
  /** Replace the display of that name instead of adding one. Default false. */
  update?: boolean;
  /** Per MIME type, e.g. `{ "image/png": { width: 640 } }`. */
  metadata?: Record<string, unknown>;
}

/** A way to get displays to whoever looks: a notebook, a terminal, a test. */
export type DisplaySink = (bundle: MimeBundle, options: DisplayOptions) => void;

/**
 * Shows one thing in several forms; the front end takes the best it can show.
 *
 * Bytes are sent as base64. Outside a notebook the "text/plain" form is printed. Plain text is never HTML: what goes under
 * "text/html" must have been escaped by its maker (see {@link escapeHtml}). Pictures get the plain text as their text
 * alternative, unless `metadata` has one (`alt` of the picture's type, as nbconvert and nbviewer read it).
 *
 * @param bundle data by MIME type; always give "text/plain" too
 */
export function display(bundle: MimeBundle, options: DisplayOptions = {}): void {
  const data = Object.fromEntries(
    Object.entries(bundle).map(([type, value]) => [type, value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value]),
  );
  (notebookSink() ?? denoSink() ?? terminalSink)(data, { ...options, metadata: withTextAlternatives(data, options.metadata) });
}

/** Metadata in which each picture has a text alternative. */
function withTextAlternatives(data: MimeBundle, metadata: Record<string, unknown> = {}): Record<string, unknown> {
  const alt = data["text/plain"];
  if (typeof alt !== "string") return metadata;
  const pictures = Object.keys(data).filter((type) => type.startsWith("image/"));
  return { ...metadata, ...Object.fromEntries(pictures.map((type) => [type, { alt, ...(metadata[type] as object | undefined) }])) };
}

/** Shows Markdown, equations between dollar signs included. */
export function markdown(text: string): void {
  display({ "text/markdown": text, "text/plain": text });
}

/** A new name for a display. */
export function newDisplayId(): string {
  return randomBytes(8).toString("hex");
}

interface TslabJupyter {
  lastWriteDisplayData: ((message: { data: MimeBundle; metadata: object; transient: { display_id?: string } }, update: boolean) => void) | null;
}

/** The running kernel's way to send a display; undefined outside a notebook. */
function notebookSink(): DisplaySink | undefined {
  // It must be the very module that the kernel runs: requiring tslab here might load another copy.
  const path = Object.keys(require.cache).find((name) => /[\\/]tslab[\\/]dist[\\/]jupyter\.js$/.test(name));
  const jupyter: TslabJupyter | undefined = path === undefined ? undefined : require.cache[path]?.exports;
  const write = jupyter?.lastWriteDisplayData;
  if (!write) return undefined;
  return (data, { id, update = false, metadata = {} }) => write({ data, metadata, transient: id === undefined ? {} : { display_id: id } }, update);
}

/** Deno's Jupyter kernel sends any message to the front end by a function of its own. */
interface DenoJupyter {
  broadcast(type: string, content: { data: MimeBundle; metadata: object; transient: { display_id?: string } }): Promise<void>;
}

function denoSink(): DisplaySink | undefined {
  const { Deno: deno } = globalThis as { Deno?: { jupyter?: Partial<DenoJupyter> } };
  const broadcast = deno?.jupyter?.broadcast;
  if (!broadcast) return undefined;
  return (data, { id, update = false, metadata = {} }) =>
    void broadcast(update ? "update_display_data" : "display_data", { data, metadata, transient: id === undefined ? {} : { display_id: id } });
}

function terminalSink(data: MimeBundle, { update = false }: DisplayOptions): void {
  const text = data["text/plain"];
  // A terminal can't change what it has printed; a display's first state has to do there.
  if (typeof text === "string" && !update) process.stdout.write(`${text}\n`);
}
