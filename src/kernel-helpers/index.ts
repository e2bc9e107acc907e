/** Notebook helpers: `import { ... } from "crossflow/kernel"`. */
export { interruptSignal as kernelSignal } from "../model/interrupt";
export { display, markdown, newDisplayId, type DisplayOptions, type MimeBundle } from "./display";
export { createLiveDisplay, type LiveContent, type LiveDisplay, type LiveDisplayOptions } from "./live-display";
export { escapeHtml } from "./html";
export { openKernel, type Completion, type ExecuteOptions, type Execution, type KernelConnection, type KernelOptions } from "./kernel-client";
export { installKernel, kernelName, kernelSpec, listKernels, uninstallKernel, type InstalledKernel, type KernelPlace, type KernelSpec } from "./kernelspec";
export { NotebookCellError, runNotebook, type NotebookEvent, type NotebookRun, type RunNotebookOptions } from "./notebook-runner";
export { readNotebook, writeNotebook, type Notebook, type NotebookCell } from "./notebook";
