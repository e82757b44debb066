#include "src/optimizers/keys.h"

namespace convoy {

Table<RmsProp> keys_of(const RmsProp&) {
  Table<RmsProp> table;
  table.fields = {
      field("alpha", &RmsProp::alpha, number<float>(half_open(0, 1)), "decay of the mean square"),
      field("epsilon", &RmsProp::epsilon, number<float>(above(0)), "added to the root of the mean square"),
      field("momentum", &RmsProp::momentum, number<float>(half_open(0, 1)),
            "share of the last update that is kept"),
      field("decoupled_decay", &RmsProp::decoupled_decay, boolean(),
            "weight decay apart from the gradient, as adamw has it"),
      field("epsilon_inside", &RmsProp::epsilon_inside, boolean(),
            "TensorFlow's form: epsilon inside the root of a mean square that begins at 1, the learning rate "
            "inside the momentum")};
  return table;
}

}  // namespace convoy
