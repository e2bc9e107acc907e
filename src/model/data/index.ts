export * from "./dataset";
export * from "./avatars";
export * from "./batches";
export * from "./image-batch";
