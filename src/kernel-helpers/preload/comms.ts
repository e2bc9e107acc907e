import { connectComms, openComms, receiveComm, type CommRequest } from "../comms";
import type { CellInterrupt } from "./interrupt";
import type { RequestQueue } from "./request-queue";
import type { Message, MessageClass, Server, Tslab } from "./tslab";

const delimiter = Buffer.from("<IDS|MSG>");
/** Frames of a message behind its delimiter, without binary buffers: signature, header, parent, metadata, content. */
const messageFrames = 5;
const commTypes = new Set(["comm_open", "comm_msg", "comm_close"]);

/**
 * Defect: tslab knows no comms: it drops what widgets send, and answers the question for open comms with a message of the
 * wrong type.
 *
 * Mend: messages about comms go to {@link receiveComm}, each in its turn with the cells: what a slider sends while a cell
 * runs is answered when the cell has ended. The stop button ends the answer, as it ends a cell.
 */
export function installComms({ jupyter }: Tslab, { queue, interrupt }: { queue: RequestQueue; interrupt: CellInterrupt }): void {
  const server = jupyter.ZmqServer.prototype;
  const { publishStatus, handleShellMessage } = server;
  let current: { kernel: Server; parent: Message } | undefined;

  connectComms({
    publish(type, content, metadata) {
      if (!current) return;
      const { kernel, parent } = current;
      const message = parent.createReply();
      message.header.msg_type = type;
      Object.assign(message, { content, metadata });
      message.signAndSend(kernel.connInfo.key, kernel.iopub);
    },
  });

  server.publishStatus = function (status, parent) {
    if (status === "busy") current = { kernel: this, parent };
    publishStatus.call(this, status, parent);
  };

  server.handleShellMessage = async function (socket, ...frames) {
    const start = frames.findIndex((frame) => delimiter.equals(frame)) + 1;
    // Any message that came before tells the class, which tslab keeps to itself.
    if (!current || start === 0 || !commTypes.has(messageType(frames[start + 1]))) return handleShellMessage.call(this, socket, ...frames);
    // Buffers carry no signature, and nothing here takes any.
    const message = (current.parent.constructor as unknown as MessageClass).fromRaw(this.connInfo.key, frames.slice(0, start + messageFrames));
    const request = { type: message.header.msg_type, content: message.content as CommRequest["content"] };
    const answer = async (): Promise<void> => {
      server.publishStatus.call(this, "busy", message);
      try {
        await interrupt.run(() => receiveComm(request));
      } catch (error) {
        process.stderr.write(`A widget's message could not be handled: ${error instanceof Error ? error.message : String(error)}\n`);
      } finally {
        server.publishStatus.call(this, "idle", message);
      }
    };
    // A cell that fails gives up the cells behind it, but not what the controls say.
    while ((await queue.add(answer, () => false)).aborted);
  };

  server.handleCommInfoRequest = function (socket, message) {
    const { target_name: target } = message.content as { target_name?: string };
    const reply = message.createReply();
    reply.header.msg_type = "comm_info_reply";
    reply.content = { status: "ok", comms: openComms(target) };
    reply.signAndSend(this.connInfo.key, socket);
  };
}

function messageType(header: Uint8Array): string {
  return (JSON.parse(Buffer.from(header).toString("utf8")) as { msg_type: string }).msg_type;
}
