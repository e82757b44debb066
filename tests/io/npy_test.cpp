// Arrays of NumPy, and the archives in which savez() and savez_compressed() put them.
#include "src/io/npy.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "src/io/zip.h"
#include "tests/io/npy_writer.h"
#include "tests/io/zip_writer.h"

namespace convoy::testing {
namespace {

NpyArray read(const std::string& bytes) {
  return read_npy(SharedBytes(bytes), "a.npy");
}
std::string refusal(const std::string& bytes) {
  try {
    integers_of(read(bytes), "a.npy");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Npy, HasTypeShapeAndValues) {
  const NpyArray array = read(npy_file(npy_header("|u1", "(2, 3)"), "abcdef"));
  EXPECT_EQ(array.type, "u1");
  EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(integers_of(array, "a.npy"), (std::vector<std::int64_t>{'a', 'b', 'c', 'd', 'e', 'f'}));
}

TEST(Npy, ReadsIntegersOfEverySize) {
  const auto bytes = [](std::int64_t value, std::size_t size) {
    return std::string(reinterpret_cast<const char*>(&value), size);
  };
  for (const std::size_t size : {1, 2, 4, 8}) {
    const std::string digit = std::to_string(size);
    EXPECT_EQ(integers_of(read(npy_file(npy_header("<i" + digit, "(1,)"), bytes(-5, size))), "a"),
              std::vector<std::int64_t>{-5});
    EXPECT_EQ(integers_of(read(npy_file(npy_header("<u" + digit, "(1,)"), bytes(200, size))), "a"),
              std::vector<std::int64_t>{200});
  }
}

TEST(Npy, OfNoAxisHasOneValue) {
  EXPECT_EQ(integers_of(read(npy_file(npy_header("|u1", "()"), "a")), "a"), std::vector<std::int64_t>{'a'});
}

TEST(Npy, SaysWhatItIsNot) {
  EXPECT_NE(refusal("PK").find("no array of NumPy"), std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("<f4", "(1,)"), "abcd")).find("expected whole numbers"),
            std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header(">i4", "(1,)"), "abcd")).find("high byte first"), std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("|O", "(1,)"), "abcd")).find("no plain numbers"), std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("|u1", "(3, 2)"), "abcde")).find("has 5 bytes of numbers"),
            std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("|u1", "(2147483647, 2147483647, 2147483647)"), "a"))
                .find("bytes of numbers"),
            std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("|u1", "(-1,)"), "a")).find("axis of -1"), std::string::npos);
  EXPECT_NE(
      refusal(npy_file("{'descr': '|u1', 'fortran_order': True, 'shape': (1,), }", "a")).find("Fortran"),
      std::string::npos);
  EXPECT_NE(refusal(npy_file("{'descr': '|u1', 'fortran_order': False}", "a")).find("no shape"),
            std::string::npos);
  EXPECT_NE(refusal(npy_file(npy_header("|u1", "(1,)"), "a").substr(0, 40)).find("truncated"),
            std::string::npos);
}

TEST(Npy, HeaderAloneNeedsNoValues) {
  const NpyArray array = read_npy(SharedBytes(npy_file(npy_header("|u1", "(9, 9)"), "")), "a.npy", false);
  EXPECT_EQ(array.count(), 81);
}

/// An archive of one member, compressed.
std::string zip(const std::string& content, std::uint32_t claimed_size) {
  ZipWriter archive;
  archive.add_compressed("x", content, claimed_size);
  return archive.finish();
}
std::string unpacked(const std::string& archive, std::uint64_t most = UINT64_MAX) {
  const SharedBytes member =
      inflated_members(SharedBytes(archive), "a.npz", [&](const std::string&) { return most; }).at("x");
  return {reinterpret_cast<const char*>(member.data()), member.size()};
}

TEST(Zip, CompressedMembersAreUnpacked) {
  const std::string content(5'000'000, 'a');
  const std::string archive = zip(content, 5'000'000);
  EXPECT_LT(archive.size(), 10'000u);
  EXPECT_EQ(unpacked(archive), content);
  EXPECT_EQ(unpacked(archive, 100), std::string(100, 'a'));
  EXPECT_THROW(stored_members(SharedBytes(archive), "a.pth"), Error);
}

TEST(Zip, SizesThatAreNotTrueAreSeen) {
  const std::string content(1000, 'a');
  EXPECT_THROW(unpacked(zip(content, 999)), Error);
  EXPECT_THROW(unpacked(zip(content, 4'000'000'000u)), Error);  // and no such memory is asked for
  std::string altered = zip("some text that does not repeat 0123456789", 41);
  altered[40] = static_cast<char>(altered[40] ^ 1);
  EXPECT_THROW(unpacked(altered), Error);
}

}  // namespace
}  // namespace convoy::testing
