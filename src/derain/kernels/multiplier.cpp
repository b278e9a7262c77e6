// Which of the processor's units multiplies bfloat16.
#include <torch/library.h>

#include "tile.h"

namespace derain {

bool& tiled() {
  static bool chosen = false;
  return chosen;
}

namespace {

// Multiplies by the matrix unit from now on, if it is `wanted` and there is one; returns whether it does.
bool use_matrix_unit(bool wanted) {
  static const bool available = amx::available();
  return tiled() = wanted && available;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) { library.def("use_matrix_unit(bool wanted) -> bool", use_matrix_unit); }

}  // namespace derain
