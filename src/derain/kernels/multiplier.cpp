// Selects the unit of the processor that multiplies bfloat16.
#include <torch/library.h>

#include "tile.h"

namespace derain {

bool& tiled() {
  static bool chosen = false;
  return chosen;
}

namespace {

// Uses the matrix unit from now on if it is `enabled` and available; returns true if so.
bool use_matrix_unit(bool enabled) {
  static const bool available = amx::available();
  return tiled() = enabled && available;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(derain, library) { library.def("use_matrix_unit(bool enabled) -> bool", use_matrix_unit); }

}  // namespace derain
