/** An error that a person is meant to read: it is shown as its message alone, without a stack. */
export class SetupError extends Error {
  override readonly name = "SetupError";

  /** @param fatal set-up stops even where it could go on with a fallback, e.g. on a full disk */
  constructor(
    message: string,
    readonly fatal = false,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Shown by every command that was stopped by Ctrl-C or a signal while set-up ran. */
export const INTERRUPTED_MESSAGE = "Interrupted. Run it again: it goes on from here.";
