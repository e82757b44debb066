#include "src/optimizers/keys.h"

namespace convoy {

Table<Lion> keys_of(const Lion&) {
  Table<Lion> table;
  table.fields = {
      field("beta1", &Lion::beta1, number<float>(half_open(0, 1)), "share of the momentum in a step"),
      field("beta2", &Lion::beta2, number<float>(half_open(0, 1)), "decay of the momentum")};
  return table;
}

}  // namespace convoy
