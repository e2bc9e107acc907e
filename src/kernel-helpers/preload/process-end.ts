import type { Tslab } from "./tslab";

const shutdownMilliseconds = 500;
const parentCheckMilliseconds = 5000;

/**
 * Defects: after a shutdown request the kernel lives on while anything a cell started is still going; and it outlives a
 * Jupyter server that was killed.
 *
 * Mend: it leaves half a second after the shutdown at the latest, and when its parent process is gone.
 */
export function installProcessEnd({ jupyter }: Tslab): void {
  const server = jupyter.ZmqServer.prototype;
  const { close } = server;
  server.close = function () {
    close.call(this);
    setTimeout(() => process.exit(0), shutdownMilliseconds).unref();
  };
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit(0);
  }, parentCheckMilliseconds).unref();
}
