"""The engines that run an exported network, and the protocol they share."""
