#include "src/io/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace convoy {

std::string foreign_kind(std::span<const std::byte> bytes, const std::string& name) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<std::size_t>(bytes.size(), 4096));
  const auto starts = [&](std::string_view magic) { return text.starts_with(magic); };
  const bool pickle = text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
  if (starts("PK\x03\x04"sv) || pickle) {  // torch.save since 1.6, and before
    const std::string stem = name.substr(0, name.find_last_of('.'));
    return fmt::format(
        " but one of PyTorch (torch.save); convert a state_dict by: python3 -c \"import torch; from "
        "safetensors.torch import save_file; save_file(torch.load('{}', map_location='cpu', "
        "weights_only=True), '{}.safetensors')\"",
        name, stem);
  }
  if (starts("\x89HDF"sv)) return " but an HDF5 file (Keras); weights are read from safetensors files alone";
  if (starts("\x89PNG"sv) || starts("\xff\xd8\xff"sv))
    return " but an image; give the run first, then the images";
  if (name.ends_with(".onnx")) return " but an ONNX file; use the run's folder that it was exported from";
  const bool is_text = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
  if (is_text && (name.ends_with(".yaml") || name.ends_with(".yml")))
    return " but a configuration; give a run's folder (runs/NAME) or one of its checkpoints";
  return "";
}

}  // namespace convoy
