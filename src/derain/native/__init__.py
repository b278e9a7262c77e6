"""The network in C++ for processors with AVX-512: the library behind the engine `native`."""
