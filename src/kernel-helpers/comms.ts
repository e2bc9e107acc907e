import { randomUUID } from "node:crypto";

/** What either side sends the other over a comm; the receiver's target says what it means. */
export type CommData = Record<string, unknown>;

/** An open channel between something in the kernel and its counterpart in the front end (Jupyter's "custom messages"). */
export interface Comm {
  readonly id: string;
  readonly target: string;
  send(data: CommData): void;
  close(): void;
}

export interface CommHandlers {
  /** Takes what the front end sends; the kernel is busy until it has ended. */
  onMessage?: (data: CommData) => void | Promise<void>;
  onClose?: () => void;
}

/** The kernel's side of the wire. */
export interface CommChannel {
  publish(type: "comm_open" | "comm_msg" | "comm_close", content: object, metadata: object): void;
}

/** A message about a comm that has come from the front end. */
export interface CommRequest {
  type: string;
  content: { comm_id: string; target_name?: string; data?: CommData };
}

let channel: CommChannel | undefined;
const open = new Map<string, { comm: Comm; handlers: CommHandlers }>();
const targets = new Map<string, (comm: Comm, data: CommData) => CommHandlers>();

/** Connects this process's comms with a front end; called by the kernel. */
export function connectComms(to: CommChannel | undefined): void {
  channel = to;
}

/**
 * Opens a comm to the front end's counterpart of that name.
 *
 * @param metadata of the message that opens it, e.g. a protocol's version
 * @throws Error outside of a notebook's kernel
 */
export function openComm(target: string, data: CommData, handlers: CommHandlers = {}, metadata: object = {}): Comm {
  if (!channel) throw new Error("No notebook is connected: widgets can only be made in a notebook's cell, in the CrossFlow kernel.");
  const id = randomUUID().replaceAll("-", "");
  const comm = register(id, target, handlers);
  channel.publish("comm_open", { comm_id: id, target_name: target, data }, metadata);
  return comm;
}

/** Says what is done with comms of that target which the front end opens. */
export function acceptComms(target: string, accept: (comm: Comm, data: CommData) => CommHandlers): void {
  targets.set(target, accept);
}

/** The open comms by their id, of one target or of all; as the front end asks for them. */
export function openComms(target?: string): Record<string, { target_name: string }> {
  const wanted = [...open.values()].filter(({ comm }) => target === undefined || comm.target === target);
  return Object.fromEntries(wanted.map(({ comm }) => [comm.id, { target_name: comm.target }]));
}

/** Takes a message from the front end; ends when its handler has. A comm that nobody here knows is closed again. */
export async function receiveComm({ type, content }: CommRequest): Promise<void> {
  const { comm_id: id, target_name: target = "", data = {} } = content;
  if (type === "comm_open") {
    const accept = targets.get(target);
    if (!accept) return channel?.publish("comm_close", { comm_id: id, data: {} }, {});
    const handlers: CommHandlers = {};
    Object.assign(handlers, accept(register(id, target, handlers), data));
    return;
  }
  const known = open.get(id);
  if (type === "comm_msg") await known?.handlers.onMessage?.(data);
  if (type === "comm_close" && known) {
    open.delete(id);
    known.handlers.onClose?.();
  }
}

function register(id: string, target: string, handlers: CommHandlers): Comm {
  const comm: Comm = {
    id,
    target,
    send: (data) => channel?.publish("comm_msg", { comm_id: id, data }, {}),
    close() {
      if (open.delete(id)) channel?.publish("comm_close", { comm_id: id, data: {} }, {});
    },
  };
  open.set(id, { comm, handlers });
  return comm;
}
