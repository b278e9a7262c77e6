"""Export of a trained network to ONNX. Needs the extra `train`."""
