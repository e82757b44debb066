// Libraries that are opened at run time: where they are looked for, and what is said when there is none.
#include "core/shared_library.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/train/support.h"

namespace convoy::testing {
namespace {

namespace fs = std::filesystem;

/// Sets CONVOY_LIBRARY_PATH for as long as it lives.
class LibraryPath {
 public:
  explicit LibraryPath(const std::string& folders) { setenv("CONVOY_LIBRARY_PATH", folders.c_str(), 1); }
  ~LibraryPath() { unsetenv("CONVOY_LIBRARY_PATH"); }
  LibraryPath(const LibraryPath&) = delete;
  LibraryPath& operator=(const LibraryPath&) = delete;
};

std::string message_of(const LibrarySearch& search) {
  try {
    open_library(search);
  } catch (const Error& error) {
    return error.what();
  }
  return "it was opened";
}

/// zlib's, which this program is linked with, so that it is there.
const std::string zlib = "libz.so.1";

TEST(SharedLibrary, FindsFunctions) {
  const SharedLibrary library = open_library({{"libconvoy-none.so.3", zlib}, {}, ""});
  const char* (*version)() = nullptr;
  library.get(version, "zlibVersion");
  ASSERT_NE(version, nullptr);
  EXPECT_EQ(version()[0], '1');
  EXPECT_EQ(fs::path(library.path()).filename(), zlib);
  EXPECT_TRUE(fs::exists(library.path())) << library.path();
  library.find(version, "zlibNothing");
  EXPECT_EQ(version, nullptr);
  EXPECT_THROW(library.get(version, "zlibNothing"), Error);
}

TEST(SharedLibrary, IsLookedForInFoldersInOrder) {
  const TemporaryFolder folder;
  const fs::path first = folder.path() / "first", last = folder.path() / "last";
  fs::create_directories(first);
  fs::create_directories(last);
  const std::string source = SharedLibrary(zlib).path();
  fs::copy_file(source, first / zlib);
  fs::copy_file(source, last / "libonly-here.so.1");
  {
    const LibraryPath path(fmt::format("/nowhere:{}", first.string()));
    EXPECT_EQ(open_library({{zlib}, {last}, ""}).path(), first / zlib);
    EXPECT_EQ(open_library({{"libonly-here.so.1"}, {last}, ""}).path(), last / "libonly-here.so.1");
  }
  EXPECT_EQ(open_library({{zlib}, {first}, ""}).path(), source) << "the system's goes before fixed folders";
}

TEST(SharedLibrary, ThatIsMissingSaysWhatToInstall) {
  EXPECT_EQ(message_of({{"libconvoy-none.so.3", "libconvoy-none.so.2"}, {"/nowhere"}, "install it"}),
            "libconvoy-none.so.3 or libconvoy-none.so.2 is not found: install it");
}

TEST(SharedLibrary, ThatIsDamagedIsPassedOver) {
  const TemporaryFolder folder;
  for (const std::string& name : {zlib, std::string("libconvoy-none.so.3")})
    std::ofstream(folder.path() / name)
        << "no library at all, but long enough to have a header of one, were it one";
  const LibraryPath path(folder.path().string());
  EXPECT_NE(open_library({{zlib}, {}, ""}).path(), folder.path() / zlib);
  const std::string message = message_of({{"libconvoy-none.so.3"}, {}, "install it"});
  EXPECT_NE(message.find("libconvoy-none.so.3 cannot be opened ("), std::string::npos) << message;
  EXPECT_NE(message.find("invalid ELF header"), std::string::npos) << message;
}

}  // namespace
}  // namespace convoy::testing
