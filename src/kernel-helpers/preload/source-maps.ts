import { SourceMap } from "node:module";
import type { CellRegistry } from "./cells";
import type { Compiler } from "./tslab";

const inlineMap = /\n\/\/# sourceMappingURL=data:application\/json[^,]*;base64,([A-Za-z0-9+/=]+)\s*$/;
const mapComment = /\n?\/\/# sourceMappingURL=.*\s*$/;
/** Lines that tslab puts before a cell's source. */
const prefixLines = 1;

/**
 * Defect: an error's line is that of the JavaScript which tslab made of the cell.
 *
 * Mend: tslab compiles a cell in two passes (TypeScript to JavaScript, modules to CommonJS); the maps of both are kept and
 * followed backwards.
 */
export function installSourceMaps(compiler: Compiler, cells: CellRegistry): void {
  const { transpileModule } = compiler;
  compiler.transpileModule = (input, options) => {
    const embedded = inlineMap.exec(input);
    if (!embedded) return transpileModule(input, options);
    const result = transpileModule(input.slice(0, embedded.index), { ...options, compilerOptions: { ...options.compilerOptions, sourceMap: true } });
    const cell = cells.current();
    if (cell && result.sourceMapText) {
      const toSource = new SourceMap(JSON.parse(Buffer.from(embedded[1], "base64").toString("utf8")));
      const toModule = new SourceMap(JSON.parse(result.sourceMapText));
      // A cell's imported files are compiled before the cell itself, so the last map that arrives is the cell's.
      cell.locate = ({ line, column }) => {
        const module = toModule.findEntry(line - 1, column - 1);
        if (!("originalLine" in module)) return undefined;
        const source = toSource.findEntry(module.originalLine, module.originalColumn);
        if (!("originalLine" in source) || source.originalLine < prefixLines) return undefined;
        return { line: source.originalLine - prefixLines + 1, column: source.originalColumn + 1 };
      };
    }
    return { ...result, outputText: result.outputText.replace(mapComment, "\n") };
  };
}
