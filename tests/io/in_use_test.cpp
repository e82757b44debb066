#include "src/io/in_use.h"

#include <gtest/gtest.h>

#include <fstream>

namespace convoy {
namespace {

TEST(InUse, AFileIsInUseUntilItsLastMarkIsGone) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "in_use";
  std::filesystem::remove(path);
  EXPECT_FALSE(mark_in_use(path));
  EXPECT_FALSE(is_in_use(path));
  std::ofstream(path) << "one\n";
  EXPECT_FALSE(is_in_use(path));
  FileDescriptor first = mark_in_use(path);
  FileDescriptor second = mark_in_use(path);
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_TRUE(is_in_use(path));
  std::ofstream(path, std::ios::app) << "two\n";  // who opens and closes it elsewhere takes no mark away
  EXPECT_TRUE(is_in_use(path));
  first.reset();
  EXPECT_TRUE(is_in_use(path));
  second.reset();
  EXPECT_FALSE(is_in_use(path));
}

}  // namespace
}  // namespace convoy
