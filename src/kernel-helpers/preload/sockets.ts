import type { Tslab } from "./tslab";

/**
 * Defect: tslab never waits for a send, and zeromq does only about 500 sends in one turn of the event loop at once; the
 * others are lost, the message that ends the cell among them, and the cell hangs.
 *
 * Mend: sends that never wait and never drop. A time limit of 0 keeps each send within the call; a high-water mark of 0
 * means no limit on what waits to be delivered.
 */
export function installSockets({ jupyter }: Tslab): void {
  const server = jupyter.ZmqServer.prototype;
  const { bindSocket } = server;
  server.bindSocket = function (socket, port) {
    socket.sendTimeout = 0;
    socket.sendHighWaterMark = 0;
    return bindSocket.call(this, socket, port);
  };
}
