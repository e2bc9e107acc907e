/** Data of one output in several forms, by MIME type. */
export type MimeBundle = Record<string, unknown>;

/** An output of a code cell, as notebook files hold it (nbformat 4). */
export type CellOutput =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string }
  | { output_type: "display_data"; data: MimeBundle; metadata: Record<string, unknown> }
  | { output_type: "execute_result"; data: MimeBundle; metadata: Record<string, unknown>; execution_count: number | null }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

type DisplayOutput = Extract<CellOutput, { data: MimeBundle }>;

/** A message that a kernel publishes while it runs a cell. */
export interface KernelMessage {
  type: string;
  content: Record<string, unknown>;
}

/** Builds the outputs of cells from the kernel's messages, as a notebook front end does. */
export interface OutputCollector {
  /** The outputs of a new cell; the array grows and changes as messages arrive. */
  begin(): CellOutput[];
  /** Applies one message to the cell begun last. A display that is updated in place keeps its latest state only. */
  receive(message: KernelMessage): void;
}

export function createOutputCollector(): OutputCollector {
  // Displays are updated by name, also from cells that come later.
  const displays = new Map<string, DisplayOutput[]>();
  let outputs: CellOutput[] = [];
  let clearBeforeNext = false;

  const add = (output: CellOutput): void => {
    if (clearBeforeNext) outputs.length = 0;
    clearBeforeNext = false;
    outputs.push(output);
  };

  return {
    begin() {
      outputs = [];
      clearBeforeNext = false;
      return outputs;
    },
    receive({ type, content }) {
      switch (type) {
        case "stream": {
          const { name, text } = content as { name: "stdout" | "stderr"; text: string };
          const last = outputs.at(-1);
          if (!clearBeforeNext && last?.output_type === "stream" && last.name === name) last.text += text;
          else add({ output_type: "stream", name, text });
          break;
        }
        case "display_data":
        case "execute_result": {
          const { data, metadata = {}, transient, execution_count = null } = content as unknown as DisplayContent;
          const output: DisplayOutput =
            type === "display_data" ? { output_type: type, data, metadata } : { output_type: type, data, metadata, execution_count };
          add(output);
          const name = transient?.display_id;
          if (name !== undefined) displays.set(name, [...(displays.get(name) ?? []), output]);
          break;
        }
        case "update_display_data": {
          const { data, metadata = {}, transient } = content as unknown as DisplayContent;
          for (const output of displays.get(transient?.display_id ?? "") ?? []) Object.assign(output, { data, metadata });
          break;
        }
        case "error": {
          const { ename, evalue, traceback } = content as { ename: string; evalue: string; traceback: string[] };
          add({ output_type: "error", ename, evalue, traceback });
          break;
        }
        case "clear_output":
          if (content.wait) clearBeforeNext = true;
          else outputs.length = 0;
          break;
      }
    },
  };
}

interface DisplayContent {
  data: MimeBundle;
  metadata?: Record<string, unknown>;
  transient?: { display_id?: string };
  execution_count?: number | null;
}
