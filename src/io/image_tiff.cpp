#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "core/error.h"
#include "src/io/exif.h"
#include "src/io/image.h"

namespace convoy {

const bool reads_tiff = true;

namespace {

using Bytes = std::span<const std::uint8_t>;

/// A file in memory as libtiff reads it, and what it last complained of.
struct TiffBytes {
  Bytes bytes;
  std::size_t at = 0;
  char message[256] = {};
};

TiffBytes& self(thandle_t handle) {
  return *static_cast<TiffBytes*>(handle);
}

tmsize_t on_read(thandle_t handle, void* out, tmsize_t wanted) {
  TiffBytes& file = self(handle);
  const std::size_t count =
      std::min(static_cast<std::size_t>(std::max<tmsize_t>(wanted, 0)), file.bytes.size() - file.at);
  std::memcpy(out, file.bytes.data() + file.at, count);
  file.at += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t on_write(thandle_t, void*, tmsize_t) {
  return 0;
}

toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
  TiffBytes& file = self(handle);
  const toff_t base = whence == SEEK_CUR ? file.at : whence == SEEK_END ? file.bytes.size() : 0;
  file.at = static_cast<std::size_t>(std::min<toff_t>(base + offset, file.bytes.size()));
  return file.at;
}

int on_close(thandle_t) {
  return 0;
}

toff_t on_size(thandle_t handle) {
  return self(handle).bytes.size();
}

/// The file that this thread decodes. libtiff's handlers serve the whole process, in which others may use it
/// for files of theirs. (Handlers of one file alone came with version 4.5.)
thread_local TiffBytes* decoded = nullptr;

void on_error(thandle_t handle, const char* module, const char* format, va_list arguments);

/// What was there before, and is handed the errors of others.
struct Handlers {
  TIFFErrorHandler plain = TIFFSetErrorHandler(nullptr);
  TIFFErrorHandlerExt with_handle = TIFFSetErrorHandlerExt(on_error);
  TIFFErrorHandler warning = TIFFSetWarningHandler(nullptr);  // of tags that nobody knows
};
const Handlers& install_handlers() {
  static const Handlers before;
  return before;
}

void on_error(thandle_t handle, const char* module, const char* format, va_list arguments) {
  if (decoded == nullptr) {
    const Handlers& before = install_handlers();
    va_list again;
    va_copy(again, arguments);
    if (before.plain != nullptr) before.plain(module, format, again);
    va_end(again);
    if (before.with_handle != nullptr) before.with_handle(handle, module, format, arguments);
  } else if (decoded->message[0] == '\0') {
    std::vsnprintf(decoded->message, sizeof decoded->message, format, arguments);
  }
}

/// Tells on_error() of the file.
class Decoding {
 public:
  explicit Decoding(TiffBytes& file) { decoded = &file; }
  ~Decoding() { decoded = nullptr; }
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;
};

struct CloseTiff {
  void operator()(TIFF* file) const { TIFFClose(file); }
};
using TiffFile = std::unique_ptr<TIFF, CloseTiff>;

/// libtiff multiplies colours by the opacity that a file holds apart from them. Here transparency is dropped,
/// and colours stay as they are: as in a file that says they are multiplied already.
void keep_colours(TIFF* tiff) {
  std::uint16_t count = 0;
  std::uint16_t* kinds = nullptr;
  if (TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 0 || count == 0) return;
  if (kinds[0] != EXTRASAMPLE_UNASSALPHA) return;
  std::uint16_t kept[] = {EXTRASAMPLE_ASSOCALPHA};
  if (count == 1) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, kept);
}

/// The raster of `height` rows as it is stored, (height,width) of red in the low byte, green, blue and
/// opacity.
std::vector<std::uint32_t> read_raster(TIFF* tiff, std::uint32_t height, std::uint32_t width, bool& whole) {
  std::vector<std::uint32_t> raster(std::size_t{height} * width);
  TIFFRGBAImage image{};
  char message[1024] = {};
  whole = TIFFRGBAImageBegin(&image, tiff, /*stop=*/1, message) != 0;
  if (!whole) {
    TiffBytes& file = self(TIFFClientdata(tiff));
    if (file.message[0] == '\0') std::string_view(message).copy(file.message, sizeof file.message - 1);
    return raster;
  }
  image.req_orientation = image.orientation;  // turned later, as other formats' pictures
  whole = TIFFRGBAImageGet(&image, raster.data(), width, height) != 0;
  TIFFRGBAImageEnd(&image);
  return raster;
}

}  // namespace

Image decode_tiff(Bytes bytes, const std::string& name) {
  install_handlers();
  TiffBytes memory{bytes};
  const Decoding decoding(memory);
  const auto refuse = [&] {
    fail("{}: a damaged TIFF file, or of a kind that is not supported: {}", name,
         memory.message[0] == '\0' ? "its pixels cannot be decoded" : memory.message);
  };
  // "m": not mapped; it lies in memory.
  const TiffFile tiff(TIFFClientOpen("picture", "rm", &memory, on_read, on_write, on_seek, on_close, on_size,
                                     nullptr, nullptr));
  if (!tiff) refuse();
  std::uint32_t height = 0, width = 0, tile_height = 1, tile_width = 1;
  std::uint16_t orientation = 1;
  TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  check_image_size(height, width, bytes.size(), name, believed_pixels);
  if (TIFFIsTiled(tiff.get()) != 0) {
    TIFFGetField(tiff.get(), TIFFTAG_TILELENGTH, &tile_height);
    TIFFGetField(tiff.get(), TIFFTAG_TILEWIDTH, &tile_width);
    check_image_size(tile_height, tile_width, bytes.size(), name, believed_pixels);
  }
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_ORIENTATION, &orientation);
  keep_colours(tiff.get());
  bool whole = false;
  const std::vector<std::uint32_t> raster = read_raster(tiff.get(), height, width, whole);
  if (!whole) refuse();
  Image image{static_cast<int>(height), static_cast<int>(width), {}};
  image.pixels.reserve(3 * raster.size());
  for (const std::uint32_t pixel : raster)
    for (const std::uint32_t value : {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)})
      image.pixels.push_back(static_cast<std::uint8_t>(value));
  return upright(std::move(image), orientation >= 1 && orientation <= 8 ? orientation : 1);
}

}  // namespace convoy
