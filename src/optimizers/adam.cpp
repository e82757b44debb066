#include "src/optimizers/keys.h"

namespace convoy {

Table<Adam> keys_of(const Adam&) {
  Table<Adam> table;
  table.fields = {
      field("beta1", &Adam::beta1, number<float>(half_open(0, 1)), "decay of the mean gradient"),
      field("beta2", &Adam::beta2, number<float>(half_open(0, 1)), "decay of the mean square"),
      field("epsilon", &Adam::epsilon, number<float>(above(0)), "added to the root of the mean square")};
  return table;
}

}  // namespace convoy
