import type * as typescript from "typescript";
import { yieldToEventLoop } from "../../model/interrupt";
import type { Compiler, Tslab } from "./tslab";

/** What the rewritten awaits of a cell call; reachable in cells as members of `__tslab__`. */
interface AwaitRuntime {
  /** Gives back an awaited value, or throws if the cell has been interrupted meanwhile. */
  resume: <T>(value: T) => T;
  /** Whether the event loop hasn't been served for a while. */
  isStarving: () => boolean;
  nextTurn: () => Promise<void>;
  /** The elements of an iterable, until the cell is interrupted. */
  each: <T>(source: AsyncIterable<T> | Iterable<T | Promise<T>>) => AsyncGenerator<T, void, undefined>;
}

/** Longest time for which a cell's awaits keep timers, sockets and signals waiting. */
const longestTurnMilliseconds = 50;

/**
 * Defects: after an interrupt, the code behind a pending `await` goes on in the background; a loop that awaits only what is
 * already there never lets the interrupt in.
 *
 * Mend: each `await x` of a cell becomes `resume(await x, isStarving() && await nextTurn())`: it lets the event loop turn
 * now and then and throws where the cell has been interrupted, but in a `finally` block. `for await` gets the same through `each`. The awaited promise
 * itself stays untouched, so that stack traces reach through it.
 */
export function installAwaits(compiler: Compiler): void {
  const { transpileModule } = compiler;
  compiler.transpileModule = (input, options) =>
    transpileModule(input, { ...options, transformers: { before: [(context) => (file) => rewriteAwaits(compiler, context, file)] } });
}

function rewriteAwaits(compiler: Compiler, context: typescript.TransformationContext, file: typescript.SourceFile): typescript.SourceFile {
  const { factory } = context;
  const call = (name: keyof AwaitRuntime, ...values: typescript.Expression[]): typescript.Expression =>
    factory.createCallExpression(factory.createPropertyAccessExpression(factory.createIdentifier("__tslab__"), name), undefined, values);
  const visit = (node: typescript.Node): typescript.Node => {
    // Cleaning up may await; an interrupt has already thrown by then.
    if (node.parent && compiler.isTryStatement(node.parent) && node.parent.finallyBlock === node) return node;
    const visited = compiler.visitEachChild(node, visit, context);
    if (compiler.isAwaitExpression(visited)) {
      const turn = factory.createLogicalAnd(call("isStarving"), factory.createAwaitExpression(call("nextTurn")));
      return compiler.setTextRange(call("resume", visited, turn), node);
    }
    if (compiler.isForOfStatement(visited) && visited.awaitModifier) {
      const source = compiler.setTextRange(call("each", visited.expression), visited.expression);
      return factory.updateForOfStatement(visited, visited.awaitModifier, visited.initializer, source, visited.statement);
    }
    return visited;
  };
  return compiler.visitEachChild(file, visit, context);
}

/**
 * Defect: tslab takes a cell for asynchronous only where it saw the compiler complain about an `await`.
 *
 * Mend: the cell is asked itself. `throwIfInterrupted` is what the awaits ask.
 */
export function installAwaitRuntime({ converter, executor }: Tslab, compiler: Compiler, throwIfInterrupted: () => void): void {
  const { createConverter } = converter;
  converter.createConverter = (options) => {
    const inner = createConverter(options);
    return {
      ...inner,
      convert(previousDeclarations, source) {
        const conversion = inner.convert(previousDeclarations, source);
        if (conversion.output) conversion.hasToplevelAwait = hasTopLevelAwait(compiler, source);
        return conversion;
      },
    };
  };

  let lastTurn = performance.now();
  const isStarving = (): boolean => performance.now() - lastTurn > longestTurnMilliseconds;
  const nextTurn = async (): Promise<void> => {
    await yieldToEventLoop();
    lastTurn = performance.now();
    throwIfInterrupted();
  };
  const runtime: AwaitRuntime = {
    resume(value) {
      throwIfInterrupted();
      return value;
    },
    isStarving,
    nextTurn,
    async *each(source) {
      for await (const value of source) {
        throwIfInterrupted();
        if (isStarving()) await nextTurn();
        yield value;
      }
      throwIfInterrupted();
    },
  };
  const { createExecutor } = executor;
  executor.createExecutor = (...create) => {
    const inner = createExecutor(...create);
    // tslab has just made this object, through which cells reach their variables and `require`.
    Object.assign((globalThis as unknown as { __tslab__: object }).__tslab__, runtime);
    return inner;
  };
}

/** Whether `source` awaits outside of any function. */
export function hasTopLevelAwait(compiler: Compiler, source: string): boolean {
  const visit = (node: typescript.Node): boolean => {
    if (compiler.isFunctionLike(node)) return false;
    if (compiler.isAwaitExpression(node) || (compiler.isForOfStatement(node) && node.awaitModifier !== undefined)) return true;
    return compiler.forEachChild(node, (child) => visit(child) || undefined) ?? false;
  };
  // The export makes it a module, in which await is a keyword.
  return visit(compiler.createSourceFile("cell.ts", `export {};${source}`, compiler.ScriptTarget.ESNext, true));
}
