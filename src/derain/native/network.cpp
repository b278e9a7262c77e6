// PLNLIN (`derain.network.generator.PLNLIN`) without its heads, for inference on a CPU.
#include <algorithm>
#include <array>

#include "module.h"

namespace derain {
namespace {

constexpr int LEVELS = 4;

struct Shape {
  std::array<int, LEVELS> channels, stages;
  int unshuffle, frames, window, shift;

  int64_t multiple() const { return int64_t(window) * unshuffle << (LEVELS - 1); }
};

class Network {
 public:
  virtual ~Network() = default;
  virtual void restore(const float* rainy, float* restored, int64_t pictures, int64_t height, int64_t width) = 0;
};

template <class T>
std::unique_ptr<Module<T>> make_module(Parameters& parameters, int channels, int stages, int shift) {
  switch (channels) {
    case 16: return std::make_unique<Plnlim<T, 16>>(parameters, stages, shift);
    case 32: return std::make_unique<Plnlim<T, 32>>(parameters, stages, shift);
    case 48: return std::make_unique<Plnlim<T, 48>>(parameters, stages, shift);
    case 64: return std::make_unique<Plnlim<T, 64>>(parameters, stages, shift);
    default: throw std::invalid_argument("channels");
  }
}

// The source of each of `size` positions and more: mirrored about the last and the first pixel.
int64_t reflected(int64_t at, int64_t size) {
  const int64_t period = std::max<int64_t>(2 * (size - 1), 1);
  return std::min(at % period, (period - at % period) % period);
}

template <class T>
class Plnlin : public Network {
 public:
  using Element = typename T::Element;
  using Lent = typename Workshop<T>::Lent;

  // Raises std::invalid_argument if the parameters do not fit.
  Plnlin(const Shape& shape, Parameters parameters, int threads)
      : shape_(shape),
        workshop_(threads),
        enter_(parameters, shape.channels[0], 3 * shape.frames * shape.unshuffle * shape.unshuffle) {
    for (auto* modules : {&encoder_, &decoder_})
      for (int level = 0; level < LEVELS; ++level)
        modules->push_back(make_module<T>(parameters, shape.channels[level], shape.stages[level], shape.shift));
    const auto& c = shape.channels;
    for (int level = 0; level + 1 < LEVELS; ++level) down_.emplace_back(parameters, c[level + 1], c[level]);
    for (int level = 0; level + 1 < LEVELS; ++level) up_.emplace_back(parameters, c[level], c[level + 1]);
    for (int level = 0; level + 1 < LEVELS; ++level) join_.emplace_back(parameters, c[level], 2 * c[level]);
    leave_.emplace_back(parameters, 3 * shape.unshuffle * shape.unshuffle, c[0]);
    if (!parameters.done()) throw std::invalid_argument("too many parameters");
  }

  void restore(const float* rainy, float* restored, int64_t pictures, int64_t height, int64_t width) override {
    if (height != height_ || width != width_) {
      workshop_.tidy();
      height_ = height;
      width_ = width;
    }
    for (int64_t picture = 0; picture < pictures; ++picture)
      restore_one(rainy + picture * 3 * shape_.frames * height * width, restored + picture * 3 * height * width, height, width);
  }

 private:
  void restore_one(const float* rainy, float* restored, int64_t height, int64_t width) {
    const int64_t multiple = shape_.multiple(), side = shape_.unshuffle;
    const int64_t padded_height = (height + multiple - 1) / multiple * multiple;
    const int64_t padded_width = (width + multiple - 1) / multiple * multiple;
    std::vector<int64_t> rows(padded_height), columns(padded_width);
    for (int64_t i = 0; i < padded_height; ++i) rows[i] = reflected(i, height);
    for (int64_t i = 0; i < padded_width; ++i) columns[i] = reflected(i, width);

    // channels as `F.pixel_unshuffle` orders them: by colour, then by the place in a square
    const auto enter = [&](int64_t row, Element* to) {
      const int colours = 3 * shape_.frames;
      for (int colour = 0; colour < colours; ++colour)
        for (int64_t y = 0; y < side; ++y) {
          const float* from = rainy + (colour * height + rows[row * side + y]) * width;
          for (int64_t x = 0; x < side; ++x) {
            const int64_t channel = (colour * side + y) * side + x;
            for (int64_t column = 0; column < padded_width / side; ++column)
              to[column * enter_.in() + channel] = T::rounded(from[columns[column * side + x]]);
          }
        }
      for (int64_t column = 0; column < padded_width / side; ++column)
        std::fill(to + column * enter_.in() + colours * side * side, to + (column + 1) * enter_.in(), Element(0));
    };
    std::array<Lent, LEVELS> encoded;
    for (int level = 0; level < LEVELS; ++level) {
      const int64_t level_height = padded_height / side >> level, level_width = padded_width / side >> level;
      Lent x(workshop_, level_height, level_width, shape_.channels[level]);
      if (level == 0) {
        convolve_map(enter_, 1, level_height, level_width, enter, x.map);
      } else {
        const Map<Element> from = encoded[level - 1].map;
        const int64_t line = from.width * shape_.channels[level - 1];
        convolve_map(down_[level - 1], 2, from.height, from.width,
                     [&](int64_t row, Element* to) { std::memcpy(to, from.data + row * line, sizeof(Element) * line); }, x.map);
      }
      encoded[level] = encoder_[level]->run(workshop_, std::move(x));
    }
    Lent decoded = decoder_[LEVELS - 1]->run(workshop_, std::move(encoded[LEVELS - 1]));
    for (int level = LEVELS - 2; level >= 0; --level) decoded = decode(level, std::move(encoded[level]), std::move(decoded));

    const Map<Element> from = decoded.map;
    const int64_t line = from.width * shape_.channels[0];
    const float* centre = rainy + shape_.frames / 2 * 3 * height * width;
    convolve_rows(leave_[0], 1, from.height, from.width,
                  [&](int64_t row, Element* to) { std::memcpy(to, from.data + row * line, sizeof(Element) * line); },
                  [&](int64_t row, int64_t column, int channel, Vector sum) {
                    alignas(64) float change[LANES];
                    store(change, sum);
                    for (int i = 0; i < LANES && channel + i < 3 * side * side; ++i) {
                      const int64_t colour = (channel + i) / (side * side), place = (channel + i) % (side * side);
                      const int64_t y = row * side + place / side, x = column * side + place % side;
                      if (y < height && x < width) {
                        const int64_t at = (colour * height + y) * width + x;
                        restored[at] = centre[at] + change[i];
                      }
                    }
                  });
  }

  // Joins a level of the encoder with the level below of the decoder, whose pixels are doubled.
  Lent decode(int level, Lent encoded, Lent deep) {
    const int64_t height = encoded.map.height, width = encoded.map.width;
    const int channels = shape_.channels[level], deep_channels = shape_.channels[level + 1];
    Lent up(workshop_, height, width, channels);
    convolve_map(up_[level], 1, height, width,
                 [&](int64_t row, Element* to) {
                   const Element* from = deep.map.data + row / 2 * (width / 2) * deep_channels;
                   for (int64_t column = 0; column < width; ++column)
                     std::memcpy(to + column * deep_channels, from + column / 2 * deep_channels, sizeof(Element) * deep_channels);
                 },
                 up.map);
    deep = Lent();
    Lent x(workshop_, height, width, channels);
    convolve_map(join_[level], 1, height, width,
                 [&](int64_t row, Element* to) {
                   for (int64_t column = 0; column < width; ++column) {
                     const int64_t at = (row * width + column) * channels;
                     std::memcpy(to + column * 2 * channels, encoded.map.data + at, sizeof(Element) * channels);
                     std::memcpy(to + (column * 2 + 1) * channels, up.map.data + at, sizeof(Element) * channels);
                   }
                 },
                 x.map);
    encoded = Lent();
    up = Lent();
    return decoder_[level]->run(workshop_, std::move(x));
  }

  // Convolves a picture of (height, width), whose rows `fill(row, pixels)` writes.
  template <class Fill>
  void convolve_map(const Convolution<T>& layer, int stride, int64_t height, int64_t width, const Fill& fill, Map<Element> out) {
    const int channels = layer.out();
    convolve_rows(layer, stride, height, width, fill, [&](int64_t row, int64_t column, int channel, Vector sum) {
      store(out.data + (row * out.width + column) * channels + channel, sum);
    });
  }

  // The same, and calls `use(row, column, channel, sum)` for each vector of the result.
  template <class Fill, class Use>
  void convolve_rows(const Convolution<T>& layer, int stride, int64_t height, int64_t width, const Fill& fill, const Use& use) {
    switch (layer.out()) {
      case 16: return convolve_rows<16>(layer, stride, height, width, fill, use);
      case 32: return convolve_rows<32>(layer, stride, height, width, fill, use);
      case 48: return convolve_rows<48>(layer, stride, height, width, fill, use);
      default: return convolve_rows<64>(layer, stride, height, width, fill, use);
    }
  }

  template <int OUT, class Fill, class Use>
  void convolve_rows(const Convolution<T>& layer, int stride, int64_t height, int64_t width, const Fill& fill, const Use& use) {
    workshop_.prepare(Lines<Element>::elements(width, layer.in()));
    in_parts(workshop_.pool, height / stride, 8, [&](int64_t first, int64_t last, int thread) {
      const Lines<Element> lines(workshop_.lines(thread), width, layer.in());
      int64_t filled = first * stride - 1;  // the next row to be written
      for (int64_t row = first; row < last; ++row) {
        for (; filled <= row * stride + 1; ++filled) {
          if (filled >= 0 && filled < height) fill(filled, lines.pixels(filled));
          else lines.clear(filled);
        }
        for (int64_t column = 0; column < width / stride; column += GROUP) {
          const Element* around[3];
          for (int i = 0; i < 3; ++i) around[i] = lines.around(row * stride + i - 1, column * stride);
          convolve<T, OUT>(around, layer, layer.in(), stride,
                           [&](int pixel, int channel, Vector sum) { use(row, column + pixel, channel, sum); });
        }
      }
    });
  }

  const Shape shape_;
  Workshop<T> workshop_;
  Convolution<T> enter_;
  std::vector<std::unique_ptr<Module<T>>> encoder_, decoder_;
  std::vector<Convolution<T>> down_, up_, join_, leave_;
  int64_t height_ = 0, width_ = 0;
};

}  // namespace
}  // namespace derain

using derain::Network;

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int32_t derain_native_abi() { return 1; }

// Returns a network, or null if there is none for these numbers: the channels and stages of four levels,
// unshuffle, frames, window and shift. `parameters` are those of the state dict without heads, in its
// order. `precision` is 0 for float32, 1 for bfloat16.
EXPORTED void* derain_native_open(const int32_t* numbers, const float* parameters, int64_t count, int32_t precision, int32_t threads) {
  using namespace derain;
  try {
    Shape shape;
    for (int level = 0; level < LEVELS; ++level) {
      shape.channels[level] = numbers[level];
      shape.stages[level] = numbers[LEVELS + level];
    }
    shape.unshuffle = numbers[8];
    shape.frames = numbers[9];
    shape.window = numbers[10];
    shape.shift = numbers[11];
    if (shape.window != WINDOW || shape.unshuffle < 1 || shape.unshuffle > 4 || threads < 1) return nullptr;
    Network* network = nullptr;
    if (precision == 0) network = new Plnlin<Float32>(shape, Parameters(parameters, count), threads);
#ifdef __AVX512F__
    if (precision == 1) network = new Plnlin<BFloat16>(shape, Parameters(parameters, count), threads);
#endif
    return network;
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Restores (pictures, 3 * frames, height, width) to (pictures, 3, height, width). Returns 1 if memory runs
// out, else 0. Calls for a network must not overlap.
EXPORTED int32_t derain_native_restore(void* network, const float* rainy, float* restored, int64_t pictures, int64_t height, int64_t width) {
  try {
    static_cast<Network*>(network)->restore(rainy, restored, pictures, height, width);
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

EXPORTED void derain_native_close(void* network) { delete static_cast<Network*>(network); }
