// The check of the gradients, one at a time.
#include "kernels/loss_scale.h"
#include "kernels/reference.h"

namespace convoy {

template <class T>
void launch(const ReferenceContext<T>& context, const CheckGradients& call) {
  const T* gradients = context.template data<T>(call.gradients);
  double sum = 0;
  for (std::int64_t i = 0; i < call.gradients.count; ++i) {
    sum += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
  }
  loss_scale::advance(context.template data<T>(call.loss_scale), sum, call.rules);
}

CONVOY_REFERENCE(CheckGradients);

}  // namespace convoy
