// TensorBoard's event files: records of protobuf messages (src/io/tensorboard.proto), each as
//   u64 length, u32 masked CRC of the length, data, u32 masked CRC of the data
// in little-endian order, which is TFRecord's framing:
// https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace convoy {
namespace tensorboard {
class Event;
}

/// CRC-32C (Castagnoli), polynomial 0x1EDC6F41 reflected, as in RFC 3720, B.4.
std::uint32_t crc32c(std::span<const std::byte> bytes);

/// One record, framed.
std::string event_record(const std::string& data);

/// How values are spread: eight buckets per octave on either side of zero, and one for what is smaller than
/// 2^-40. Values that are not finite are left out.
class Histogram {
 public:
  Histogram();
  void add(double value) {
    if (!std::isfinite(value)) return;
    ++count_;
    sum_ += value;
    sum_of_squares_ += value * value;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    // Exponent and the first three digits of the fraction, as they stand in an IEEE double. Weights of either
    // sign come in no order, so nothing here branches on one.
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const auto magnitude = static_cast<int>((bits & ~(std::uint64_t{1} << 63)) >> (52 - 3));
    const int bucket = std::clamp(magnitude - first_magnitude + 1, 0, side - 1);
    ++counts_[static_cast<std::size_t>(bucket + static_cast<int>(bits >> 63) * side)];
  }
  double count() const { return count_; }
  double sum_of_squares() const { return sum_of_squares_; }
  double min() const { return min_; }
  double max() const { return max_; }
  double sum() const { return sum_; }

  /// A bucket's upper end and how many values lie between it and the end of the bucket before. The first one
  /// is empty: its end is where the second begins.
  struct Bucket {
    double limit = 0, count = 0;
  };
  std::vector<Bucket> buckets() const;

 private:
  static constexpr int buckets_per_octave = 8, smallest_exponent = -40,
                       octaves = 168;  // as far as float goes
  static constexpr int first_magnitude = (1023 + smallest_exponent) * buckets_per_octave;
  static constexpr int side = octaves * buckets_per_octave + 1;
  /// Where the magnitudes of a bucket begin; bucket 0 holds what is smaller than all of those.
  static double lower_end(int bucket);

  std::vector<std::uint32_t> counts_;  ///< (2,side): positive, negative
  double count_ = 0, sum_ = 0, sum_of_squares_ = 0, min_, max_;
};

/// Events of one step, gathered under their tags and appended to a file.
class EventWriter {
 public:
  /// `folder/events.out.tfevents.<seconds>.<host>.<process>`, which stands behind all others there:
  /// TensorBoard reads a run's files in the order of their names. Nothing is written before the first
  /// flush(). The file begins by saying that the run goes on with `first_step`: TensorBoard then drops what
  /// earlier files say of it and later ones. (Of a run's first file it expects the same, and takes it for no
  /// restart.)
  EventWriter(std::filesystem::path folder, std::string host, std::int64_t first_step);

  void scalar(const std::string& tag, std::int64_t step, double value);
  void histogram(const std::string& tag, std::int64_t step, const Histogram& histogram);
  /// `png` are the bytes of a PNG file.
  void image(const std::string& tag, std::int64_t step, int height, int width, int channels, std::string png);
  void text(const std::string& tag, std::int64_t step, const std::string& markdown);

  /// Appends what was added since and waits until it is on the disk; to a new file, where others have touched
  /// the one before. Throws Error, as append_to_file() does; what was added is then kept for the next time,
  /// or dropped where it is more than most_kept bytes.
  void flush();
  /// Whether something was dropped.
  bool incomplete() const { return incomplete_; }
  const std::filesystem::path& path() const { return path_; }

  static constexpr std::size_t most_kept = std::size_t{16} << 20;

 private:
  void begin_file();
  void add(const tensorboard::Event& event);

  std::filesystem::path folder_, path_;
  std::string host_, records_;
  std::int64_t seconds_ = 0;   ///< in the file's name
  std::int64_t first_step_;    ///< of what is not written yet
  std::uint64_t written_ = 0;  ///< bytes of the file
  bool incomplete_ = false;
};

}  // namespace convoy
