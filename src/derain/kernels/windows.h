// Windows of attention, 7x7 pixels, and the terms that are added to their logits.
#pragma once

#include <cstdint>

#include "vector.h"

namespace derain {

constexpr int WINDOW = 7;
constexpr int TILE = WINDOW * WINDOW;  // pixels computed together: a window, or neighbours in memory
constexpr int KEYS = 64;  // columns of the logits: TILE, padded with blocked ones to whole vectors
constexpr int OFFSETS = 2 * WINDOW - 1;
constexpr int SIDES = 4;  // a shifted window may cross the bottom edge, the right edge, both or none
constexpr float BLOCKED = -1e9f;  // finite, as `power_of_two` requires

inline int relative_position(int query, int key) {
  const int rows = query / WINDOW - key / WINDOW, columns = query % WINDOW - key % WINDOW;
  return (rows + WINDOW - 1) * OFFSETS + columns + WINDOW - 1;
}

// True if two pixels of a window that crosses these edges come from opposite edges of the picture
// (`swin.shift_mask`).
inline bool blocked(int side, int query, int key, int shift) {
  const auto wrapped = [&](int at) { return at >= WINDOW - shift; };
  const bool rows = (side & 1) && wrapped(query / WINDOW) != wrapped(key / WINDOW);
  const bool columns = (side & 2) && wrapped(query % WINDOW) != wrapped(key % WINDOW);
  return rows || columns;
}

// Writes what is added to the logits of a window that crosses these edges, (TILE, KEYS): the position
// bias, with which e ** x can be computed as a power of two, or BLOCKED.
inline void write_position(int side, int shift, const float* offsets, float* position) {
  for (int query = 0; query < TILE; ++query)
    for (int key = 0; key < KEYS; ++key)
      position[query * KEYS + key] = key >= TILE || blocked(side, query, key, shift)
                                         ? BLOCKED
                                         : LOG2_E * offsets[relative_position(query, key)];
}

// Offsets of the pixels of a window, each to its first channel.
struct Place {
  int64_t pixel[TILE];
  int side;
};

// The windows of an (N, H, W, C) picture after a cyclic shift, which exists only in the offsets.
struct Grid {
  int64_t height, width, channels;
  int shift;

  int64_t windows(int64_t pictures) const { return pictures * (height / WINDOW) * (width / WINDOW); }

  Place place(int64_t window) const {
    const int64_t across = width / WINDOW, down = height / WINDOW;
    const int64_t left = window % across, top = window / across % down, picture = window / across / down;
    Place place;
    place.side = shift ? (top == down - 1) + 2 * (left == across - 1) : 0;
    for (int i = 0; i < TILE; ++i) {
      const int64_t row = wrapped(top * WINDOW + i / WINDOW + shift, height);
      const int64_t column = wrapped(left * WINDOW + i % WINDOW + shift, width);
      place.pixel[i] = ((picture * height + row) * width + column) * channels;
    }
    return place;
  }

  static int64_t wrapped(int64_t at, int64_t size) { return at < size ? at : at - size; }
};

}  // namespace derain
