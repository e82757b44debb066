// Bytes of files: their owners, and what becomes of the file meanwhile.
#include "src/io/shared_bytes.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "src/io/atomic_file.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

std::string text_of(const SharedBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(SharedBytes, APartOutlivesTheWholeAndTheFile) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x";
  write_file_atomically(path, "0123456789");
  SharedBytes part;
  {
    const SharedBytes whole = read_shared(RegularFile(path));
    EXPECT_EQ(text_of(whole), "0123456789");
    part = whole.part(3, 4);
    EXPECT_EQ(part.data(), whole.data() + 3) << "no copy";
    EXPECT_THROW(whole.part(8, 3), std::exception);
  }
  write_file_atomically(path, "another");
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(part), "3456");
  EXPECT_EQ(part, SharedBytes(std::string("3456")));
  EXPECT_FALSE(part == SharedBytes(std::string("345")));
}

TEST(SharedBytes, OfAnEmptyFileAndOfOneThatWasCutShort) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x";
  write_file_atomically(path, "");
  EXPECT_TRUE(read_shared(RegularFile(path)).empty());
  write_file_atomically(path, "0123456789");
  const RegularFile file(path);
  std::filesystem::resize_file(path, 4);
  EXPECT_THROW(read_shared(file), Error);
}

}  // namespace
}  // namespace convoy::testing
