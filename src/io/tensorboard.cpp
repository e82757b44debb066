#include "src/io/tensorboard.h"

#include <tensorboard.pb.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/number.h"
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

/// What a file begins with: its version, and that the run goes on with this step.
std::string beginning_of_file(std::int64_t first_step) {
  tb::Event event = event_at(0);
  event.set_file_version("brain.Event:2");
  std::string records = event_record(event.SerializeAsString());
  event = event_at(first_step);
  event.mutable_session_log()->set_status(tb::SessionLog::START);
  return records + event_record(event.SerializeAsString());
}

constexpr std::string_view file_prefix = "events.out.tfevents.";

/// The time in the name of the last of the folder's files; 0 where there is none. Names that nobody's clock
/// has made do not count.
std::int64_t newest_in(const fs::path& folder) {
  constexpr std::int64_t last = 9'999'999'998;  // of as many digits as begin_file() writes
  std::int64_t newest = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(file_prefix)) continue;
    const std::string_view rest = std::string_view(name).substr(file_prefix.size());
    newest = std::max(newest, integer_in<std::int64_t>(rest.substr(0, rest.find('.')), 0, last).value_or(0));
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

EventWriter::EventWriter(fs::path folder, std::string host, std::int64_t first_step)
    : folder_(std::move(folder)), host_(std::move(host)), first_step_(first_step) {
  begin_file();
}

void EventWriter::begin_file() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  seconds_ = std::max<std::int64_t>(
      {std::chrono::duration_cast<std::chrono::seconds>(now).count(), newest_in(folder_) + 1, seconds_ + 1});
  path_ = folder_ / fmt::format("{}{:010}.{}.{}", file_prefix, seconds_, host_, getpid());
  written_ = 0;
}

void EventWriter::add(const tb::Event& event) {
  if (records_.empty() && written_ > 0) first_step_ = event.step();
  records_ += event_record(event.SerializeAsString());
}

void EventWriter::scalar(const std::string& tag, std::int64_t step, double value) {
  tb::Event event = event_at(step);
  tb::Summary::Value* summary = event.mutable_summary()->add_value();
  summary->set_tag(tag);
  summary->set_simple_value(static_cast<float>(value));
  add(event);
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
  add(event);
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
  add(event);
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
  add(event);
}

void EventWriter::flush() {
  if (records_.empty() && written_ > 0) return;
  std::error_code error;
  fs::create_directories(folder_, error);  // append_to_file() says what is wrong
  const bool is_ours = fs::file_size(path_, error) == written_ && ::access(path_.c_str(), W_OK) == 0;
  if (written_ > 0 && !is_ours) begin_file();
  try {
    written_ = append_to_file(path_, (written_ == 0 ? beginning_of_file(first_step_) : "") + records_);
  } catch (const std::exception&) {
    if (records_.size() > most_kept) {
      records_.clear();
      incomplete_ = true;
    }
    throw;
  }
  records_.clear();
}

}  // namespace convoy
