export { CLASSIFIER_DEFAULTS, classifyDataset, loadClassifier, saveClassifier, trainClassifier, type Classifier, type ClassifierOptions } from "./classifier";
export { HEAD_LEVEL, loadEfficientNetLite, type EfficientNetLiteOptions, type EfficientNetLiteVariant } from "./efficientnet-lite";
export type { FeatureNetwork } from "./feature-network";
export { heldOutAccuracy, loadJudge, type JudgeOptions } from "./judge";
export { readPytorchCheckpoint, type CheckpointTensor } from "./pytorch-checkpoint";
export { resizeImages, resizeMatrix, type ResizeMethod } from "./resize";
