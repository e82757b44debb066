// Gather, crop, flip and normalise, one pixel at a time.
#include "kernels/augment.h"
#include "kernels/augment_pixels.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const Augment& call) {
  if (!call.plain()) {
    for (int i = 0; i < call.n; ++i) change_image<T>(context, call, i);
    return;
  }
  const FeatureShape& image = call.image;
  const StepState& state = context.state;
  const auto* images = context.template data<std::uint8_t>(call.images);  // (samples,D,H,W,C)
  const auto* labels = context.template data<std::int32_t>(call.labels);  // (samples)
  const auto* order = context.template data<std::int32_t>(call.order);
  const T* scale = context.template data<T>(call.scale);   // (C)
  const T* offset = context.template data<T>(call.shift);  // (C)
  T* x = context.template data<T>(call.x);                 // (N,D,H,W,C)
  auto* y = context.template data<std::int32_t>(call.y);   // (N)
  for (int i = 0; i < call.n; ++i) {
    const std::int32_t sample = order[state.first + call.first + i];
    const std::int64_t row = call.resident ? sample : state.slot * call.slot_rows() + call.staged + i;
    const std::uint8_t* pixels = images + row * image.count();
    const ImageShift shift = image_shift(state.seed, state.epoch, sample, call.crop_pad, call.flip);
    y[i] = labels[sample];
    for (int d = 0; d < image.d; ++d) {
      for (int h = 0; h < image.h; ++h) {
        for (int w = 0; w < image.w; ++w) {
          int from_h = h + shift.dh, from_w = w + shift.dw;
          if (call.pad_mode == PadMode::reflect) {
            from_h = reflect(from_h, image.h);
            from_w = reflect(from_w, image.w);
          }
          const bool inside = from_h >= 0 && from_h < image.h && from_w >= 0 && from_w < image.w;
          if (shift.flip) from_w = image.w - 1 - from_w;
          if (shift.upside_down) from_h = image.h - 1 - from_h;
          for (int c = 0; c < image.c; ++c) {
            const int pixel = inside ? pixels[((d * image.h + from_h) * image.w + from_w) * image.c + c] : 0;
            *x++ = static_cast<T>(pixel) / 255 * scale[c] + offset[c];
          }
        }
      }
    }
  }
}

CONVOY_REFERENCE(Augment);

}  // namespace convoy
