import { basename } from "node:path";
import type * as typescript from "typescript";
import type { Compiler } from "./tslab";

/** The file in which tslab keeps the declarations of earlier cells. */
const earlierCells = "__prev__.d.ts";

/**
 * Defect: an earlier cell's variable isn't found in a shorthand property, `{ encoder }`: tslab reads variables of earlier
 * cells from an object, and asks there for the property's symbol instead of the variable's.
 *
 * Mend: such a property is written out, `{ encoder: exports.encoder }`, before tslab sees it; in the pattern of an
 * assignment too.
 */
export function installShorthand(compiler: Compiler): void {
  const original = compiler.createWatchProgram;
  const createWatchProgram = (host: typescript.WatchCompilerHostOfConfigFile<typescript.BuilderProgram>) => {
    const { afterProgramCreate } = host;
    host.afterProgramCreate = (builder) => afterProgramCreate?.({ ...builder, emit: emitWrittenOut(compiler, builder) });
    return original(host);
  };
  Object.assign(compiler, { createWatchProgram });
}

function emitWrittenOut(compiler: Compiler, builder: typescript.BuilderProgram): typescript.BuilderProgram["emit"] {
  return (file, write, cancellation, declarationsOnly, { before = [], ...transformers } = {}) => {
    const checker = builder.getProgram().getTypeChecker();
    const writeOut: typescript.TransformerFactory<typescript.SourceFile> = (context) => (source) => writeOutShorthand(compiler, checker, context, source);
    return builder.emit(file, write, cancellation, declarationsOnly, { ...transformers, before: [writeOut, ...before] });
  };
}

function writeOutShorthand(compiler: Compiler, checker: typescript.TypeChecker, context: typescript.TransformationContext, source: typescript.SourceFile): typescript.SourceFile {
  const { factory } = context;
  const isFromEarlierCell = (node: typescript.ShorthandPropertyAssignment): boolean =>
    checker.getShorthandAssignmentValueSymbol(node)?.declarations?.some((declaration) => basename(declaration.getSourceFile().fileName) === earlierCells) ?? false;
  const visit = (node: typescript.Node): typescript.Node => {
    const visited = compiler.visitEachChild(node, visit, context);
    if (!compiler.isShorthandPropertyAssignment(node) || !compiler.isShorthandPropertyAssignment(visited) || !isFromEarlierCell(node)) return visited;
    const { text } = node.name;
    const variable = factory.createPropertyAccessExpression(factory.createIdentifier("exports"), text);
    const fallback = visited.objectAssignmentInitializer;
    return compiler.setTextRange(factory.createPropertyAssignment(text, fallback ? factory.createAssignment(variable, fallback) : variable), node);
  };
  return compiler.visitEachChild(source, visit, context);
}
