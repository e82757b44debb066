// Conversion, value by value.
#include "kernels/convert.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const Convert& call) {
  with_stored_type(call, dtype_of<T>(), [&]<class Stored>(Stored) {
    if (call.from.dtype == dtype_of<T>()) {
      const T* from = context.template data<T>(call.from);
      Stored* to = context.template data<Stored>(call.to);
      for (std::int64_t i = 0; i < call.to.count; ++i) to[i] = Stored(static_cast<float>(from[i]));
    } else {
      const Stored* from = context.template data<Stored>(call.from);
      T* to = context.template data<T>(call.to);
      for (std::int64_t i = 0; i < call.to.count; ++i) to[i] = static_cast<T>(static_cast<float>(from[i]));
    }
  });
}

CONVOY_REFERENCE(Convert);

}  // namespace convoy
