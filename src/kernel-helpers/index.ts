/** Notebook helpers: `import { ... } from "crossflow/kernel"`. */

// What is shown below a cell
export { display, markdown, newDisplayId, type DisplayOptions, type MimeBundle } from "./display";
export { createLiveDisplay, type LiveContent, type LiveDisplay, type LiveDisplayOptions } from "./live-display";
export { progressBar, progressBundle, type ProgressBar, type ProgressBarOptions } from "./progress-bar";
export { watchTraining, type TrainingWatch, type WatchTrainingOptions } from "./watch-training";
export { alarmBundle, diagnosticsFigures, regionFigure, showDiagnostics, type RegionMapName } from "./training-diagnostics";
export { showTable, table, type TableOptions, type TableRow, type TableValue } from "./table";
export { comparisonCurves, comparisonSamples, forestPlot, showComparison, type ComparisonSamplesOptions } from "./comparison";
export { writeComparisonReport } from "./comparison-report";
export { decoderBenchFigure, showDecoderBench, type DecoderBenchMeasure } from "./decoder-bench";
export { modelSummary, showModelSummary, type ModelSummaryOptions } from "./model-summary";
export { imageGrid, imageGridBundle, showImageGrid, type ImageBytes, type ImageGridOptions, type Images } from "./image-grid";
export { escapeHtml } from "./html";
export { defineRenderer, displayMethod, rendered, renderValue, show, type RenderedValue, type Renderer } from "./values/renderers";
export { learningCurves } from "./values/crossflow-values";

// Controls
export { interactive, type InteractiveOptions } from "./interactive/interactive";
export { slider, type Control, type Controls, type ControlValue, type ControlValues, type Slider } from "./interactive/controls";
export type { Picture } from "./interactive/picture";
export { dropdownWidget, htmlWidget, sliderWidget, verticalBox, widgetView, type Widget } from "./interactive/widgets";
export { acceptComms, openComm, type Comm, type CommData, type CommHandlers } from "./comms";

// Teaching
export { check, hint } from "./exercises/check";
export { allExercises, defineExercise, judge, type Answer, type AnswerFunction, type Exercise, type Verdict } from "./exercises/exercise";
export { bySetting, currentSetting, type Setting } from "./setting";
export { section, showSectionTimes } from "./workshop-times";

// Figures
export type { Figure, FigureNumber, Numbers, Trace } from "./figures/figure";
export { barChart, heatMap, histogram, lineChart, scatterChart } from "./figures/charts";
export type { BarChartOptions, BarSeries, ChartOptions, HeatMapOptions, HistogramOptions, PointSeries, Series } from "./figures/charts";
export { describeFigure } from "./figures/describe";
export { liveChart, type LiveChart, type LiveChartOptions } from "./figures/live-chart";
export { figureBundle, figureMetadata, showFigure } from "./figures/show-figure";
export { figurePng, figureSvg } from "./figures/static-figure";

// The kernel
export { interruptSignal as kernelSignal } from "../model/interrupt";
export { openKernel, type Completion, type ExecuteOptions, type Execution, type KernelConnection, type KernelOptions } from "./kernel-client";
export { installKernel, jupyterDataFolder, kernelName, kernelSpec, listKernels, uninstallKernel } from "./kernelspec";
export type { InstalledKernel, KernelPlace, KernelSpec } from "./kernelspec";

// Notebook files
export { readNotebook, writeNotebook, type Notebook, type NotebookCell } from "./notebook";
export { NotebookCellError, runNotebook, type NotebookEvent, type NotebookRun, type RunNotebookOptions } from "./notebook-runner";
export { notebookToHtml, type NotebookHtmlOptions } from "./notebook-html";
