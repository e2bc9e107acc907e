export * from "./dataset";
export * from "./load";
export * from "./avatars";
export * from "./image-folder";
export * from "./cifar10";
export * from "./mnist";
export * from "./batches";
export * from "./image-batch";
