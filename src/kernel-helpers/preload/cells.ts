import type { Diagnostic, Tslab } from "./tslab";

/** A place in a cell's own source; both count from 1. */
export interface CellPosition {
  line: number;
  column: number;
}

/** An executed cell: what is needed to say where in it something went wrong. */
export interface Cell {
  /** The number in the cell's prompt. */
  number: number;
  source: string;
  diagnostics: Diagnostic[];
  /** What the cell threw, if it did. */
  thrown?: { value: unknown };
  /** From a position in the JavaScript that runs to the one in the source (both from 1). */
  locate: (generated: CellPosition) => CellPosition | undefined;
}

export interface CellRegistry {
  /** The cell being executed is this one from now on. */
  begin(number: number, source: string): Cell;
  current(): Cell | undefined;
  find(number: number): Cell | undefined;
  install(tslab: Tslab): void;
}

const namePrefix = "notebook-cell-";

/**
 * Defect: every cell runs under the same script name, so a stack trace can't tell in which cell a function was written.
 *
 * Mend: cells are remembered by number, and each runs under a name that holds it.
 */
export function createCellRegistry(): CellRegistry {
  const cells = new Map<number, Cell>();
  let current: Cell | undefined;
  return {
    begin(number, source) {
      current = { number, source, diagnostics: [], locate: () => undefined };
      cells.set(number, current);
      return current;
    },
    current: () => current,
    find: (number) => cells.get(number),
    install({ converter }) {
      const { createConverter } = converter;
      converter.createConverter = (options) => {
        const inner = createConverter(options);
        return {
          ...inner,
          convert(previousDeclarations, source) {
            const conversion = inner.convert(previousDeclarations, source);
            if (current) current.diagnostics = conversion.diagnostics;
            if (current && conversion.output) conversion.output += `\n//# sourceURL=${namePrefix}${current.number}`;
            return conversion;
          },
        };
      };
    },
  };
}

/** A stack frame inside a cell, as it stands in an Error's stack. */
export interface CellFrame extends CellPosition {
  cell: number;
  functionName: string | undefined;
}

const framePattern = new RegExp(`^\\s*at (?:async )?(?:(.+?) \\()?${namePrefix}(\\d+):(\\d+):(\\d+)\\)?$`);

/** Reads one line of a stack trace; undefined if it isn't in a cell. */
export function parseCellFrame(line: string): CellFrame | undefined {
  const match = framePattern.exec(line);
  if (!match) return undefined;
  const [, functionName, cell, row, column] = match;
  return { functionName: functionName?.replace(/^async /, ""), cell: Number(cell), line: Number(row), column: Number(column) };
}
