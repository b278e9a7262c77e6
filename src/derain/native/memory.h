// Aligned memory without initial values.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace derain {

// An array that starts at a cache line. Raises std::bad_alloc.
template <class Element>
class Buffer {
 public:
  Buffer() = default;

  explicit Buffer(size_t count) : count_(count) {
    const size_t bytes = (count * sizeof(Element) + 63) / 64 * 64;
    data_ = static_cast<Element*>(std::aligned_alloc(64, bytes ? bytes : 64));
    if (!data_) throw std::bad_alloc();
  }

  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}

  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  ~Buffer() { std::free(data_); }

  Element* data() const { return data_; }
  size_t size() const { return count_; }

 private:
  Element* data_ = nullptr;
  size_t count_ = 0;
};

// A feature map, (height, width, channels).
template <class Element>
struct Map {
  Element* data;
  int64_t height, width;
};

}  // namespace derain
