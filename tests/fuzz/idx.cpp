// The reader of IDX files. An input is one byte of flags, the images' length as two bytes, the file of images
// and the file of labels: as they stand, or packed by gzip first (bit 0: the images, bit 1: the labels). The
// test part is the same files once more.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "src/data/dataset.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace convoy;
using fuzz::Bytes;

std::vector<std::uint8_t> gzipped(Bytes bytes) {
  std::vector<std::uint8_t> out(bytes.size() + 1024);
  z_stream stream{};
  fuzz::require(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  fuzz::require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// How many bytes of content a file really holds.
std::size_t content_of(const std::filesystem::path& path) {
  const gzFile file = gzopen(path.c_str(), "rb");
  std::array<std::uint8_t, 4096> part{};
  std::size_t size = 0;
  for (int got = 0; (got = gzread(file, part.data(), part.size())) > 0;)
    size += static_cast<std::size_t>(got);
  gzclose(file);
  return size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Folder folder;
  static const bool linked = [] {
    folder.link("train-images-idx3-ubyte", "t10k-images-idx3-ubyte");
    folder.link("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte");
    return true;
  }();
  if (size < 3 || !linked) return 0;
  const Bytes rest(data + 3, size - 3);
  const Bytes images = rest.first(std::min<std::size_t>(rest.size(), data[1] + 256u * data[2]));
  const Bytes labels = rest.subspan(images.size());
  const auto write = [&](const char* name, Bytes bytes, bool pack) {
    folder.write(name, pack ? Bytes(gzipped(bytes)) : bytes);
    return content_of(folder.path() / name);
  };
  const std::size_t content = 2 * (write("train-images-idx3-ubyte", images, (data[0] & 1) != 0) +
                                   write("train-labels-idx1-ubyte", labels, (data[0] & 2) != 0));
  const std::size_t buffers = 5 << 18;  // zlib's, for two files at a time, and the reader's first piece
  DataConfig config;
  config.source = Source::mnist;
  config.path = folder.path().string();
  Dataset read;
  const bool accepted = fuzz::accepts([&] {
    const fuzz::MemoryLimit limit(buffers + 8 * content);
    read = load_dataset(config, 1);
  });
  if (!accepted) return 0;
  fuzz::require(read.images.size() == read.labels.size() * static_cast<std::size_t>(read.image.count()),
                "as many images as labels");
  fuzz::require(read.images.size() + read.labels.size() + 2 * (16 + 8) == content,
                "all that the files hold is read");
  return 0;
}
