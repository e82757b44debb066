// From stored bytes to the network's input on the CPU: rows of pixels shared out. images (samples,D,H,W,C) ->
// x.
#include "kernels/augment.h"

#include "kernels/augment_pixels.h"

namespace convoy {

void launch(const CpuContext& context, const Augment& call) {
  if (!call.plain()) {
    return context.threads().for_each(
        call.n, [&](std::int64_t i) { change_image<float>(context, call, static_cast<int>(i)); });
  }
  const auto [depth, height, width, channels] = call.image;
  const std::uint8_t* images = context.data<std::uint8_t>(call.images);
  const std::int32_t* labels = context.data<std::int32_t>(call.labels);
  const StepState& state = context.state;
  const std::int32_t* order = context.data<std::int32_t>(call.order) + state.first + call.first;
  const float* scale = context.data<float>(call.scale);
  const float* offset = context.data<float>(call.shift);
  float* x = context.data<float>(call.x);
  std::int32_t* y = context.data<std::int32_t>(call.y);
  const bool moves = call.crop_pad > 0 || call.flip != Flip::none;
  context.threads().for_each(call.n, [&](std::int64_t i) {
    const std::int32_t sample = order[i];
    y[i] = labels[sample];
    const std::int64_t stored = call.resident ? sample : state.slot * call.slot_rows() + call.staged + i;
    const std::uint8_t* image = images + stored * call.image.count();
    const ImageShift shift =
        moves ? image_shift(state.seed, state.epoch, sample, call.crop_pad, call.flip) : ImageShift{};
    float* out = x + i * call.image.count();
    for (int d = 0; d < depth; ++d) {
      for (int h = 0; h < height; ++h) {
        int from_h = h + shift.dh;
        if (call.pad_mode == PadMode::reflect) from_h = reflect(from_h, height);
        const bool row_inside = from_h >= 0 && from_h < height;
        if (shift.upside_down) from_h = height - 1 - from_h;
        const std::int64_t row = row_inside ? (std::int64_t{d} * height + from_h) * width : 0;
        for (int w = 0; w < width; ++w, out += channels) {
          int from_w = w + shift.dw;
          if (call.pad_mode == PadMode::reflect) from_w = reflect(from_w, width);
          const bool inside = row_inside && from_w >= 0 && from_w < width;
          if (shift.flip) from_w = width - 1 - from_w;
          for (int c = 0; c < channels; ++c) {
            const float pixel = inside ? static_cast<float>(image[(row + from_w) * channels + c]) : 0.0f;
            out[c] = pixel / 255.0f * scale[c] + offset[c];
          }
        }
      }
    }
  });
}

}  // namespace convoy
