import type * as typescript from "typescript";
import type { Compiler, Conversion, Tslab } from "./tslab";

/** Compiling a cell apart from running it, and what later cells know of it. */
export interface Compilation {
  /** Compiles a cell; when tslab comes to it, it finds it done. */
  compile(source: string): void;
  /** Decides what later cells may use of the cell compiled last; `variables` are those that exist now. */
  settle(succeeded: boolean, variables: Record<string, unknown>): void;
}

/**
 * Defects: what an interrupted or failed cell had already declared is forgotten, the results of hours of training included;
 * and tslab goes from compiling to running without a pause, so that a stop pressed meanwhile is lost.
 *
 * Mend: cells are compiled ahead, against declarations kept here; after a failure, those of the cell stay whose variables
 * have got a value.
 */
export function installCompilation({ converter, metadata }: Tslab, compiler: Compiler): Compilation {
  let declarations = "";
  let convert: ((declarations: string, source: string) => Conversion) | undefined;
  let compiled: { source: string; conversion: Conversion } | undefined;

  const { createConverter } = converter;
  converter.createConverter = (options) => {
    const inner = createConverter(options);
    if (options?.isBrowser) return inner;
    convert = inner.convert;
    return {
      ...inner,
      convert: (_, source) => (compiled?.source === source ? compiled.conversion : inner.convert(declarations, source)),
      inspect: (_, source, position) => inner.inspect(declarations, source, position),
      complete: (_, source, position) => inner.complete(declarations, source, position),
    };
  };

  return {
    compile(source) {
      compiled = undefined;
      const { module, mode } = metadata.getCodeMetadata(source);
      // A cell that is marked as a module or for the browser takes another way through tslab.
      if (convert && module === undefined && mode !== "browser") compiled = { source, conversion: convert(declarations, source) };
    },
    settle(succeeded, variables) {
      const conversion = compiled?.conversion;
      compiled = undefined;
      if (!conversion || conversion.diagnostics.length > 0) return;
      const all = conversion.declOutput ?? "";
      declarations = succeeded ? all : declarationsWithValue(compiler, all, (name) => variables[name] !== undefined);
    },
  };
}

/** Leaves out of declarations the variables and classes for which `hasValue` is false. */
export function declarationsWithValue(compiler: Compiler, declarations: string, hasValue: (name: string) => boolean): string {
  const file = compiler.createSourceFile("cell.d.ts", declarations, compiler.ScriptTarget.ESNext, true);
  const printer = compiler.createPrinter();
  const kept = (statement: typescript.Statement): string => {
    if (compiler.isClassDeclaration(statement) && statement.name && !hasValue(statement.name.text)) return "";
    if (!compiler.isVariableStatement(statement)) return statement.getFullText(file);
    const { factory } = compiler;
    const list = statement.declarationList;
    const variables = list.declarations.filter(({ name }) => !compiler.isIdentifier(name) || hasValue(name.text));
    if (variables.length === list.declarations.length) return statement.getFullText(file);
    if (variables.length === 0) return "";
    const shorter = factory.createVariableStatement(statement.modifiers, factory.createVariableDeclarationList(variables, list.flags));
    return `\n${printer.printNode(compiler.EmitHint.Unspecified, shorter, file)}`;
  };
  return `${file.statements.map(kept).join("")}\n`;
}
