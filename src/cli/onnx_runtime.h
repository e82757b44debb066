// onnxruntime, in a Python process of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file_descriptor.h"

namespace convoy {

/// Answers images that it is sent one after the other. The Python is $CONVOY_PYTHON, else the python3 on the
/// PATH; it needs onnxruntime and numpy, for files Pillow. One that neither reads nor ends for
/// $CONVOY_PYTHON_TIMEOUT seconds, 300 unless set, is ended.
class OnnxRuntime {
 public:
  /// Starts the process. Throws Error when there is no Python.
  explicit OnnxRuntime(const std::filesystem::path& model);
  ~OnnxRuntime();
  OnnxRuntime(const OnnxRuntime&) = delete;
  OnnxRuntime& operator=(const OnnxRuntime&) = delete;

  /// A picture file, which Pillow decodes.
  void ask(const std::filesystem::path& file);
  /// Pixels of this shape, channels last.
  void ask(std::span<const std::uint8_t> pixels, const std::vector<int>& shape);

  /// The logits of all images, (images,classes). Throws Error that says what to install, or that the process
  /// failed.
  std::vector<float> answers();

 private:
  std::filesystem::path answers_file() const;
  void send(std::string_view bytes);
  /// Ends its standard input and waits for its end; the exit code.
  int finish();

  /// For the answers; removed with what is in it.
  struct Folder {
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::filesystem::path path;
  };

  const std::string python_;
  const int patience_;  ///< seconds
  const Folder folder_;
  pid_t process_ = -1;     ///< -1: has ended
  FileDescriptor stream_;  ///< to its standard input
  bool listening_ = true;  ///< whether it still reads
  bool stuck_ = false;     ///< it was ended
};

}  // namespace convoy
