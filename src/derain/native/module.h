// PLNLIM (`derain.network.plnlim.PLNLIM`) on feature maps that are whole windows.
#pragma once

#include <map>
#include <memory>

#include "pool.h"
#include "swin.h"

namespace derain {

// What computes: threads, the lines of pixels that each of them works with, and memory for maps, which is
// kept for the next map of the same size.
template <class T>
class Workshop {
 public:
  using Element = typename T::Element;

  // A map that returns its memory to the workshop.
  class Lent {
   public:
    Lent() = default;
    Lent(Workshop& owner, int64_t height, int64_t width, int channels)
        : owner_(&owner), memory_(owner.take(size_t(height) * width * channels)), map{memory_.data(), height, width} {}
    Lent(Lent&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), memory_(std::move(other.memory_)), map(other.map) {}
    Lent& operator=(Lent&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(memory_, other.memory_);
      std::swap(map, other.map);
      return *this;
    }
    ~Lent() {
      if (owner_) owner_->give(std::move(memory_));
    }

   private:
    Workshop* owner_ = nullptr;
    Buffer<Element> memory_;

   public:
    Map<Element> map{nullptr, 0, 0};
  };

  Workshop(int threads) : pool(threads), lines_(threads) {}

  // Makes room in each thread for lines of `elements` in all. Raises std::bad_alloc.
  void prepare(size_t elements) {
    for (auto& lines : lines_)
      if (lines.size() < elements) lines = Buffer<Element>(elements);
  }

  Element* lines(int thread) const { return lines_[thread].data(); }

  // Frees the memory that no map has now.
  void tidy() {
    free_.clear();
    for (auto& lines : lines_) lines = Buffer<Element>();
  }

  Pool pool;

 private:
  Buffer<Element> take(size_t count) {
    const auto found = free_.find(count);
    if (found == free_.end()) return Buffer<Element>(count);
    Buffer<Element> memory = std::move(found->second);
    free_.erase(found);
    return memory;
  }

  void give(Buffer<Element> memory) {
    const size_t count = memory.size();
    free_.emplace(count, std::move(memory));
  }

  std::vector<Buffer<Element>> lines_;
  std::multimap<size_t, Buffer<Element>> free_;
};

// Three lines of a map with a pixel of zeros at either end: what a 3x3 convolution reads.
template <class Element>
class Lines {
 public:
  Lines(Element* memory, int64_t width, int channels) : memory_(memory), width_(width), channels_(channels) {
    for (int slot = 0; slot < 3; ++slot) {
      std::fill_n(start(slot), channels, Element(0));
      std::fill_n(start(slot) + (width + 1) * channels, channels, Element(0));
    }
  }

  static size_t elements(int64_t width, int channels) { return size_t(3) * (width + 2) * channels; }

  // The first pixel of the map in the line for `row`; that of row - 3 was there before.
  Element* pixels(int64_t row) const { return start((row + 3) % 3) + channels_; }

  void clear(int64_t row) const { std::fill_n(pixels(row), width_ * channels_, Element(0)); }

  // The left neighbour of pixel `column` in the line for `row`.
  const Element* around(int64_t row, int64_t column) const { return pixels(row) + (column - 1) * channels_; }

 private:
  Element* start(int64_t slot) const { return memory_ + slot * (width_ + 2) * channels_; }

  Element* memory_;
  int64_t width_;
  int channels_;
};

// Cuts `rows` into two parts for each thread, at least `least` rows each, and calls
// `work(first, last, thread)`. Parts compute some rows of their neighbours again.
template <class Work>
void in_parts(Pool& pool, int64_t rows, int64_t least, const Work& work) {
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(rows / least, 2 * pool.threads()));
  pool.run(parts, [&](int64_t part, int thread) { work(rows * part / parts, rows * (part + 1) / parts, thread); });
}

template <class T>
class Module {
 public:
  using Element = typename T::Element;
  using Lent = typename Workshop<T>::Lent;

  virtual ~Module() = default;
  virtual Lent run(Workshop<T>& workshop, Map<Element> x) const = 0;
  virtual Lent run(Workshop<T>& workshop, Lent x) const = 0;
};

template <class T, int C>
class Plnlim : public Module<T> {
 public:
  using Element = typename T::Element;
  using Lent = typename Workshop<T>::Lent;

  Plnlim(Parameters& parameters, int stages, int shift) {
    for (int i = 0; i <= stages; ++i) local_.emplace_back(parameters);
    for (int i = 0; i <= stages; ++i) nonlocal_.emplace_back(parameters, i % 2 ? shift : 0);
    for (int i = 1; i < stages; ++i) to_local_.emplace_back(parameters);
    for (int i = 1; i < stages; ++i) to_nonlocal_.emplace_back(parameters);
    for (int i = 0; i < stages; ++i) fusion_.push_back(Linear<T>::next(parameters, C, (i ? 3 : 2) * C));
    fusion_.push_back(Linear<T>::next(parameters, C, 3 * C));
  }

  Lent run(Workshop<T>& workshop, Map<Element> x) const override { return run(workshop, x, Lent()); }

  Lent run(Workshop<T>& workshop, Lent x) const override {
    const Map<Element> map = x.map;
    return run(workshop, map, std::move(x));
  }

 private:
  static constexpr int ROW = words<T>(C);

  struct ResidualBlock {
    explicit ResidualBlock(Parameters& parameters) : first(parameters, C, C), second(parameters, C, C) {}

    Convolution<T> first, second;
  };

  // `owner` owns x, or is empty; the memory of x returns as soon as it is not needed.
  Lent run(Workshop<T>& workshop, Map<Element> x, Lent owner) const {
    const auto map = [&] { return Lent(workshop, x.height, x.width, C); };
    Lent local = map(), nonlocal = map(), fusion = map();
    residual(workshop, local_[0], nullptr, x, x, local.map, false);
    attend(workshop, nonlocal_[0], nullptr, x, x, nonlocal.map, false);
    owner = Lent();
    fuse<2>(workshop, fusion_[0], {local.map.data, nonlocal.map.data}, fusion.map);
    for (size_t stage = 1; stage + 1 < local_.size(); ++stage) {
      Lent next = map();
      residual(workshop, local_[stage], &to_local_[stage - 1], local.map, nonlocal.map, next.map, false);
      attend(workshop, nonlocal_[stage], &to_nonlocal_[stage - 1], nonlocal.map, local.map, nonlocal.map, false);
      local = std::move(next);
      fuse<3>(workshop, fusion_[stage], {fusion.map.data, local.map.data, nonlocal.map.data}, fusion.map);
    }
    fuse<3>(workshop, fusion_.back(), {fusion.map.data, local.map.data, nonlocal.map.data}, fusion.map);
    attend(workshop, nonlocal_.back(), nullptr, nonlocal.map, nonlocal.map, fusion.map, true);
    residual(workshop, local_.back(), nullptr, local.map, local.map, fusion.map, true);
    return fusion;
  }

  // Computes RB(x), or RB(SFT(x, guide)), into `out`, or adds it to that. `out` is another map.
  void residual(Workshop<T>& workshop, const ResidualBlock& block, const Sft<T, C>* sft, Map<Element> x, Map<Element> guide,
                Map<Element> out, bool adds) const {
    const int64_t height = x.height, width = x.width;
    const size_t room = Lines<Element>::elements(width, C);
    workshop.prepare(2 * room);
    in_parts(workshop.pool, height, 16, [&](int64_t first, int64_t last, int thread) {
      const Lines<Element> inputs(workshop.lines(thread), width, C), middles(workshop.lines(thread) + room, width, C);
      for (int64_t row = first - 2; row < last + 2; ++row) {
        if (row < 0 || row >= height) {
          inputs.clear(row);
        } else if (sft) {
          Element* to = inputs.pixels(row);
          for (int64_t column = 0; column < width; column += GROUP) {
            const int64_t at = (row * width + column) * C;
            sft->transform(x.data + at, guide.data + at, [&](int pixel, int channel, Vector result) {
              store(to + (column + pixel) * C + channel, result);
            });
          }
        } else {
          std::memcpy(inputs.pixels(row), x.data + row * width * C, sizeof(Element) * width * C);
        }
        const int64_t middle = row - 1, done = row - 2;
        if (middle < first - 1) continue;
        if (middle < 0 || middle >= height) middles.clear(middle);
        else row_of(block.first, inputs, middle, width, [&](int64_t column, int channel, Vector sum) {
          store(middles.pixels(middle) + column * C + channel, leaky(sum, 0.2f));
        });
        if (done < first) continue;
        const Element* before = inputs.pixels(done);
        Element* to = out.data + done * width * C;
        if (adds) row_of(block.second, middles, done, width, [&](int64_t column, int channel, Vector sum) {
          const int64_t at = column * C + channel;
          store(to + at, add(add(sum, load(before + at)), load(to + at)));
        });
        else row_of(block.second, middles, done, width, [&](int64_t column, int channel, Vector sum) {
          const int64_t at = column * C + channel;
          store(to + at, add(sum, load(before + at)));
        });
      }
    });
  }

  template <class Use>
  static void row_of(const Convolution<T>& layer, const Lines<Element>& lines, int64_t row, int64_t width, Use&& use) {
    for (int64_t column = 0; column < width; column += GROUP) {
      const Element* around[3] = {lines.around(row - 1, column), lines.around(row, column), lines.around(row + 1, column)};
      convolve<T, C>(around, layer, C, 1, [&](int pixel, int channel, Vector sum) { use(column + pixel, channel, sum); });
    }
  }

  // Computes STB(x), or STB(SFT(x, guide)), into `out`, which may be x, or adds it to that.
  void attend(Workshop<T>& workshop, const SwinBlock<T, C>& block, const Sft<T, C>* sft, Map<Element> x, Map<Element> guide,
              Map<Element> out, bool adds) const {
    const Grid grid{x.height, x.width, C, block.shift()};
    const int64_t across = x.width / WINDOW;
    workshop.pool.run(x.height / WINDOW, [&](int64_t row, int) {
      for (int64_t window = row * across; window < (row + 1) * across; ++window) {
        const Place place = grid.place(window);
        const auto plain = [&](int line, float* to) {
          for (int pixel = 0; pixel < GROUP; ++pixel)
            for (int v = 0; v < C; v += LANES) store(to + pixel * C + v, load(x.data + place.pixel[line * GROUP + pixel] + v));
        };
        const auto transformed = [&](int line, float* to) {
          alignas(64) Element pixels[GROUP * C], guides[GROUP * C];
          for (int pixel = 0; pixel < GROUP; ++pixel) {
            const int64_t at = place.pixel[line * GROUP + pixel];
            std::memcpy(pixels + pixel * C, x.data + at, sizeof(Element) * C);
            std::memcpy(guides + pixel * C, guide.data + at, sizeof(Element) * C);
          }
          sft->transform(pixels, guides, [&](int pixel, int channel, Vector result) { store(to + pixel * C + channel, result); });
        };
        const auto put = [&](int pixel, int channel, Vector result) { store(out.data + place.pixel[pixel] + channel, result); };
        const auto add_to_out = [&](int pixel, int channel, Vector result) {
          Element* to = out.data + place.pixel[pixel] + channel;
          store(to, add(load(to), result));
        };
        if (sft) block.compute(place, transformed, put);
        else if (adds) block.compute(place, plain, add_to_out);
        else block.compute(place, plain, put);
      }
    });
  }

  // Computes the 1x1 convolution of concatenated maps into `out`, which may be one of them.
  template <int MAPS>
  void fuse(Workshop<T>& workshop, const Linear<T>& layer, const Element* const (&maps)[MAPS], Map<Element> out) const {
    constexpr int VECTORS = column_vectors(C);
    const PackedLayer<T> packed = layer.packed();
    workshop.pool.run(out.height, [&](int64_t row, int) {
      for (int64_t at = row * out.width * C; at < (row + 1) * out.width * C; at += GROUP * C) {
        alignas(64) Element result[GROUP * C];
        for (int column = 0; column < C; column += VECTORS * LANES) {
          Vector sums[GROUP][VECTORS];
          start(sums, packed.bias + column);
          for (int map = 0; map < MAPS; ++map)
            accumulate<T>(sums, maps[map] + at, ROW, packed.weight + map * C * C + column * T::PAIR, C, ROW);
          finish(sums, column, [&](int pixel, int channel, Vector sum) { store(result + pixel * C + channel, sum); });
        }
        std::memcpy(out.data + at, result, sizeof result);
      }
    });
  }

  std::vector<ResidualBlock> local_;
  std::vector<SwinBlock<T, C>> nonlocal_;
  std::vector<Sft<T, C>> to_local_, to_nonlocal_;
  std::vector<Linear<T>> fusion_;
};

}  // namespace derain
