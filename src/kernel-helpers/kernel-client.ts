import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createOutputCollector, type CellOutput, type KernelMessage } from "./cell-outputs";
import { kernelCommand } from "./kernelspec";

export interface KernelOptions {
  /** Folder that the kernel starts in: the notebook's. Default: the current one. */
  folder?: string;
  /** Command that starts the kernel, "{connection_file}" standing for the file it is told. Default: this package's kernel. */
  command?: readonly string[];
  environment?: NodeJS.ProcessEnv;
  /** Default 60. */
  startTimeoutSeconds?: number;
}

export interface ExecuteOptions {
  /** Called with each message as it arrives: streams, displays, errors. */
  onMessage?: (message: KernelMessage) => void;
  /** Interrupts the cell when aborted. */
  signal?: AbortSignal;
  /** The cell is interrupted after this time, and the kernel is ended if that doesn't help. Default: no limit. */
  timeoutSeconds?: number;
  /** Whether an error gives up the requests that wait behind this one. Default true. */
  stopOnError?: boolean;
}

/** How a cell ended. */
export interface Execution {
  status: "ok" | "error" | "aborted";
  executionCount: number | null;
  outputs: CellOutput[];
}

export interface Completion {
  matches: string[];
  /** The part of the code that a match replaces, in characters. */
  start: number;
  end: number;
}

/** A running kernel. */
export interface KernelConnection {
  readonly processId: number;
  execute(code: string, options?: ExecuteOptions): Promise<Execution>;
  /** Proposals for what may stand at `cursor` (characters from the start of `code`). */
  complete(code: string, cursor?: number): Promise<Completion>;
  /** What is known of the name at `cursor`, as text; undefined if nothing is. */
  inspect(code: string, cursor: number): Promise<string | undefined>;
  /** What the kernel says of itself: protocol, language and their versions. */
  information(): Promise<Record<string, unknown>>;
  /** Does what a notebook's stop button does. */
  interrupt(): void;
  /** Ends the kernel, by force if it doesn't end by itself. */
  shutdown(): Promise<void>;
}

interface Pending {
  onMessage?: (message: KernelMessage) => void;
  reply?: Record<string, unknown>;
  idle: boolean;
  resolve: (reply: Record<string, unknown>) => void;
  reject: (error: Error) => void;
}

const delimiter = Buffer.from("<IDS|MSG>");
const protocolVersion = "5.3";
const infoPeriodMilliseconds = 100;
const shutdownTimeoutMilliseconds = 3000;
/** Time in which an interrupted cell has to end before the kernel is taken for hung. */
const interruptTimeoutMilliseconds = 10_000;
const keptErrorCharacters = 4000;

/**
 * Starts a kernel and connects to it (Jupyter's messaging protocol over ZeroMQ); no Python is involved.
 *
 * @throws Error if the kernel ends or doesn't answer in time, with what it printed
 */
export async function openKernel(options: KernelOptions = {}): Promise<KernelConnection> {
  const { folder = process.cwd(), command = kernelCommand(), environment = process.env, startTimeoutSeconds = 60 } = options;
  const zmq = await import("zeromq");
  const [shellPort, iopubPort, stdinPort, controlPort, heartbeatPort] = await freePorts(5);
  const key = randomUUID();
  const connection = {
    transport: "tcp", ip: "127.0.0.1", key, signature_scheme: "hmac-sha256", kernel_name: "crossflow",
    shell_port: shellPort, iopub_port: iopubPort, stdin_port: stdinPort, control_port: controlPort, hb_port: heartbeatPort,
  };
  const connectionFolder = await mkdtemp(join(tmpdir(), "crossflow-kernel-"));
  const connectionFile = join(connectionFolder, "connection.json");
  await writeFile(connectionFile, JSON.stringify(connection), { mode: 0o600 });

  const [program, ...programArguments] = command.map((part) => part.replace("{connection_file}", connectionFile));
  const child = spawn(program, programArguments, { cwd: folder, env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const shell = new zmq.Dealer({ receiveHighWaterMark: 0, linger: 0 });
  const control = new zmq.Dealer({ linger: 0 });
  const iopub = new zmq.Subscriber({ receiveHighWaterMark: 0 });
  for (const [socket, port] of [[shell, shellPort], [control, controlPort], [iopub, iopubPort]] as const) socket.connect(`tcp://127.0.0.1:${port}`);
  iopub.subscribe();

  let printed = "";
  child.stderr.on("data", (text: Buffer) => (printed = (printed + text.toString("utf8")).slice(-keptErrorCharacters)));
  const said = (): string => (printed.trim() ? ` It said:\n${printed.trim()}` : "");
  const pending = new Map<string, Pending>();
  let ended: Error | undefined;
  const end = (error: Error): void => {
    ended ??= error;
    for (const request of pending.values()) request.reject(ended);
    pending.clear();
  };
  const exited = once(child, "exit")
    .then(
      ([code, signal]) => end(new Error(`The kernel ended (${signal ?? `exit code ${code}`}).${said()}`)),
      (error: Error) => end(new Error(`The kernel could not be started (${program}): ${error.message}`)),
    )
    .then(() => {
      for (const socket of [shell, control, iopub]) socket.close();
      return rm(connectionFolder, { recursive: true, force: true });
    });

  const session = randomUUID();
  const pack = (type: string, content: object): { id: string; frames: (string | Buffer)[] } => {
    const id = randomUUID();
    const header = { msg_id: id, session, username: "crossflow", date: new Date().toISOString(), msg_type: type, version: protocolVersion };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    return { id, frames: [delimiter, sign(key, parts), ...parts] };
  };
  const settle = (id: string): void => {
    const request = pending.get(id);
    if (!request?.reply || !request.idle) return;
    pending.delete(id);
    request.resolve(request.reply);
  };
  const receiveReplies = async (socket: AsyncIterable<Buffer[]>): Promise<void> => {
    for await (const frames of socket) {
      const { parentId, content } = unpack(key, frames);
      const request = pending.get(parentId);
      if (request) request.reply = content;
      settle(parentId);
    }
  };
  const receiveOutputs = async (): Promise<void> => {
    for await (const frames of iopub) {
      const { type, parentId, content } = unpack(key, frames);
      const request = pending.get(parentId);
      if (!request) continue;
      if (type !== "status") request.onMessage?.({ type, content });
      else if (content.execution_state === "idle") request.idle = true;
      settle(parentId);
    }
  };
  const fail = (error: Error): void => {
    end(error);
    child.kill("SIGKILL");
  };
  receiveReplies(shell).catch(fail);
  receiveReplies(control).catch(fail);
  receiveOutputs().catch(fail);

  // A request has ended when both its reply and the "idle" behind its outputs have arrived.
  const request = (type: string, content: object, onMessage?: Pending["onMessage"]): { id: string; done: Promise<Record<string, unknown>> } => {
    const { id, frames } = pack(type, content);
    const done = new Promise<Record<string, unknown>>((resolve, reject) => {
      if (ended) return reject(ended);
      pending.set(id, { onMessage, idle: false, resolve, reject });
      (type === "shutdown_request" ? control : shell).send(frames).catch(reject);
    });
    return { id, done };
  };
  const information = (): Promise<Record<string, unknown>> => request("kernel_info_request", {}).done;

  const shutdown = async (): Promise<void> => {
    if (!ended) {
      request("shutdown_request", { restart: false }).done.catch(() => undefined);
      await Promise.race([exited, delay(shutdownTimeoutMilliseconds, undefined, { ref: false })]);
      if (!ended) child.kill("SIGKILL");
    }
    await exited;
  };

  const limit = Date.now() + startTimeoutSeconds * 1000;
  // Until the kernel knows of the subscription, its answers lack their "idle": ask again until one has come whole.
  const asked: ReturnType<typeof request>[] = [];
  for (;;) {
    if (ended) throw ended;
    asked.push(request("kernel_info_request", {}));
    const answers = asked.map(({ done }) => done.then(() => true));
    if (await Promise.race([...answers, delay(infoPeriodMilliseconds, false, { ref: false })])) break;
    if (Date.now() > limit) {
      child.kill("SIGKILL");
      throw new Error(`The kernel did not answer within ${startTimeoutSeconds} s.${said()}`);
    }
  }
  for (const { id } of asked) pending.delete(id);

  return {
    processId: child.pid ?? 0,
    information,
    shutdown,
    interrupt: () => void child.kill("SIGINT"),
    async execute(code, { onMessage, signal, timeoutSeconds, stopOnError = true } = {}) {
      const collector = createOutputCollector();
      const outputs = collector.begin();
      const { done } = request(
        "execute_request",
        { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: stopOnError },
        (message) => {
          collector.receive(message);
          onMessage?.(message);
        },
      );
      let hung: NodeJS.Timeout | undefined;
      const interrupt = (): void => {
        child.kill("SIGINT");
        hung ??= setTimeout(() => fail(new Error("The kernel did not react to an interrupt and was ended.")), interruptTimeoutMilliseconds);
      };
      const timer = timeoutSeconds === undefined ? undefined : setTimeout(interrupt, timeoutSeconds * 1000);
      if (signal?.aborted) interrupt();
      signal?.addEventListener("abort", interrupt, { once: true });
      try {
        const reply = (await done) as { status: Execution["status"]; execution_count?: number };
        return { status: reply.status, executionCount: reply.execution_count ?? null, outputs };
      } finally {
        clearTimeout(timer);
        clearTimeout(hung);
        signal?.removeEventListener("abort", interrupt);
      }
    },
    async complete(code, cursor = code.length) {
      const reply = (await request("complete_request", { code, cursor_pos: cursor }).done) as { matches: string[]; cursor_start: number; cursor_end: number };
      return { matches: reply.matches, start: reply.cursor_start, end: reply.cursor_end };
    },
    async inspect(code, cursor) {
      const reply = (await request("inspect_request", { code, cursor_pos: cursor, detail_level: 0 }).done) as { found: boolean; data: Record<string, string> };
      return reply.found ? reply.data["text/plain"] : undefined;
    },
  };
}

function sign(key: string, parts: readonly (string | Buffer)[]): string {
  const hash = createHmac("sha256", key);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function unpack(key: string, frames: readonly Buffer[]): { type: string; parentId: string; content: Record<string, unknown> } {
  const start = frames.findIndex((frame) => frame.equals(delimiter)) + 1;
  const parts = frames.slice(start + 1, start + 5);
  if (start === 0 || parts.length < 4 || frames[start].toString() !== sign(key, frames.slice(start + 1))) {
    throw new Error("The kernel sent a message that isn't signed with this connection's key.");
  }
  const [header, parent, , content] = parts.map((part) => JSON.parse(part.toString("utf8")));
  return { type: header.msg_type, parentId: parent.msg_id ?? "", content };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
