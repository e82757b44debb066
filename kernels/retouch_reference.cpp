// Changes of pictures, one after the other.
#include "kernels/reference.h"
#include "kernels/retouch.h"
#include "kernels/retouch_pixels.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const Retouch& call) {
  retouch_rows(context, call, 0, call.rows());
}

CONVOY_REFERENCE(Retouch);

}  // namespace convoy
