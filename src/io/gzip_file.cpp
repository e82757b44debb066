#include "src/io/gzip_file.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/regular_file.h"

namespace convoy {

GzipFile::GzipFile(std::filesystem::path path) : path_(std::move(path)) {
  RegularFile file(path_);
  stored_size_ = file.size();
  FileDescriptor descriptor = std::move(file).release();
  file_.reset(gzdopen(descriptor.get(), "rb"));
  if (!file_) fail("cannot read {}: no memory to unpack it", path_.string());
  descriptor.release();  // gzclose closes it
  gzbuffer(file_.get(), 1 << 17);
}

std::size_t GzipFile::read(std::span<std::uint8_t> bytes) {
  constexpr std::size_t piece = 1 << 18;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto part = static_cast<unsigned>(std::min(bytes.size() - done, piece));
    const int got = gzread(file_.get(), bytes.data() + done, part);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::string GzipFile::problem() const {
  int code = Z_OK;
  const std::string text = gzerror(file_.get(), &code);
  if (code == Z_OK || code == Z_STREAM_END) return {};
  return text.substr(text.find(": ") == std::string::npos ? 0 : text.find(": ") + 2);  // behind "<fd:3>"
}

}  // namespace convoy
