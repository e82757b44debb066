#include "src/plan/plan.h"

namespace convoy {
namespace {

struct ByteCounter {
  std::int64_t bytes = 0;
  void reads(const Tensor& t) { bytes += t ? t.bytes() : 0; }
  void writes(const Tensor& t) { bytes += t ? t.bytes() : 0; }
  void updates(const Tensor& t) { bytes += t ? 2 * t.bytes() : 0; }
};

}  // namespace

std::string name_of(const Call& call) {
  return std::visit(
      [](const auto& c) -> std::string {
        if constexpr (requires { c.name(); })
          return c.name();  // the rule's
        else
          return c.name;
      },
      call);
}
std::string describe(const Call& call) {
  return std::visit([](const auto& c) { return c.describe(); }, call);
}
std::int64_t flops_of(const Call& call) {
  return std::visit([](const auto& c) { return static_cast<std::int64_t>(c.flops()); }, call);
}

std::int64_t bytes_of(const Call& call) {
  if (const auto* augment = std::get_if<Augment>(&call)) {  // touches n rows of the data set, not all of it
    const int images = augment->blends ? 2 * augment->n : augment->n;
    return images * (augment->image.count() + 8) + augment->x.bytes() + augment->y.bytes();
  }
  if (const auto* retouch = std::get_if<Retouch>(&call))
    return retouch->rows() * (retouch->image.count() + 4) + retouch->pictures.bytes();
  ByteCounter counter;
  visit_tensors(call, counter);
  return counter.bytes;
}

}  // namespace convoy
