// The one way to tfjs: it loads the native TensorFlow engine first, if that is installed.
import "./native";

/** The tfjs namespace. The native TensorFlow engine is already chosen where it could be loaded; `startEngine` chooses otherwise. */
export * as tf from "@tensorflow/tfjs";
