#include "src/io/tensorboard.h"

#include <tensorboard.pb.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include "src/core/error.h"
#include "src/io/atomic_file.h"

namespace convoy {
namespace {

namespace fs = std::filesystem;
namespace tb = convoy::tensorboard;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[byte] = value;
  }
  return table;
}

/// A sum of data that holds its own sum would be weak, so the format stores another number.
std::uint32_t masked_crc(std::string_view data) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(data)));
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <class T>
void append_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

tb::Event event_at(std::int64_t step) {
  tb::Event event;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  event.set_wall_time(std::chrono::duration<double>(now).count());
  event.set_step(step);
  return event;
}

constexpr const char* file_prefix = "events.out.tfevents.";

/// The time in the name of the last of the folder's files; 0 where there is none.
std::int64_t newest_in(const fs::path& folder) {
  std::int64_t newest = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(file_prefix)) continue;
    newest = std::max<std::int64_t>(newest, std::atoll(name.c_str() + std::string_view(file_prefix).size()));
  }
  return newest;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
  std::uint32_t crc = ~0u;
  for (const std::byte byte : bytes)
    crc = (crc >> 8) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
  return ~crc;
}

std::string event_record(const std::string& data) {
  std::string record;
  append_little_endian(record, static_cast<std::uint64_t>(data.size()));
  append_little_endian(record, masked_crc(record));
  record += data;
  append_little_endian(record, masked_crc(data));
  return record;
}

Histogram::Histogram() : counts_(2 * side), min_(std::numeric_limits<double>::infinity()), max_(-min_) {}

double Histogram::lower_end(int bucket) {
  const int octave = (bucket - 1) / buckets_per_octave, part = (bucket - 1) % buckets_per_octave;
  return std::ldexp(1.0 + static_cast<double>(part) / buckets_per_octave, smallest_exponent + octave);
}

std::vector<Histogram::Bucket> Histogram::buckets() const {
  const auto count_of = [&](int bucket, bool negative) {
    return static_cast<double>(counts_[static_cast<std::size_t>(bucket + (negative ? side : 0))]);
  };
  std::vector<Bucket> out;
  const auto add_bucket = [&](double begin, double end, double count) {
    if (count == 0) return;
    if (out.empty() || out.back().limit < begin) out.push_back({begin, 0});
    out.push_back({end, count});
  };
  for (int i = side; i-- > 1;) add_bucket(-lower_end(i + 1), -lower_end(i), count_of(i, true));
  add_bucket(-lower_end(1), lower_end(1), count_of(0, true) + count_of(0, false));
  for (int i = 1; i < side; ++i) add_bucket(lower_end(i), lower_end(i + 1), count_of(i, false));
  return out;
}

EventWriter::EventWriter(fs::path folder, const std::string& host, std::int64_t first_step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t seconds = std::max<std::int64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now).count(), newest_in(folder) + 1);
  path_ = std::move(folder) / fmt::format("{}{:010}.{}.{}", file_prefix, seconds, host, getpid());
  tb::Event event = event_at(0);
  event.set_file_version("brain.Event:2");
  records_ = event_record(event.SerializeAsString());
  event = event_at(first_step);
  event.mutable_session_log()->set_status(tb::SessionLog::START);
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::scalar(const std::string& tag, std::int64_t step, double value) {
  tb::Event event = event_at(step);
  tb::Summary::Value* summary = event.mutable_summary()->add_value();
  summary->set_tag(tag);
  summary->set_simple_value(static_cast<float>(value));
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::histogram(const std::string& tag, std::int64_t step, const Histogram& histogram) {
  tb::Event event = event_at(step);
  tb::Summary::Value* summary = event.mutable_summary()->add_value();
  summary->set_tag(tag);
  tb::HistogramProto* out = summary->mutable_histo();
  const bool some = histogram.count() > 0;
  out->set_min(some ? histogram.min() : 0);
  out->set_max(some ? histogram.max() : 0);
  out->set_num(histogram.count());
  out->set_sum(histogram.sum());
  out->set_sum_squares(histogram.sum_of_squares());
  for (const Histogram::Bucket& bucket : histogram.buckets()) {
    out->add_bucket_limit(bucket.limit);
    out->add_bucket(bucket.count);
  }
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::image(const std::string& tag, std::int64_t step, int height, int width, int channels,
                        std::string png) {
  tb::Event event = event_at(step);
  tb::Summary::Value* summary = event.mutable_summary()->add_value();
  summary->set_tag(tag);
  tb::Summary::Image* out = summary->mutable_image();
  out->set_height(height);
  out->set_width(width);
  out->set_colorspace(channels);
  out->set_encoded_image_string(std::move(png));
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::text(const std::string& tag, std::int64_t step, const std::string& markdown) {
  tb::Event event = event_at(step);
  tb::Summary::Value* summary = event.mutable_summary()->add_value();
  summary->set_tag(tag);
  summary->mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  tb::TensorProto* out = summary->mutable_tensor();
  out->set_dtype(tb::TensorProto::DT_STRING);
  out->mutable_tensor_shape()->add_dim()->set_size(1);
  out->add_string_val(markdown);
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::flush() {
  if (records_.empty()) return;
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);  // append_to_file() says what is wrong
  append_to_file(path_, records_);
  records_.clear();
}

}  // namespace convoy
