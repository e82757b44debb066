#include "src/cli/entry.h"

int main(int argc, char** argv) {
  return convoy_main(argc, argv);
}
