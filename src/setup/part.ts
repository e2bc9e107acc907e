import type { Reporter } from "./report";

export interface SetupContext {
  /** Folder of the project. */
  project: string;
  /** Folder that all checkouts of this user share. */
  cache: string;
  signal: AbortSignal;
  environment: NodeJS.ProcessEnv;
}

export interface PartState {
  ok: boolean;
  /** What is there or what is missing, for one cell of a table. */
  detail: string;
  /** What to do about it, if something is missing. */
  remedy?: string;
}

/** One thing that set-up provides. The parts are installed in the order of `setupParts`. */
export interface Part {
  name: string;
  title: string;
  /** What happens without it. A part without this text is essential: set-up fails if it can't be installed. */
  without?: string;
  /** Whether it is there, whole and current. Quick, offline, and without side effects. */
  check(context: SetupContext): Promise<PartState>;
  /** What `install` is about to do and about how long that takes. */
  plan(context: SetupContext): string;
  /** Makes `check` come out well or throws; safe to run again after it was cut off at any point. */
  install(context: SetupContext, update: Reporter["update"]): Promise<void>;
}
