import { inspect } from "node:util";
import { display } from "../display";
import { renderValue, type show } from "../values/renderers";
import type { Tslab } from "./tslab";

/**
 * Defect: tslab prints a cell's last value as text, a tensor or a figure as a heap of braces.
 *
 * Mend: it is shown in the form that says most of it (see {@link show}); what has no such form is printed as before. The cell
 * ends when it has been shown.
 */
export function installLastValue({ executor }: Tslab): void {
  const { createExecutor } = executor;
  executor.createExecutor = (folder, converters, output) => {
    let shown: Promise<void> | undefined;
    // tslab calls its output's `log` for a cell's last value alone.
    const log = (...values: unknown[]): void => {
      const [value] = values;
      shown = typeof value === "object" && value !== null ? showObject(value, output.log) : void output.log(...values);
    };
    const inner = createExecutor(folder, converters, { ...output, log });
    return {
      ...inner,
      async execute(source) {
        shown = undefined;
        const succeeded = await inner.execute(source);
        await shown;
        return succeeded;
      },
    };
  };
}

async function showObject(value: object, print: (value: unknown) => void): Promise<void> {
  try {
    const rendered = await renderValue(value);
    if (rendered) display(rendered.bundle, { metadata: rendered.metadata });
    else print(value);
  } catch (error) {
    print(value);
    process.stderr.write(`(It could not be shown as a picture: ${error instanceof Error ? error.message : inspect(error)})\n`);
  }
}
