#include "tests/fuzz/fuzz.h"

#include <sanitizer/allocator_interface.h>
#include <stdlib.h>

#include <cstdio>
#include <fstream>

namespace convoy::fuzz {
namespace {

namespace fs = std::filesystem;

// The sanitizer's hooks are plain functions: what they count has to be global.
struct Account {
  bool open = false;
  std::size_t live = 0, limit = 0;  ///< bytes since the account was opened
};
thread_local Account account;

void on_malloc(const volatile void*, std::size_t size) {
  if (!account.open) return;
  account.live += size;
  if (account.live <= account.limit) return;
  account.open = false;  // what follows allocates, too
  std::fprintf(stderr, "%zu bytes are allocated, the limit for this input is %zu\n", account.live,
               account.limit);
  std::abort();
}

void on_free(const volatile void* pointer) {
  if (!account.open || pointer == nullptr) return;
  const std::size_t size = __sanitizer_get_allocated_size(pointer);
  account.live -= size < account.live ? size : account.live;  // it may stem from before
}

}  // namespace

Folder::Folder() {
  const fs::path memory = "/dev/shm";
  std::string name =
      ((fs::is_directory(memory) ? memory : fs::temp_directory_path()) / "convoy-fuzz-XXXXXX").string();
  require(mkdtemp(name.data()) != nullptr, "no temporary folder");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Folder::write(const char* name, Bytes bytes) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require(file.good(), "a temporary file cannot be written");
}

void Folder::link(const char* existing, const char* name) const {
  fs::create_symlink(existing, path_ / name);
}

MemoryLimit::MemoryLimit(std::size_t limit) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  require(installed > 0, "memory cannot be counted");
  account = {true, 0, limit};
}

MemoryLimit::~MemoryLimit() {
  account.open = false;
}

void require(bool condition, const char* what) {
  if (condition) return;
  account.open = false;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace convoy::fuzz
