import { yieldToEventLoop } from "../../model/interrupt";
import { describeError, type CellError } from "./cell-errors";
import type { CellRegistry } from "./cells";
import type { Compilation } from "./compilation";
import type { CellInterrupt } from "./interrupt";
import type { RequestQueue } from "./request-queue";
import { createStreamBatches } from "./stream-batches";
import type { ExecuteRequest, Message, Server, Tslab } from "./tslab";

/** The other mends that running a cell takes. */
export interface RequestParts {
  cells: CellRegistry;
  compilation: Compilation;
  interrupt: CellInterrupt;
  queue: RequestQueue;
  /** The folder that paths in error messages start from. */
  project: string;
}

/**
 * Defects: errors aren't sent as `error` messages; the kernel says "idle" while a queued cell runs, because a cell's "busy"
 * goes out when its request arrives; front ends aren't told which cell has begun; the language's version is wrong.
 *
 * Mend: tslab's answer to execute requests is replaced whole, by one that follows Jupyter's messaging protocol.
 */
export function installRequests({ jupyter, typescriptVersion }: Tslab, { cells, compilation, interrupt, queue, project }: RequestParts): void {
  const server = jupyter.ZmqServer.prototype;
  const { publishStatus, handleShellMessage, handleKernelInfo } = server;
  let count = 0;
  let running: Message | undefined;

  server.publishStatus = function (status, parent) {
    const isExecution = parent.header.msg_type === "execute_request";
    if (isExecution && status === "busy") return; // Sent by handleExecute, when the cell's turn has come.
    publishStatus.call(this, status, parent);
  };

  server.handleShellMessage = async function (socket, ...frames) {
    await handleShellMessage.call(this, socket, ...frames);
    // A request answered while a cell runs, a completion say, ended with "idle".
    if (running) publishStatus.call(this, "busy", running);
  };

  server.handleKernelInfo = function (socket, message) {
    const { handler } = this;
    const { handleKernel } = handler;
    handler.handleKernel = () => {
      const information = handleKernel.call(handler);
      return {
        ...information,
        banner: "CrossFlow: TypeScript notebooks for one-step image generation",
        language_info: { ...information.language_info, version: typescriptVersion },
      };
    };
    handleKernelInfo.call(this, socket, message);
    handler.handleKernel = handleKernel;
  };

  server.handleExecute = async function (socket, message) {
    const request = message.content as ExecuteRequest;
    const turn = await queue.add(
      async () => {
        running = message;
        publishStatus.call(this, "busy", message);
        if (!request.silent && request.store_history !== false) count++;
        publish(this, message, "execute_input", { code: request.code, execution_count: count });
        try {
          return await execute(this, message, request.code);
        } finally {
          running = undefined;
        }
      },
      ({ error }) => error !== undefined && request.stop_on_error !== false,
    );
    const reply = message.createReply();
    reply.header.msg_type = "execute_reply";
    if (turn.aborted) reply.content = { status: "aborted", execution_count: count };
    else if (turn.result.error) reply.content = { status: "error", execution_count: turn.result.count, ...turn.result.error };
    else reply.content = { status: "ok", execution_count: turn.result.count, payload: [], user_expressions: {} };
    reply.signAndSend(this.connInfo.key, socket);
  };

  async function execute(kernel: Server, message: Message, code: string): Promise<{ count: number; error?: CellError }> {
    const number = count;
    const streams = createStreamBatches((name, text) => publish(kernel, message, "stream", { name, text }));
    process.stdout.write = streams.writer("stdout");
    process.stderr.write = streams.writer("stderr");
    jupyter.lastWriteDisplayData = (display, update) => {
      streams.flush();
      publish(kernel, message, update ? "update_display_data" : "display_data", display);
    };
    const cell = cells.begin(number, code);
    const { executor } = kernel.handler;
    const run = async (): Promise<boolean> => {
      compilation.compile(code, executor.locals);
      await yieldToEventLoop(); // A stop pressed while the cell was compiled arrives here.
      interrupt.throwIfInterrupted();
      return executor.execute(code);
    };
    const succeeded = await interrupt.run(run).catch((error: unknown) => {
      cell.thrown = { value: error };
      return false;
    });
    compilation.settle(succeeded, executor.locals);
    streams.flush();
    if (succeeded) return { count: number };
    const error = describeError(cell, cells, project);
    publish(kernel, message, "error", error);
    return { count: number, error };
  }
}

function publish(kernel: Server, parent: Message, type: string, content: object): void {
  const message = parent.createReply();
  message.header.msg_type = type;
  message.content = content;
  message.signAndSend(kernel.connInfo.key, kernel.iopub);
}
