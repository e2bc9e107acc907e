import { createRequire } from "node:module";
import type * as typescript from "typescript";

/** What the preload knows of tslab: the parts of its internals that it wraps or replaces. */
export interface Tslab {
  converter: { createConverter: (options?: { isBrowser?: boolean }) => Converter };
  executor: { createExecutor: (folder: string, converters: object, output: ExecutorOutput) => Executor };
  metadata: { getCodeMetadata: (source: string) => { module?: string; mode?: "node" | "browser" } };
  jupyter: { lastWriteDisplayData: WriteDisplayData | null; ZmqServer: { prototype: Server } };
  typescriptVersion: string;
}

/** The TypeScript compiler as tslab sees it (a fork of 5.0.4; its interface is that of the compiler's newer types). */
export type Compiler = {
  -readonly [name in keyof typeof typescript]: (typeof typescript)[name];
};

/** A compiled cell, or the reasons why it doesn't compile. */
export interface Conversion {
  output?: string;
  declOutput?: string;
  hasToplevelAwait?: boolean;
  diagnostics: Diagnostic[];
}

/** A compiler message; lines and characters count from 0. */
export interface Diagnostic {
  start: { line: number; character: number };
  end: { line: number; character: number };
  messageText: string;
  code: number;
  fileName?: string;
}

export interface Converter {
  convert: (previousDeclarations: string, source: string) => Conversion;
  inspect: (previousDeclarations: string, source: string, position: number) => unknown;
  complete: (previousDeclarations: string, source: string, position: number) => unknown;
}

export interface ExecutorOutput {
  log: (...values: unknown[]) => void;
  error: (...values: unknown[]) => void;
}

export interface Executor {
  /** Resolves to whether the cell ended well; what went wrong was given to the output's `error`. */
  execute: (source: string) => Promise<boolean>;
  interrupt: () => void;
  /** The variables of the cells executed so far. */
  locals: Record<string, unknown>;
}

export interface DisplayMessage {
  data: Record<string, unknown>;
  metadata: object;
  transient: { display_id?: string };
}

export type WriteDisplayData = (message: DisplayMessage, update: boolean) => void;

export interface Message {
  header: { msg_type: string };
  metadata: object;
  content: object;
  createReply: () => Message;
  signAndSend: (key: string, socket: Socket) => void;
}

/** Reads messages off the wire, and throws if the signature is wrong. */
export interface MessageClass {
  fromRaw: (key: string, frames: Uint8Array[]) => Message;
}

export interface ExecuteRequest {
  code: string;
  silent?: boolean;
  store_history?: boolean;
  stop_on_error?: boolean;
}

export interface Socket {
  sendTimeout: number;
  sendHighWaterMark: number;
}

export interface Server {
  connInfo: { key: string };
  iopub: Socket;
  handler: { executor: Executor; handleKernel: () => KernelInformation };
  bindSocket: (socket: Socket, port: number) => Promise<void>;
  publishStatus: (status: "busy" | "idle", parent: Message) => void;
  handleShellMessage: (socket: Socket, ...frames: Uint8Array[]) => Promise<void>;
  handleExecute: (socket: Socket, message: Message) => Promise<void>;
  handleKernelInfo: (socket: Socket, message: Message) => void;
  handleCommInfoRequest: (socket: Socket, message: Message) => void;
  close: () => void;
}

export interface KernelInformation {
  banner: string;
  implementation_version: string;
  language_info: { version: string };
}

const expected = { tslab: "1.0.22", zeromq: "6.8.0", "@tslab/typescript-for-tslab": "5.0.4" };

// The modules must be the very instances that the kernel uses, so they're looked up as tslab itself would.
const requireFromTslab = createRequire(require.resolve("tslab/package.json"));

/** One line saying which package isn't the version that these mends were written for; undefined if all are. */
export function versionMismatch(installed: (name: string) => string = installedVersion): string | undefined {
  for (const [name, version] of Object.entries(expected)) {
    const found = installed(name);
    if (found !== version) {
      return `CrossFlow's kernel is made for ${name} ${version} and found ${found}: it runs without CrossFlow's mends. Run \`npm ci\` in the project's folder.`;
    }
  }
  return undefined;
}

function installedVersion(name: string): string {
  const manifest: { version: string } = requireFromTslab(name === "tslab" ? "./package.json" : `${name}/package.json`);
  return manifest.version;
}

/** Gives tslab a changed copy of the TypeScript compiler, and returns that copy. Must run before {@link loadTslab}. */
export function replaceCompiler(change: (compiler: Compiler) => void): Compiler {
  const path = requireFromTslab.resolve("@tslab/typescript-for-tslab");
  const original: Compiler = requireFromTslab(path);
  // The compiler's exports are getters that can't be set, hence a copy.
  const copy = { ...original };
  change(copy);
  const loaded = requireFromTslab.cache[path];
  if (loaded) loaded.exports = copy;
  return copy;
}

/** Loads the modules of tslab that the kernel will use. */
export function loadTslab(): Tslab {
  return {
    converter: requireFromTslab("./dist/converter.js"),
    executor: requireFromTslab("./dist/executor.js"),
    metadata: requireFromTslab("./dist/metadata.js"),
    jupyter: requireFromTslab("./dist/jupyter.js"),
    typescriptVersion: expected["@tslab/typescript-for-tslab"],
  };
}
