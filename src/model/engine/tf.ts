import "./native";

/** The tfjs namespace, with the native TensorFlow engine already registered where it can be loaded. */
export * as tf from "@tensorflow/tfjs";
