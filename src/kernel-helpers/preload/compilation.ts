import type * as typescript from "typescript";
import type { Compiler, Conversion, Tslab } from "./tslab";

/** Compiling a cell apart from running it, and what later cells know of it. */
export interface Compilation {
  /** Compiles a cell; when tslab comes to it, it finds it done. `variables` are those that exist before it runs. */
  compile(source: string, variables: Record<string, unknown>): void;
  /** Decides what later cells may use of the cell compiled last; `variables` are those that exist now. */
  settle(succeeded: boolean, variables: Record<string, unknown>): void;
}

/**
 * Defects: what an interrupted or failed cell had already declared is forgotten, the results of hours of training included;
 * and tslab goes from compiling to running without a pause, so that a stop pressed meanwhile is lost.
 *
 * Mend: cells are compiled ahead, against declarations kept here; after a failure, those of the cell stay whose variables
 * have got a value, and a variable that was to be declared anew keeps what it was before.
 */
export function installCompilation({ converter, metadata }: Tslab, compiler: Compiler): Compilation {
  let declarations = "";
  let convert: ((declarations: string, source: string) => Conversion) | undefined;
  let compiled: { source: string; conversion: Conversion; before: Record<string, unknown> } | undefined;

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
    compile(source, variables) {
      compiled = undefined;
      const { module, mode } = metadata.getCodeMetadata(source);
      // A cell that is marked as a module or for the browser takes another way through tslab.
      if (convert && module === undefined && mode !== "browser") compiled = { source, conversion: convert(declarations, source), before: { ...variables } };
    },
    settle(succeeded, variables) {
      const { conversion, before } = compiled ?? {};
      compiled = undefined;
      if (!conversion || !before || conversion.diagnostics.length > 0) return;
      const all = conversion.declOutput ?? "";
      if (succeeded) {
        declarations = all;
        return;
      }
      const hasValue = (name: string): boolean => variables[name] !== undefined;
      const lost = new Set(declaredNames(compiler, all).filter((name) => !hasValue(name)));
      const kept = keptDeclarations(compiler, all, (name) => !lost.has(name));
      const restored = keptDeclarations(compiler, declarations, (name) => lost.has(name) && before[name] !== undefined, "variables only");
      for (const name of lost) if (before[name] !== undefined) variables[name] = before[name];
      declarations = kept + restored;
    },
  };
}

/** The variables and classes that declarations declare. */
function declaredNames(compiler: Compiler, declarations: string): string[] {
  const file = compiler.createSourceFile("cell.d.ts", declarations, compiler.ScriptTarget.ESNext, true);
  return file.statements.flatMap((statement) => {
    if (compiler.isClassDeclaration(statement) && statement.name) return [statement.name.text];
    if (!compiler.isVariableStatement(statement)) return [];
    return statement.declarationList.declarations.flatMap(({ name }) => (compiler.isIdentifier(name) ? [name.text] : []));
  });
}

/**
 * Leaves out of declarations the variables and classes for which `keep` is false.
 *
 * @param scope with "variables only", everything that is neither a variable nor a class is left out too
 */
export function keptDeclarations(compiler: Compiler, declarations: string, keep: (name: string) => boolean, scope: "all" | "variables only" = "all"): string {
  const file = compiler.createSourceFile("cell.d.ts", declarations, compiler.ScriptTarget.ESNext, true);
  const printer = compiler.createPrinter();
  const kept = (statement: typescript.Statement): string => {
    if (compiler.isClassDeclaration(statement) && statement.name) return keep(statement.name.text) ? statement.getFullText(file) : "";
    if (!compiler.isVariableStatement(statement)) return scope === "all" ? statement.getFullText(file) : "";
    const { factory } = compiler;
    const list = statement.declarationList;
    const variables = list.declarations.filter(({ name }) => !compiler.isIdentifier(name) || keep(name.text));
    if (variables.length === list.declarations.length) return statement.getFullText(file);
    if (variables.length === 0) return "";
    const shorter = factory.createVariableStatement(statement.modifiers, factory.createVariableDeclarationList(variables, list.flags));
    return `\n${printer.printNode(compiler.EmitHint.Unspecified, shorter, file)}`;
  };
  return `${file.statements.map(kept).join("")}\n`;
}
