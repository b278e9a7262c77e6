"""The files of ONNX Runtime Web, for `derain web`."""
