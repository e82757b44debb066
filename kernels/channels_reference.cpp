// Copies of channels, one element at a time.
#include "kernels/channels.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const ConcatChannels& call) {
  T* y = context.template data<T>(call.y);
  for (std::int64_t row = 0; row < call.rows; ++row) {
    for (std::size_t i = 0; i < call.x.size(); ++i) {
      const T* x = context.template data<T>(call.x[i]);
      for (int k = 0; k < call.c[i]; ++k) *y++ = x != nullptr ? x[row * call.c[i] + k] : T(0);
    }
  }
}

template <class T>
void launch(const ReferenceContext<T>& context, const SliceChannels& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  for (std::int64_t row = 0; row < call.rows; ++row)
    for (int k = 0; k < call.count; ++k) y[row * call.count + k] = x[row * call.c + call.first + k];
}

template <class T>
void launch(const ReferenceContext<T>& context, const ShuffleChannels& call) {
  const T* x = context.template data<T>(call.x);
  T* y = context.template data<T>(call.y);
  const int members = call.c / call.groups;
  for (std::int64_t row = 0; row < call.rows; ++row)
    for (int g = 0; g < call.groups; ++g)
      for (int j = 0; j < members; ++j)
        y[row * call.c + j * call.groups + g] = x[row * call.c + g * members + j];
}

CONVOY_REFERENCE(ConcatChannels);
CONVOY_REFERENCE(SliceChannels);
CONVOY_REFERENCE(ShuffleChannels);

}  // namespace convoy
