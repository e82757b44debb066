// Files from HTTP servers: whole, with the right sum, or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace convoy {

struct DownloadOptions {
  double timeout =
      30;  ///< seconds to connect in, and seconds of less than 1000 bytes/s before a server is stuck
  int attempts = 4;  ///< per address; what was received stays, where the server can go on from there
  double pause = 1;  ///< seconds before the second attempt, twice as many before each one after it
  std::int64_t largest = std::int64_t{1} << 30;  ///< bytes; more than that is another file
  /// Called several times a second; `total` is 0 while it is unknown.
  std::function<void(std::int64_t received, std::int64_t total)> progress = {};
  /// Told why an attempt failed, and what comes next.
  std::function<void(const std::string&)> note = {};
  /// Asked several times a second. Once it says so, download() throws Error with ExitCode::stopped.
  std::function<bool()> stop_requested = {};
};

/// Keeps connections open from one file to the next.
class Downloader {
 public:
  explicit Downloader(DownloadOptions options);
  ~Downloader();
  Downloader(const Downloader&) = delete;
  Downloader& operator=(const Downloader&) = delete;

  /// Fetches the file from the first of these addresses (http, https) that has it with this SHA-256 sum, or
  /// one that begins so, under a temporary name until it is complete. Redirects are followed. Broken or stuck
  /// connections and the errors of an overloaded server are tried again; a missing file or a wrong sum is
  /// not. Throws Error that says of each address what was wrong with it; no file is left then.
  void fetch(const std::vector<std::string>& addresses, const std::filesystem::path& path,
             const std::string& sha256);

 private:
  struct Transfer;
  bool attempt(Transfer& transfer, const std::string& address, const std::string& sha256);
  void wait(double seconds) const;
  bool stopped() const { return options_.stop_requested && options_.stop_requested(); }

  DownloadOptions options_;
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace convoy
