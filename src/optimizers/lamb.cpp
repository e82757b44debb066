#include "src/optimizers/keys.h"

namespace convoy {

Table<Lamb> keys_of(const Lamb&) {
  Table<Lamb> table;
  table.fields = {
      field("beta1", &Lamb::beta1, number<float>(half_open(0, 1)), "decay of the mean gradient"),
      field("beta2", &Lamb::beta2, number<float>(half_open(0, 1)), "decay of the mean square"),
      field("epsilon", &Lamb::epsilon, number<float>(above(0)), "added to the root of the mean square")};
  return table;
}

}  // namespace convoy
