// The matrix unit of Intel's server processors (AMX): eight registers of up to 16 rows of 16 words.
// Its instructions are written in assembly and need no compiler flag.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace derain::amx {

constexpr int ROWS = 16, WORDS = 16;

// True if the processor has the unit for bfloat16 and the operating system grants it. Each process
// has to request it once.
inline bool available() {
#ifdef __linux__
  constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool has_bfloat16 = d & (1u << 22), has_tiles = d & (1u << 24);
  return has_bfloat16 && has_tiles && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}

// Register numbers: two blocks of sums, and the operands of a product over INNER words of the inner
// dimension. 8 is the remainder of an odd multiple of 16 channels, 9 that of the 49 pixels of a tile.
constexpr int SUMS = 0;
template <int INNER>
constexpr int LEFT = INNER == 16 ? 2 : INNER == 8 ? 3 : 4;
template <int INNER>
constexpr int RIGHT = INNER == 16 ? 5 : INNER == 8 ? 6 : 7;

struct Configuration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 32, 36, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 8, 9};
};

// While an instance exists, the registers of its thread have these shapes.
class Registers {
 public:
  Registers() {
    const Configuration configuration;
    asm volatile("ldtilecfg %0" ::"m"(configuration));
  }
  ~Registers() { asm volatile("tilerelease"); }
  Registers(const Registers&) = delete;
};

template <int REGISTER>
inline void clear() {
  asm volatile("tilezero %%tmm%c0" ::"i"(REGISTER));
}

template <int REGISTER>
inline void load(const void* from, int64_t bytes_between_rows) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(REGISTER), "r"(from), "r"(bytes_between_rows) : "memory");
}

template <int REGISTER>
inline void store(void* to, int64_t bytes_between_rows) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(REGISTER), "r"(to), "r"(bytes_between_rows) : "memory");
}

// Adds left times right to the sums.
template <int INNER, int INTO>
inline void multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(INTO), "i"(LEFT<INNER>), "i"(RIGHT<INNER>));
}

// Adds (16 rows, INNER words) times (INNER words, 16 * BLOCKS columns) to SUMS and, if BLOCKS is 2,
// to SUMS + 1.
template <int INNER, int BLOCKS>
inline void add_step(const uint16_t* left, int64_t left_row, const uint16_t* right, int64_t right_line) {
  load<LEFT<INNER>>(left, left_row * 4);
  load<RIGHT<INNER>>(right, right_line * 4);
  multiply<INNER, SUMS>();
  if constexpr (BLOCKS == 2) {
    load<RIGHT<INNER>>(right + 2 * WORDS, right_line * 4);
    multiply<INNER, SUMS + 1>();
  }
}

// The same for K words. `left_row` and `right_line` are the words from one row to the next.
template <int K, int BLOCKS>
inline void add(const uint16_t* left, int64_t left_row, const uint16_t* right, int64_t right_line) {
  constexpr int REST = K % WORDS;
  static_assert(REST == 0 || REST == 8 || REST == 9);
  for (int k = 0; k < K - REST; k += WORDS)
    add_step<WORDS, BLOCKS>(left + 2 * k, left_row, right + 2 * k * right_line, right_line);
  if constexpr (REST > 0)
    add_step<REST, BLOCKS>(left + 2 * (K - REST), left_row, right + 2 * (K - REST) * right_line, right_line);
}

}  // namespace derain::amx
