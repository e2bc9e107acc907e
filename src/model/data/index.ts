export { createDataset, imagePixels, subset, summarizeDataset, type Dataset, type DatasetSplits, type DatasetSummary, type SkippedImage, type Split } from "./dataset";
export { DATASET_NAMES, loadDataset, type DatasetConfig } from "./load";
export { AVATAR_CLASSES, avatarStyleCredits, loadAvatars, type AvatarOptions } from "./avatars";
export { loadImageFolder, type ImageFolderOptions } from "./image-folder";
export { loadCifar10, type Cifar10Options } from "./cifar10";
export { loadMnist, type MnistOptions } from "./mnist";
export { batchIndices, epochBatches, type Batch, type EpochBatches, type EpochBatchesOptions } from "./batches";
export { imageBatch, imagesToPixels, type ImageBatch, type ImageBatchOptions } from "./image-batch";
