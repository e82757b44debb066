// The part of an ONNX model that makes a network's input of pictures of any size, as `convoy predict` does.
#pragma once

#include <string>

#include "src/export/onnx_model.h"
#include "src/io/resize.h"

namespace convoy {

/// Appends the nodes. `images`: u8 (N,H,W,C), pixels of pictures of one size, C 3 (red, green, blue) or 1
/// (gray). Returns the value that holds them as the network sees them: float (N,channels,out.height,
/// out.width), whole numbers from 0 to 255. `channels` is 3, or 1 for luma.
std::string show_pictures(OnnxModel& model, const std::string& images, const PictureView& view, ImageSize out,
                          int channels);

}  // namespace convoy
